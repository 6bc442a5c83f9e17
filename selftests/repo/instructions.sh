#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# What an operator sees of instructions, and takes back: cancelling before and after an agent has
# begun, with the repository's key and with the operator's own; reports by VM and by tenant; the log
# tail; the page, with progress, in a real browser; a database of the version before.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need sqlite3 openssl
REPO_CONF="limits: {connections: 16}" repo_begin
"$REPO" instruct-key create
make_key

instruct() { "$REPO" instruct --tenant "$1" --instance "$2" --json "${@:3}" | jq -r .id; }
# desired: the operations of the newest document, as vm-1 of blue gets it
desired() { curl -sS "$VM1/sluice/v1/desired?generation=0" | jq -r '.payload | @base64d | fromjson | [.operations[].packages[0]] | join(" ")'; }
# event RELAY ID STATE PERCENT [MESSAGE [LOG]]
event() {
	jq -nc --arg i "$2" --arg s "$3" --argjson p "$4" --arg m "${5:-}" --arg l "${6:-}" \
		'{events: [{operation: $i, state: $s, percent: $p, message: $m, log: $l}]}' >"$LAB/event"
	expect_eq "$(status_of "$1/sluice/v1/events" -X POST --data-binary @"$LAB/event")" 204 "an agent's report"
}
state() { "$REPO" instructions --json | jq -r --arg i "$1" '.[] | select(.id == $i) | .state'; }
tenant_begin blue vm-1
VM1=$RELAY
tenant_begin blue vm-2
VM2=$RELAY
tenant_begin red vm-1
RED=$RELAY

say "cancelled before it began"
one=$(instruct blue vm-1 install one)
two=$(instruct blue vm-1 install two)
three=$(instruct blue vm-1 install three)
expect_eq "$(desired)" "one two three" "what the VM is to do"
# An agent that waits hears of it at once.
start waiting curl -sS -o "$LAB/news" "$VM1/sluice/v1/desired?generation=3&wait=30"
online() { [ "$("$REPO" report --tenant blue --json | jq '.instances[0].online')" = true ]; }
wait_for 10 "the agent to wait" online
"$REPO" instruct cancel "$two" >"$LAB/cancel.out"
expect_eq "$(cat "$LAB/cancel.out")" cancelled "what cancel says"
collect waiting || fail "the waiting agent"
expect_eq "$(jq -r '.payload | @base64d | fromjson | [.operations[].packages[0]] | join(" ")' "$LAB/news")" "one three" "the news"
expect_eq "$(desired)" "one three" "what the VM is to do"
expect_eq "$(state "$two")" cancelled "its state"
expect_fails "cancelling it twice" "$REPO" instruct cancel "$two"
expect_has "$(cat "$LAB/expect.out")" "cancelled already" "cancelling it twice"
expect_fails "cancelling what is not there" "$REPO" instruct cancel 0123456789abcdef
expect_fails "cancelling nonsense" "$REPO" instruct cancel ../x

# One VM does not take up everybody's room: with eight waiting, half of what may be open, each new
# poll of it lets one go, and others still find room.
tenant_begin grey vm-9
poll() { start "poll$1" curl -sS -o /dev/null -w '%{http_code}\n' "$2/sluice/v1/desired?generation=0&wait=60"; }
let_go() { [ "$(cat "$LAB"/poll?.log | grep -c 204)" = "$1" ]; }
GREY=$RELAY
for i in 1 2 3 4 5 6 7 8 9; do poll $i "$GREY"; done
wait_for 20 "one of nine is let go" let_go 1
poll a "$GREY"
wait_for 20 "and one more" let_go 2
tenant_begin mint vm-1
poll b "$RELAY"
poll c "$RELAY"
has_room() { "$REPO" status >/dev/null && let_go 2; }
wait_for 10 "room for others" has_room
for i in 1 2 3 4 5 6 7 8 9 a b c; do
	end_pid "$(pid_of "poll$i")" || true
	forget "poll$i"
done
repo_stop
repo_config
repo_start

# What apt-get would take for a removal or for a pattern.
for what in x- x=1- x=1.0- x+ 'x*' x/y x:y -x ''; do
	expect_eq "$(post /v1/instructions "$(jq -nc --arg p "$what" '{tenant: "blue", instance: "vm-1", action: "install", packages: [$p]}')" | jq -r .error.code)" bad-operation "the package '$what'"
