#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# What an agent goes on with: the state of years, a dpkg that was cut in two by another operation or is
# another program's for now, and reports that nobody took.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
# shellcheck source-path=SCRIPTDIR source=lib/agent.sh
. "$(dirname "$0")/lib/agent.sh"
repo_begin
make_key
"$REPO" upload "$(make_deb app 1.0)" "$(make_deb third 1.0)" "$(make_deb fourth 1.0)" "$(make_deb slow 2.0)" >/dev/null
# Their script says that it is there, and waits to be let go on.
for script in slow:preinst late:preinst leaving:postrm; do
	name=${script%:*}
	deb=$(make_deb "$name" 1.0)
	dpkg-deb -R "$deb" "$LAB/$name"
	cat >"$LAB/$name/DEBIAN/${script#*:}" <<-SCRIPT
		#!/bin/sh
		touch $LAB/unpacking
		until [ -e $LAB/go ]; do sleep 0.1; done
	SCRIPT
	chmod 755 "$LAB/$name/DEBIAN/${script#*:}"
	dpkg-deb -Znone --root-owner-group -b "$LAB/$name" "$deb" >/dev/null
	"$REPO" upload "$deb" >/dev/null
done
publish
agent_begin
# The root has no shell for it.
echo 'DPkg::Options { "--force-script-chrootless"; };' >>"$LAB/apt.conf"
"$REPO" instruct-key create
"$REPO" instruct-key show >"$LAB/agent.pub"
# The repository hears 40 reports in each ten seconds of the clock; what is put off is not told when an agent ends.
window=0 posted=0
fresh() { [ $(($(date +%s) / 10)) -ne $window ]; }
paced() {
	local now
	now=$(grep -c '^posted' "$LAB/relay-bluevm-1.log") || true
	fresh || [ $((now - posted)) -lt 15 ] || wait_for 15 "ten other seconds" fresh
	! fresh || posted=$now
	window=$(($(date +%s) / 10))
}
once() {
	paced
	"$AGENT" "${agent_args[@]}" --once >"$LAB/once.out" 2>&1 || fail "$1: $(cat "$LAB/once.out")"
}
state_of() { "$REPO" instructions --json | jq -r --arg id "$1" '.[] | select(.id == $id).state'; }
order() { instruct --json "$@" | jq -r .id; }
# dpkg_says PACKAGE: wanted, state, flag
dpkg_says() { dpkg-query --admindir="$dir/root/var/lib/dpkg" -W -f '${db:Status-Want} ${db:Status-Status} ${db:Status-Eflag}' "$1" 2>/dev/null || echo none; }
descendants() {
	local child
	for child in $(children_of "$1"); do
		echo "$child"
		descendants "$child"
	done
}
gone() {
	local pid
	for pid; do ! alive "$pid" || return 1; done
}

# begin ORDER…: an agent is at it, and in the package's script; sets $torn, the operation
begin() {
	paced
	rm -f "$LAB/unpacking" "$LAB/go"
	torn=$(order "$@")
	start agent "$AGENT" "${agent_args[@]}"
	wait_for 60 "the script of the package" test -e "$LAB/unpacking"
}
# cut_off ORDER…: power is lost meanwhile
cut_off() {
	local pid pids
	begin "$@"
	pid=$(pid_of agent)
	kill -STOP "$pid"
	mapfile -t pids < <(descendants "$pid")
	# Each before what it started, of whose end it would make something. A sleep may have ended by itself.
	for pid in "$pid" "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	wait "$(pid_of agent)" 2>/dev/null || true
	forget agent
	wait_for 60 "they have ended" gone "${pids[@]}"
	touch "$LAB/go"
	expect_ne "$(ls "$dir/root/var/lib/dpkg/updates")" "" "what dpkg was cut off in"
	expect_eq "$(state_of "$torn")" running "what was begun"
}

say "power is lost while dpkg unpacks, and the operator orders something else"
cut_off install slow=1.0
"$REPO" instruct cancel --force "$torn" >/dev/null
other=$(order install app)
once "an order after dpkg was cut off"
expect_eq "$(state_of "$other") $(installed app)" "done 1.0" "$(cat "$LAB/once.out"): the next order"
expect_eq "$(installed slow)" 2.0 "what was half unpacked is whole again"
order remove slow >/dev/null
once "it is removed"

say "power is lost while dpkg unpacks, and the agent goes on, later than others may begin it"
cut_off install slow=1.0
repo_stop
sqlite3 "$STATE/repo.db" "UPDATE operations SET expires = 1 WHERE id = '$torn'"
repo_start
other=$(order remove app) # a new document
once "after dpkg was cut off"
expect_eq "$(state_of "$torn") $(installed slow)" "done 1.0" "$(cat "$LAB/once.out"): what was gone on with"
expect_eq "$(state_of "$other") $(installed app)" "done none" "what came later"
order remove slow >/dev/null
once "it is removed"

say "power is lost while dpkg unpacks what is to be removed"
cut_off install slow=1.0
"$REPO" instruct cancel --force "$torn" >/dev/null
other=$(order remove slow)
once "what is half unpacked is removed"
expect_eq "$(state_of "$other") $(dpkg_says slow)" "done none" "$(cat "$LAB/once.out"): removed"

say "of what is half unpacked, another repository has one"
cut_off install slow=1.0
printf 'Package: alien\nStatus: install reinstreq half-installed\nArchitecture: all\nMaintainer: Test\nDescription: test\n\n' \
	>>"$dir/root/var/lib/dpkg/status"
