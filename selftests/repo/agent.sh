#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 480
#
# Instructions: an agent installs what it is told to by whom it trusts, reports percent and reasons,
# resumes after kill -9, does nothing twice, and refuses what is forged, old or for another. A
# waiting agent learns of news at once.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
# shellcheck source-path=SCRIPTDIR source=lib/agent.sh
. "$(dirname "$0")/lib/agent.sh"
repo_begin
make_key
"$REPO" upload "$(make_deb app 1.0)" "$(make_deb large 1.0 4000000)" "$(make_deb tool 1.0)" >/dev/null
broken=$(make_deb broken 1.0)
dpkg-deb -R "$broken" "$LAB/broken" && printf '#!/bin/sh\necho the reason it fails >&2\nexit 3\n' >"$LAB/broken/DEBIAN/preinst" &&
	chmod 755 "$LAB/broken/DEBIAN/preinst" && sed -i 's/^Version.*/Version: 2.0/' "$LAB/broken/DEBIAN/control" &&
	dpkg-deb -Znone --root-owner-group -b "$LAB/broken" "$LAB/broken.deb" >/dev/null
"$REPO" upload "$LAB/broken.deb" >/dev/null
publish

agent_begin

expect_fails "an instruction before there is a key" instruct install app
# key NAME: a signer's two halves
key() {
	openssl genpkey -algorithm ed25519 -out "$LAB/$1.key" 2>/dev/null
	chmod 600 "$LAB/$1.key"
	openssl pkey -in "$LAB/$1.key" -pubout -out "$LAB/$1.pub"
}
key early
"$REPO" instruct-key trust "$LAB/early.pub"
"$REPO" instruct-key create
"$REPO" instruct-key show >"$LAB/shown"
expect_eq "$(tail -n 3 "$LAB/shown") $(grep -c BEGIN "$LAB/shown")" "$(cat "$LAB/early.pub") 2" "who was trusted before there was a key of the repository's"
"$REPO" instruct-key distrust "$LAB/early.pub"
"$REPO" instruct-key show >"$LAB/agent.pub"
expect_eq "$(cat "$LAB/agent.pub")" "$(head -n 3 "$LAB/shown")" "the repository's own key"
expect_exit 2 "a poll longer than the relay waits" timeout $((10 * PATIENCE)) "$AGENT" "${agent_args[@]}" --wait 61
expect_has "$(cat "$LAB/expect.out")" "1 to 60" "which may be"
start agent "$AGENT" "${agent_args[@]}"
sleep 0.5

# Told, done, watched.
before=$(date +%s%N)
instruct --watch install app >"$LAB/watch.out" || fail "install: $(cat "$LAB/watch.out")"
took=$((($(date +%s%N) - before) / 1000000))
expect_eq "$(installed app)" 1.0 "installed"
expect_eq "$(states)" "install app done" "what the operator sees"
grep -q 'running [0-9]* %' "$LAB/watch.out" || expect_has "$(cat "$LAB/watch.out")" "done 100 %" "what was shown"
# Where others have the processors, it may take long; one of several times tells.
for _ in 1 2 3 4 5 6; do
	[ $took -gt $((15000 * SLOW)) ] || break
	instruct --watch remove app >/dev/null || fail "remove, to be installed again"
	before=$(date +%s%N)
	instruct --watch install app >"$LAB/again.out" || fail "install again: $(cat "$LAB/again.out")"
	took=$((($(date +%s%N) - before) / 1000000))
done
expect_le $took $((15000 * SLOW)) "milliseconds from order to done"
online() { [ "$("$REPO" instructions --json | jq -r '.[0].online')" = true ]; }
wait_for 5 "the agent waits again" online

# A reason for what fails; the next one is not held up.
expect_fails "a package that is not there" instruct --watch install no-such-package
expect_has "$(cat "$LAB/expect.out")" "no-such-package" "the reason"
expect_fails "a name that apt-get would take for a pattern" instruct --watch install too.
expect_fails "a package whose script fails" instruct --watch install broken=2.0
"$REPO" instructions --json | jq -e '.[0].state == "failed" and (.[0].log | length > 10)' >/dev/null || fail "no log tail with a failure"
instruct --watch remove app >/dev/null || fail "remove"
expect_eq "$(installed app)" none "removed"

