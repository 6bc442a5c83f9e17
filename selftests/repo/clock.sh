#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Clocks that are years off: a VM's apt and agent, which still install; and the repository's, whose
# relay it then refuses, saying so. What cannot work says why.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
# shellcheck source-path=SCRIPTDIR source=lib/agent.sh
. "$(dirname "$0")/lib/agent.sh"
[ -z "${SANITIZE:-}" ] || skip "libfaketime and the sanitizers exclude each other"
need faketime sqlite3 openssl
repo_begin
make_key
"$REPO" instruct-key create
"$REPO" instruct-key show >"$LAB/agent.pub"
"$REPO" upload "$(make_deb app 1.0)" "$(make_deb tool 1.0)" >/dev/null
publish
agent_begin

# apt itself: ahead is no matter, since nothing of ours expires; behind, Release is from the future
# and the signature too.
# shellcheck disable=SC2016 # the inner shell expands it
at() { "${WITH_CLOCK[@]}" "$1" bash -c '. "$0"; LAB=$1; shift; apt_in "$@"' "$HERE/repo.sh" "$LAB" "${@:2}"; }
at '+8y' vm update --error-on=any -o Acquire::Check-Date=true >"$LAB/ahead.out" 2>&1 || fail "apt, 8 years ahead: $(cat "$LAB/ahead.out")"
rm -rf "$dir/lists" && mkdir -p "$dir/lists/partial"
expect_fails "apt, 8 years behind" at '-8y' vm update --error-on=any -o Acquire::Check-Date=true
expect_has "$(cat "$LAB/expect.out")" "not valid yet" "why"

# The agent switches that check off: nothing depends on it that the signature does not decide.
echo 'Acquire::Check-Date "true";' >>"$LAB/apt.conf"
agent_at() {
	"${WITH_CLOCK[@]}" "$1" "$AGENT" "${agent_args[@]}" --once >"$LAB/agent.log" 2>&1 || fail "the agent, at $1: $(cat "$LAB/agent.log")"
}
instruct install app >/dev/null
agent_at '-8y'
expect_eq "$("$REPO" instructions --json | jq -r '.[0] | .state + .message')" "done" "8 years behind"
expect_eq "$(cat "$dir/root/usr/share/app/version")" 1.0 "installed"

# Ahead, each instruction has expired: the operator hears it at once, with what the clock says.
instruct install tool >/dev/null
agent_at '+8y'
expect_eq "$("$REPO" instructions --json | jq -r '.[0].state')" failed "8 years ahead"
expect_has "$("$REPO" instructions --json | jq -r '.[0].message')" "this VM's clock is wrong: it says $(date -d '+8 years' +%Y)" "the reason"
instruct install tool >/dev/null
agent_at '+0'
expect_eq "$(cat "$dir/root/usr/share/tool/version")" 1.0 "installed when told again"

# Each instruction has its own time: a later one neither brings an old one back nor cuts it short.
openssl genpkey -algorithm ed25519 -out "$LAB/operator.key" 2>/dev/null
chmod 600 "$LAB/operator.key"
openssl pkey -in "$LAB/operator.key" -pubout -out "$LAB/operator.pub"
"$REPO" instruct-key trust "$LAB/operator.pub"
cat "$LAB/operator.pub" >>"$LAB/agent.pub"
ended() { "$REPO" instructions --json | jq -r '.[:2] | map(.packages[0] + " " + .state) | join(" ")'; }
post /v1/instructions '{"tenant": "blue", "instance": "vm-1", "action": "remove", "packages": ["app"], "lifetime": 3600}' >/dev/null
instruct remove tool >/dev/null
agent_at '+3h'
expect_eq "$(ended)" "tool done app failed" "an hour and a week, after three hours"
expect_eq "$(cat "$dir/root/usr/share/app/version")" 1.0 "what had expired was not done"
for key in '' "--key=$LAB/operator.key"; do
	# shellcheck disable=SC2086 # nothing, or one word
	instruct --days 30 $key install tool >/dev/null
	# shellcheck disable=SC2086
	instruct --days 1 $key remove app >/dev/null
	agent_at '+3d'
	expect_eq "$(ended)" "app failed tool done" "a month and a day, after three days ($key)"
	instruct remove tool >/dev/null
	agent_at '+0'
	# shellcheck disable=SC2086
	{
		instruct --days 30 $key install tool >/dev/null
		id=$(instruct --json $key install app | jq -r .id)
		"$REPO" instruct cancel $key "$id" >/dev/null
	}
	agent_at '+9d'
	expect_eq "$(ended)" "app cancelled tool done" "a month, after nine days, another one cancelled ($key)"
	instruct remove tool >/dev/null
	agent_at '+0'
done

# What expired before a VM came for it is in no document any more. A database of before does not know when.
days_pass() {
	repo_stop
	sqlite3 "$STATE/repo.db" "UPDATE operations SET expires = expires - $1 WHERE state = 'pending'"
	repo_start
}
instruct --days 1 install tool >/dev/null
days_pass $((2 * 86400))
instruct --days 1 remove app >/dev/null
expect_eq "$(ended)" "app pending tool cancelled" "two days later"
expect_has "$("$REPO" instructions --json | jq -r '.[1].message')" expired "why"
expect_eq "$(curl -sS "$RELAY/sluice/v1/desired?generation=0" | jq -r '.payload | @base64d | fromjson | [.operations[].packages[0]] | join(" ")')" app "what the VM is to do"
repo_stop
sqlite3 "$STATE/repo.db" "DROP TABLE deleted; ALTER TABLE operations DROP COLUMN expires; PRAGMA user_version = 2"
repo_start
instruct --days 30 install tool >/dev/null
agent_at '+3d'
expect_eq "$(ended)" "tool done app failed" "a day in a database of before, and a month"

# The repository's own clock: signatures of relays are from another time, nothing else suffers.
repo_stop
start repod "${WITH_CLOCK[@]}" '-2h' "$REPOD" --config "$CONF"
wait_for 10 "sluice-repod listens" curl -sf --unix-socket "$SOCK" $B/v1/status
expect_eq "$(status_of "$RELAY/repo/v1/packages")" 403 "a relay whose clock is another"
expect_has "$(cat "$LAB/repod.log")" "the time is more than 60 seconds off" "the reason, in the repository's log"
"$REPO" upload "$(make_deb late 1.0)" >/dev/null || fail "an upload"
publish || fail "publishing with a clock that went back"