"$REPO" instruct cancel --force "$torn" >/dev/null
other=$(order install app)
once "one that cannot be installed again"
expect_eq "$(state_of "$other") $(dpkg_says slow)" "done install installed ok" "$(cat "$LAB/once.out"): it does not keep the other from being whole"
other=$(order remove alien)
once "it is removed"
expect_eq "$(state_of "$other") $(dpkg_says alien)" "done none" "$(cat "$LAB/once.out"): removed as it was"
order remove slow >/dev/null
once "and the other"

say "power is lost while dpkg removes"
order install leaving >/dev/null
once "it is installed"
cut_off remove leaving
"$REPO" instruct cancel --force "$torn" >/dev/null
other=$(order install app)
once "an order after dpkg was cut off"
expect_eq "$(state_of "$other") $(installed app)" "done 1.0" "$(cat "$LAB/once.out"): the next order"
expect_eq "$(grep -c ' install leaving' "$dir/root/var/log/dpkg.log") $(installed leaving)" "1 none" "what was to go is not put there again"
order install leaving >/dev/null
once "it is installed again"
cut_off remove leaving
"$REPO" instruct cancel --force "$torn" >/dev/null
other=$(order install leaving)
once "it is wanted after all"
expect_eq "$(state_of "$other") $(dpkg_says leaving) $(installed leaving)" "done install installed ok 1.0" "$(cat "$LAB/once.out"): it is whole"

say "the agent alone is killed, and dpkg goes on"
begin install slow=1.0
kill -KILL "$(pid_of agent)"
wait "$(pid_of agent)" 2>/dev/null || true
forget agent
: >"$LAB/agent.log"
start agent "$AGENT" "${agent_args[@]}" --once
wait_for 60 "the next one is at it" grep -q "$torn: install, again" "$LAB/agent.log"
touch "$LAB/go"
collect agent || fail "the next one: $(cat "$LAB/agent.log")"
expect_eq "$(state_of "$torn") $(installed slow)" "done 1.0" "$(cat "$LAB/agent.log"): what was gone on with"

say "another program holds dpkg's lock, and waits for the agent's end"
order remove slow app >/dev/null
once "they are removed"
rm -f "$LAB/held"
start holder "$PYTHON" -c '
import fcntl, signal, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
open(sys.argv[2], "w")
signal.pause()' "$dir/root/var/lib/dpkg/lock-frontend" "$LAB/held"
wait_for 30 "the lock is held" test -e "$LAB/held"
other=$(order install app)
: >"$LAB/agent.log"
start agent "$AGENT" "${agent_args[@]}"
wait_for 60 "the agent is at it" grep -q "$other: install" "$LAB/agent.log"
end_pid "$(pid_of agent)" 60 || fail "it does not end: $(cat "$LAB/agent.log")"
forget agent
stop holder
expect_eq "$(state_of "$other") $(installed app)" "running none" "$(cat "$LAB/agent.log"): put off"
once "the lock is free"
expect_eq "$(state_of "$other") $(installed app)" "done 1.0" "$(cat "$LAB/once.out"): gone on with"

say "nobody takes the report of its end"
paced
rm -f "$LAB/unpacking" "$LAB/go"
lost=$(order install late)
start agent "$AGENT" "${agent_args[@]}" --once
wait_for 60 "the script of the package" test -e "$LAB/unpacking"
relay() {
	end_pid "$(pid_of relay-bluevm-1)" || true
	forget relay-bluevm-1
	start relay-bluevm-1 "$PYTHON" "$HERE/signer.py" "${RELAY##*:}" "$LAB/tenants.sock" "$LAB/secret" blue "$@"
	wait_for 10 "the signer listens" curl -s -o /dev/null "$RELAY/"
}
relay # a VM without a port binding
expect_eq "$(status_of "$RELAY/sluice/v1/events" -X POST -d '{"events":[]}')" 404 "a VM without a port binding"
touch "$LAB/go"
collect agent && fail "the agent is content without an answer"
expect_eq "$(installed late)" 1.0 "installed"
expect_eq "$(state_of "$lost")" running "nobody was told"
relay vm-1
once "the port binding is there again"
expect_eq "$(state_of "$lost")" "done" "told by now"

say "results of years"
# grown COUNT LOG: a state with so many results of the past
grown() {
	jq --argjson n "$1" --arg log "$2" '.ended += ([range($n) | {key: "old\(.)", value:
		{state: "done", message: "", log: $log, told: true}}] | from_entries)' \
		"$LAB/agent/state.json" >"$LAB/grown" && mv "$LAB/grown" "$LAB/agent/state.json"
}
cp "$LAB/agent/state.json" "$LAB/young"
grown 300 "$(head -c 4000 /dev/zero | tr '\0' x)"
expect_ge "$(stat -c %s "$LAB/agent/state.json")" 1200000 "bytes of it"
order remove app >/dev/null
once "a state of 300 results with logs"
expect_eq "$(installed app)" none "removed"
expect_le "$(stat -c %s "$LAB/agent/state.json")" 100000 "bytes of it, once the logs were heard"

cp "$LAB/young" "$LAB/agent/state.json"
grown $((999 - $(jq '.ended | length' "$LAB/young"))) ""
ids=("$(order install app)" "$(order install third)" "$(order install fourth)")
once "a state of 999 results"
for id in "${ids[@]}"; do
	expect_eq "$(grep -c "operation $id: install" "$LAB/once.out")" 1 "how often $id was done: $(cat "$LAB/once.out")"
	expect_eq "$(state_of "$id")" "done" "the operation $id"
done
expect_le "$(jq '.ended | length' "$LAB/agent/state.json")" 1000 "results remembered"

say "an end that the repository has forgotten is told again with the next order"
repo_stop
sqlite3 "$STATE/repo.db" "UPDATE operations SET state = 'running' WHERE id = '${ids[0]}'"
repo_start
order remove third >/dev/null
once "an end forgotten"
expect_eq "$(state_of "${ids[0]}")" "done" "told again"