# Killed in the middle, it goes on; what is done is not done again.
sed -i "s,$RELAY/,$RELAY/!slow/," "$dir/etc/sources.list"
instruct install large >/dev/null
running() { [ "$("$REPO" instructions --json | jq -r '.[0] | "\(.state) \(.percent > 0)"')" = "running true" ]; }
wait_for 30 "the installation is under way" running
pid=$(pid_of agent)
children=$(children_of "$pid")
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
forget agent
for child in $children; do kill -KILL -- "-$child" 2>/dev/null || true; done
expect_eq "$(installed large)" none "killed before it was installed"
sed -i "s,/!slow/,/," "$dir/etc/sources.list"
start agent "$AGENT" "${agent_args[@]}"
done_() { [ "$(states | head -n 1)" = "install large done" ]; }
wait_for 30 "it is gone on with" done_
expect_eq "$(installed large)" 1.0 "installed after a kill"
pid=$(pid_of agent)
end_pid "$pid" 5 || fail "the agent does not end in order: $?"
forget agent
log_lines=$(wc -l <"$dir/root/var/log/dpkg.log")
"$AGENT" "${agent_args[@]}" --once >"$LAB/once.out" 2>&1 || fail "once: $(cat "$LAB/once.out")"
case $(cat "$LAB/once.out") in *operation*) fail "something was done twice: $(cat "$LAB/once.out")" ;; esac
expect_eq "$(wc -l <"$dir/root/var/log/dpkg.log")" "$log_lines" "dpkg's log"

# A key that is not pinned; one that is, held by the operator alone.
key operator
expect_fails "a signer the repository does not know" instruct --key "$LAB/operator.key" install tool
"$REPO" instruct-key trust "$LAB/operator.pub"
instruct --key "$LAB/operator.key" install tool >/dev/null
expect_fails "a signer the agent does not know" "$AGENT" "${agent_args[@]}" --once
expect_has "$(cat "$LAB/expect.out")" "no pinned key signed it" "what it says"
expect_eq "$(installed tool)" none "nothing was installed"
cat "$LAB/operator.pub" >>"$LAB/agent.pub"
"$AGENT" "${agent_args[@]}" --once >"$LAB/once.out" 2>&1 || fail "pinned by now: $(cat "$LAB/once.out")"
expect_eq "$(installed tool)" 1.0 "signed by the operator"
expect_eq "$(states | head -n 1)" "install tool done" "what the operator sees"

# Forged, replayed, for another: served by somebody who plays the repository.
mkdir -p "$LAB/spoof/sluice/v1"
port=$(free_port)
start spoof "$PYTHON" -m http.server --directory "$LAB/spoof" --bind 127.0.0.1 "$port"
wait_for 10 "the spoof listens" curl -s "http://127.0.0.1:$port/"
spoof() { "$AGENT" "${agent_args[@]}" --url "http://127.0.0.1:$port" --once "$@"; }
# The newest true document, an older one, one with a byte changed, one for another instance.
curl -sS "$RELAY/sluice/v1/desired?generation=0" >"$LAB/true.json"
jq -c '.payload |= (@base64d | sub("tool"; "evil") | @base64)' "$LAB/true.json" >"$LAB/spoof/sluice/v1/desired"
expect_fails "a changed document" spoof
expect_has "$(cat "$LAB/expect.out")" "no pinned key signed it" "a changed document"
tenant_begin blue vm-2
second=$RELAY
"$REPO" instruct --key "$LAB/operator.key" --tenant blue --instance vm-2 install tool >/dev/null
curl -sS "$second/sluice/v1/desired?generation=0" >"$LAB/spoof/sluice/v1/desired"
expect_fails "another instance's document" spoof
expect_has "$(cat "$LAB/expect.out")" "for another instance" "another instance's document"
# Another tenant has an instance of the same id, and a document as true as ours, and newer.
tenant_begin red vm-1
for package in a b c d e f g h i j; do
	"$REPO" instruct --key "$LAB/operator.key" --tenant red --instance vm-1 install $package >/dev/null
done
curl -sS "$RELAY/sluice/v1/desired?generation=0" >"$LAB/spoof/sluice/v1/desired"
for pinned in '' '--tenant=blue --state '"$LAB/agent-fresh"; do
	# shellcheck disable=SC2086 # words are meant
	expect_fails "another tenant's document ($pinned)" spoof $pinned
	expect_has "$(cat "$LAB/expect.out")" "for another tenant's instance" "another tenant's document ($pinned)"