done

say "cancelled after it began"
event "$VM1" "$one" running 40
# A text that is cut in the middle of a character, and one that is meant for the operator's terminal.
printf -v umlauts 'ü%.0s' {1..3000}
for lead in "" x; do
	event "$VM1" "$one" running 5 "$lead$umlauts" "$lead$umlauts"
	expect_eq "$(state "$one")" running "an operation with a long report is listed"
done
event "$VM1" "$one" running 5 $'\e]0;owned\a \u009b2J \u202egpj' $'\e[2J'
"$REPO" instructions --log >"$LAB/seen"
expect_has "$(cat "$LAB/seen")" "?]0;owned? ??2J ???gpj" "what is left of it"
expect_fails "the terminal hears nothing" grep -q $'[\e\a]\|\u009b\|\u202e' "$LAB/seen"
expect_fails "cancelling what runs" "$REPO" instruct cancel "$one"
expect_has "$(cat "$LAB/expect.out")" "--force" "the next step"
"$REPO" instruct cancel --force "$one" >/dev/null
expect_eq "$(state "$one")" cancelled "forced"
event "$VM1" "$one" "done" 100 "" "Setting up one"
expect_eq "$(state "$one")" "done" "the agent was alive after all: its word counts"
expect_eq "$(desired)" three "what is left"
reader=$("$REPO" token create r)
expect_eq "$(status_of "$URL/v1/instructions/$three/cancel" -X POST -d '{}' -H "Authorization: Bearer $reader")" 403 "a reader cancels"
expect_eq "$(status_of "$VM1/repo/v1/instructions/$three/cancel" -X POST -d '{}')" 403 "a VM cancels"

say "cancelled by an operator whose key the repository never has"
openssl genpkey -algorithm ed25519 -out "$LAB/operator.key" 2>/dev/null
chmod 600 "$LAB/operator.key"
openssl pkey -in "$LAB/operator.key" -pubout -out "$LAB/operator.pub"
"$REPO" instruct-key trust "$LAB/operator.pub"
# Those that cannot be read are not written over.
mv "$STATE/instruct.pub" "$LAB/all.pub"
ln -s instruct.pub "$STATE/instruct.pub"
expect_exit 1 "one more while the others cannot be read" "$REPO" instruct-key trust "$LAB/operator.pub"
expect_exit 1 "one less" "$REPO" instruct-key distrust "$LAB/operator.pub"
[ -L "$STATE/instruct.pub" ] || fail "the others were written over"
rm "$STATE/instruct.pub"
mv "$LAB/all.pub" "$STATE/instruct.pub"
"$REPO" instruct cancel --key "$LAB/operator.key" "$three" >/dev/null
expect_eq "$(desired)" "" "nothing is left"
curl -sS "$VM1/sluice/v1/desired?generation=0" | jq -r .payload | base64 -d >"$LAB/payload"
curl -sS "$VM1/sluice/v1/desired?generation=0" | jq -r .signature | base64 -d >"$LAB/signature"
openssl pkeyutl -verify -pubin -inkey "$LAB/operator.pub" -rawin -in "$LAB/payload" -sigfile "$LAB/signature" >/dev/null ||
	fail "the operator's signature"

say "reports"
four=$(instruct blue vm-2 install four)
five=$(instruct red vm-1 install five)
six=$(instruct red vm-1 remove 'six')
event "$VM2" "$four" failed 60 "<b>no & space</b>" $'Unpacking four\nNo space left on device'
event "$RED" "$five" running 45
expect_eq "$("$REPO" report --json | jq -c '.tenants[] | [.tenant, .instances, .pending, .running, .done, .failed, .cancelled]' | tr '\n' ' ')" \
	'["blue",2,0,0,1,1,2] ["red",1,1,1,0,0,0] ' "by tenant"
expect_eq "$("$REPO" report --tenant blue --json | jq -c '.instances[] | [.instance, .done, .failed, .cancelled]' | tr '\n' ' ')" \
	'["vm-1",1,0,2] ["vm-2",0,1,0] ' "by VM"
