#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# What an agent goes on with: the state of years, a dpkg that was cut in two by another operation,
# and reports that nobody took.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
# shellcheck source-path=SCRIPTDIR source=lib/agent.sh
. "$(dirname "$0")/lib/agent.sh"
repo_begin
make_key
"$REPO" upload "$(make_deb app 1.0)" "$(make_deb third 1.0)" "$(make_deb fourth 1.0)" >/dev/null
# Their script says that it is there, and waits to be let go on.
for name in slow late; do
	deb=$(make_deb $name 1.0)
	dpkg-deb -R "$deb" "$LAB/$name"
	cat >"$LAB/$name/DEBIAN/preinst" <<-SCRIPT
		#!/bin/sh
		touch $LAB/unpacking
		until [ -e $LAB/go ]; do sleep 0.1; done
	SCRIPT
	chmod 755 "$LAB/$name/DEBIAN/preinst"
	dpkg-deb -Znone --root-owner-group -b "$LAB/$name" "$deb" >/dev/null
	"$REPO" upload "$deb" >/dev/null
done
publish
agent_begin
# The root has no shell for it.
echo 'DPkg::Options { "--force-script-chrootless"; };' >>"$LAB/apt.conf"
"$REPO" instruct-key create
"$REPO" instruct-key show >"$LAB/agent.pub"
once() { "$AGENT" "${agent_args[@]}" --once >"$LAB/once.out" 2>&1 || fail "$1: $(cat "$LAB/once.out")"; }
state_of() { "$REPO" instructions --json | jq -r --arg id "$1" '.[] | select(.id == $id).state'; }
order() { instruct --json "$@" | jq -r .id; }
descendants() {
	local child
	for child in $(children_of "$1"); do
		descendants "$child"
		echo "$child"
	done
}

# cut_off: power is lost while dpkg unpacks slow; sets $torn, the operation
cut_off() {
	local pid pids
	rm -f "$LAB/unpacking" "$LAB/go"
	torn=$(order install slow)
	start agent "$AGENT" "${agent_args[@]}"
	wait_for 60 "the script of the package" test -e "$LAB/unpacking"
	pid=$(pid_of agent)
	# The agent first, so that it does not report what becomes of the others.
	kill -STOP "$pid"
	mapfile -t pids < <(descendants "$pid")
	kill -KILL "$pid" "${pids[@]}"
	wait "$pid" 2>/dev/null || true
	forget agent
	touch "$LAB/go"
	expect_ne "$(ls "$dir/root/var/lib/dpkg/updates")" "" "what dpkg was cut off in"
	expect_eq "$(state_of "$torn") $(installed slow)" "running none" "what was begun"
}

say "power is lost while dpkg unpacks, and the operator orders something else"
cut_off
"$REPO" instruct cancel --force "$torn" >/dev/null
other=$(order install app)
once "an order after dpkg was cut off"
expect_eq "$(state_of "$other") $(installed app)" "done 1.0" "$(cat "$LAB/once.out"): the next order"
expect_eq "$(installed slow)" 1.0 "what was half unpacked is whole again"
order remove slow >/dev/null
once "it is removed"

say "power is lost while dpkg unpacks, and the agent goes on"
cut_off
once "after dpkg was cut off"
expect_eq "$(state_of "$torn") $(installed slow)" "done 1.0" "what was gone on with"
order remove slow >/dev/null
once "it is removed"
cut_off
"$REPO" instruct cancel --force "$torn" >/dev/null
other=$(order remove slow)
once "what is half unpacked is removed"
expect_eq "$(state_of "$other") $(dpkg-query --admindir="$dir/root/var/lib/dpkg" -W -f '${db:Status-Status}' slow 2>/dev/null)" "done " "$(cat "$LAB/once.out"): removed"

say "nobody takes the report of its end"
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