done
"$REPO" instructions --tenant red --json | jq -e 'all(.state == "pending")' >/dev/null || fail "something of red's was done"
cp "$LAB/true.json" "$LAB/spoof/sluice/v1/desired"
instruct --key "$LAB/operator.key" remove tool >/dev/null
"$AGENT" "${agent_args[@]}" --once >/dev/null 2>&1
expect_fails "an older document, replayed" spoof
expect_has "$(cat "$LAB/expect.out")" "older than one seen before" "an older document"
for text in '' '{}' '[]' '{"payload":"","signature":""}' "$(head -c 300000 /dev/zero | tr '\0' a)"; do
	printf '%s' "$text" >"$LAB/spoof/sluice/v1/desired"
	expect_fails "noise" spoof
done

# A VM reports only for itself; nobody else does at all.
id=$("$REPO" instructions --tenant blue --instance vm-2 --json | jq -r '.[0].id')
event="{\"events\":[{\"operation\":\"$id\",\"state\":\"done\",\"percent\":100}]}"
tenant_begin red vm-2
expect_eq "$(status_of "$RELAY/sluice/v1/events" -X POST -d "$event")" 204 "another tenant's report is heard"
expect_eq "$("$REPO" instructions --tenant blue --instance vm-2 --json | jq -r '.[0].state')" pending "and changes nothing"
expect_eq "$(status_of "$URL/sluice/v1/events" -X POST -d "$event")" 403 "a report from the management side"
expect_eq "$(status_of "$RELAY/sluice/v1/events" -X POST -d '{"events":[{"operation":"x","state":"done"}]}')" 400 "a wrong report"
expect_eq "$(head -c 70000 /dev/zero | tr '\0' ' ' | status_of "$RELAY/sluice/v1/events" -X POST --data-binary @-)" 413 "a report too large"
tenant_begin blue
expect_eq "$(status_of "$RELAY/sluice/v1/desired")" 404 "a VM without an instance"
# 40 in each ten seconds of the clock. By one client, or a slow machine never has so many in them; until there
# is one.
begun=$(date +%s)
status_of "$second/sluice/v1/events?[1-20000]" --fail --fail-early -X POST -d '{"events":[]}' >"$LAB/many" 2>"$LAB/many.err" || true
grep -q '503$' "$LAB/many" || fail "too many reports are not put off: $(cat "$LAB/many")"
expect_le $(($(wc -c <"$LAB/many") / 3)) $((($(date +%s) / 10 - begun / 10 + 1) * 40 + 1)) "reports until one was put off"
for words in 'install -o=x' 'install ../x' 'install' 'upgrade x' 'install x-' 'destroy x' 'install a;b'; do
	# shellcheck disable=SC2086 # words are meant
	expect_fails "the operation '$words'" "$REPO" instruct --key "$LAB/operator.key" --tenant blue --instance vm-2 -- $words
done

# A VM that is set up now pins all who may sign: the repository and two operators, and one who is not any more.
key second
"$REPO" instruct-key trust "$LAB/second.pub"
"$REPO" instruct-key trust "$LAB/operator.pub"
"$REPO" instruct-key show >"$LAB/shown"
expect_eq "$(cat "$LAB/shown")" "$(head -n 3 "$LAB/agent.pub"; cat "$LAB/operator.pub" "$LAB/second.pub")" "who may sign"
for signer in '' operator second; do
	instruct ${signer:+--key "$LAB/$signer.key"} install app >/dev/null
	"$AGENT" "${agent_args[@]}" --state "$LAB/agent-new" --key "$LAB/shown" --once >"$LAB/once.out" 2>&1 ||
		fail "signed by ${signer:-the repository}: $(cat "$LAB/once.out")"
	expect_eq "$(states | head -n 1)" "install app done" "signed by ${signer:-the repository}"
done
expect_fails "taking the repository's own key away" "$REPO" instruct-key distrust "$LAB/shown"
expect_has "$(cat "$LAB/expect.out")" "signs with this key itself" "the reason"
"$REPO" instruct-key distrust "$LAB/operator.pub"
expect_fails "taking away who is not there" "$REPO" instruct-key distrust "$LAB/operator.pub"
expect_fails "who is not trusted any more" instruct --key "$LAB/operator.key" install app
instruct --key "$LAB/second.key" remove app >/dev/null || fail "who still is"
# Once trusting an operator took the place of the repository's own key.
cp "$LAB/second.pub" "$STATE/instruct.pub"
expect_eq "$("$REPO" instruct-key show)" "$(head -n 3 "$LAB/agent.pub"; cat "$LAB/second.pub")" "a state of before"