"$REPO" report >"$LAB/report.out"
expect_has "$(grep red "$LAB/report.out" | tr -s ' ')" "red 1 0 1 1 0 0 0" "the table"
expect_has "$("$REPO" report --tenant blue)" "vm-2" "the table of a tenant"
expect_has "$("$REPO" instructions --log --instance vm-2)" "    No space left on device" "the log tail"

say "the page"
page() { curl -sS -u ":$reader" "$URL/instructions$1"; }
html=$(page '')
expect_has "$html" "<progress max=100 value=45></progress>" "progress"
expect_has "$html" 'http-equiv="refresh"' "while something is under way it is loaded again"
expect_has "$html" "&lt;b&gt;no &amp; space&lt;/b&gt;" "a VM's text"
case $html in *"<script"* | *"<b>no"*) fail "a VM's text became markup" ;; esac
expect_has "$html" "No space left on device" "the log tail"
case $(page '?tenant=blue') in *five*) fail "another tenant's operations" ;; esac
expect_has "$(page '?tenant=red')" "five" "a tenant's own"
case $(page '?tenant=blue') in *http-equiv=\"refresh\"*) fail "nothing moves, and yet it is loaded again" ;; esac
expect_has "$(page '?tenant=%22%3E%3Cscript%3E')" "Nothing here" "a tenant that is markup"
if command -v chromium >/dev/null; then
	HOME=$LAB timeout $((60 * PATIENCE)) chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
		--user-data-dir="$LAB/browser" --window-size=1280,640 --screenshot="$LAB/page.png" \
		"http://x:$reader@127.0.0.1:$PORT/instructions" >"$LAB/browser.out" 2>&1 || fail "chromium: $(tail -n 3 "$LAB/browser.out")"
	expect_ge "$(stat -c %s "$LAB/page.png")" 10000 "bytes of the screenshot"
	[ -z "${SHOT:-}" ] || cp "$LAB/page.png" "$SHOT"
fi

say "what a bare VM is given"
"$REPO" user-data --tenant blue --instance vm-1 >"$LAB/user-data"
sh -n "$LAB/user-data"
shellcheck -s sh "$LAB/user-data" >"$LAB/shellcheck.out" || fail "shellcheck: $(cat "$LAB/shellcheck.out")"
expect_has "$(cat "$LAB/user-data")" "$(sed -n 2p "$LAB/operator.pub")" "the instructions' key"
expect_has "$(cat "$LAB/user-data")" 'OPTIONS="--tenant blue --instance vm-1"' "what the agent pins"
expect_has "$(cat "$LAB/user-data")" "BEGIN PGP PUBLIC KEY BLOCK" "the repository's key"
expect_le "$(stat -c %s "$LAB/user-data")" 16384 "bytes of it: what clouds take at least"
# shellcheck disable=SC2016 # not to be expanded
expect_fails "a URL that is a command" "$REPO" user-data --url 'http://x/$(reboot)'

say "a database of the version before"
repo_stop
sqlite3 "$STATE/repo.db" "
	DROP TABLE deleted;
	DROP INDEX operations_instance;
	ALTER TABLE operations RENAME TO o;
	CREATE TABLE operations (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, instance TEXT NOT NULL,
		generation INTEGER NOT NULL, action TEXT NOT NULL, packages TEXT NOT NULL,
		state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed')),
		percent INTEGER NOT NULL, message TEXT NOT NULL, log TEXT NOT NULL,
		created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;
	ALTER TABLE o DROP COLUMN expires;
	INSERT INTO operations SELECT * FROM o WHERE state != 'cancelled';
	DROP TABLE o;
	CREATE INDEX operations_instance ON operations (tenant, instance, state);
	PRAGMA user_version = 1;"
repo_start
expect_eq "$("$REPO" instructions --json | jq length)" 4 "operations after the upgrade"
"$REPO" instruct cancel "$six" >/dev/null
expect_eq "$(state "$six")" cancelled "in an upgraded database"
expect_eq "$("$REPO" fsck --json | jq '.problems | length')" 0 "problems found by fsck"
repo_stop
sqlite3 "$STATE/repo.db" "PRAGMA user_version = 99"
expect_fails "a database of the future" "$REPOD" --config "$CONF"
expect_has "$(cat "$LAB/expect.out")" "schema version 99" "a database of the future"
