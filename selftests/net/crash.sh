#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# The parent is killed under load, and so is its successor: workers serve on, whoever comes next
# takes listeners, tenants and counters over from them, and nothing is refused or cut.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/load.sh
. "$TOP/selftests/lib/load.sh"

path_lab 1024 $LOAD_BIG
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done
saved() { saved_state | jq -e --argjson n "$1" '[.tenants[] | select(.gate)] | length == $n'; }
wait_for 5 "the state to be written" saved "$(wc -w <<<"$BRIDGES")"
cookies() { tenant "$1" '[.listeners[].socket_cookie] | sort | join(" ")'; }
first=${BRIDGES%% *}
listeners=$(cookies "$first")

# succeed: a new parent; the workers of the dead one are not its children
succeed() {
	start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
	wait_for 20 "the successor to answer" sluice status
	adopted=$(sluice status --json | jq '[.tenants[] | select(.state == "attached")] | length')
	expect_eq "$adopted" "$(wc -w <<<"$BRIDGES")" "tenants attached at the successor's first word"
	expect_eq "$(cookies "$first")" "$listeners" "listeners of $first"
}

# shellcheck disable=SC2086 # a list of words
load_begin $BRIDGES
before=$(tenant "$first" .relay.requests)
kill_sluiced
sleep 0.5
succeed
sleep 1
kill_sluiced
succeed
expect_ge "$(tenant "$first" .relay.requests)" "$before" "requests counted by three parents"
load_end "two crashes"

young() { sluice status --json | jq -e '[.workers[].generation] | unique | length == 1'; }
wait_for 20 "the orphans to be replaced" young
for bridge in $BRIDGES; do
	expect_document "$bridge" 1024 "afterwards"
	expect_eq "$(tenant "$bridge" '.relay | .closed_shutdown + .closed_origin + .closed_timeout')" 0 \
		"connections of $bridge that were cut"
done

# With the parent and one worker gone, the other one's listeners are what the successor finds.
worker=$(sluice status --json | jq '[.workers[] | select(.role == "both")][0].pid')
kill_sluiced
kill -KILL "$worker"
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
for _ in 1 2 3 4 5 6 7 8; do
	for bridge in $BRIDGES; do
		expect_document "$bridge" 1024 "after parent and worker were killed"
	done
done

# Nobody starts it again: pooled connections serve on; who needs a new one is told so, soon. A POST
# never takes one from the pool.
post() { vm_curl "$1" --no-fail -o "$LAB/answer" -D "$LAB/head" -w '%{http_code}' --data x "$META/upload/x"; }
kill_sluiced
for bridge in $BRIDGES; do
	expect_eq "$(post "$bridge")" 503 "a request without a parent ($bridge)"
	expect_has "$(cat "$LAB/answer")" "being restarted" "what a client is told ($bridge)"
	started=$EPOCHREALTIME
	expect_eq "$(post "$bridge")" 503 "a later request without a parent ($bridge)"
	expect_le "$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }')" \
		$((4000 * SLOW)) "ms until it is told, where the first waited eight seconds ($bridge)"
	grep -qi '^retry-after: [1-9]' "$LAB/head" || fail "503 without Retry-After ($bridge)"
done
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
for bridge in $BRIDGES; do
	expect_ne "$(post "$bridge")" 503 "a request when there is a parent ($bridge)"
done
