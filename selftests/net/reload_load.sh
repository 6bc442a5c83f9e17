#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Reload after reload under load, with more workers, with fewer, with another engine and other
# limits: no connection is refused, no request fails, no body is cut, and old workers go.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/load.sh
. "$TOP/selftests/lib/load.sh"

path_lab 1024 $LOAD_BIG
RELAY_YAML='drain_timeout: 300000'
# A single listener becomes a group.
WORKERS=1
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done

# reload WORKERS: applied when so many of each role serve, and listeners are as many
reload() {
	WORKERS=$1
	sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
	sluice reload >>"$LAB/reload.log" || fail "reload to $1 workers"
	wait_for 20 "$1 workers of each role to serve" serving "$1"
}
serving() {
	local bridge
	sluice status --json | jq -e --argjson n "$1" \
		'[.workers[] | select(.state == "serving")] | group_by(.role) | all(length == $n)' || return
	for bridge in $BRIDGES; do
		[ "$(tenant "$bridge" '[.listeners[].worker] | max + 1')" = "$1" ] || return
	done
}

# shellcheck disable=SC2086 # a list of words
load_begin $BRIDGES
reload 3
ENGINE=uring
reload 3
ENGINE=copy LIMITS_YAML='head_size: 8192'
reload 1
ENGINE=inline GUARD_YAML='source_rate: 5000'
reload 2
load_end "four reloads"

old_gone() { sluice status --json | jq -e '[.workers[].generation] | unique | length == 1'; }
wait_for 20 "the old workers to go" old_gone
for bridge in $BRIDGES; do
	expect_eq "$(tenant "$bridge" '.relay | .closed_shutdown + .closed_origin + .closed_timeout')" 0 \
		"connections of $bridge that were cut"
	expect_document "$bridge" 1024 "afterwards"
done
