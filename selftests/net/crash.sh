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
RELAY_YAML='drain_timeout: 300000'
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done
saved() { saved_state | jq -e --argjson n "$1" '[.tenants[] | select(.gate)] | length == $n'; }
wait_for 5 "the state to be written" saved "$(wc -w <<<"$BRIDGES")"
cookies() { tenant "$1" '[.listeners[].socket_cookie] | sort | join(" ")'; }
first=${BRIDGES%% *}
listeners=$(cookies "$first")

# crash, succeed: a new parent; the workers of the dead one are not its children. Their requests for
# connections wait eight seconds for it; LATE says that it may have taken longer.
crash() {
	crashed=$EPOCHREALTIME
	kill_sluiced
}
succeed() {
	start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
	wait_for 20 "the successor to answer" sluice status
	[ "$(ms_since "$crashed")" -lt 8000 ] || LATE=1
	adopted=$(sluice status --json | jq '[.tenants[] | select(.state == "attached")] | length')
	expect_eq "$adopted" "$(wc -w <<<"$BRIDGES")" "tenants attached at the successor's first word"
	expect_eq "$(cookies "$first")" "$listeners" "listeners of $first"
}

ms_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }'; }
ended_early() { tenant "$1" '.relay | .closed_shutdown + .closed_origin + .closed_timeout'; }

declare -A early
for try in 1 2 3 4 5; do
	for bridge in $BRIDGES; do early[$bridge]=$(ended_early "$bridge"); done
	LATE=
	# shellcheck disable=SC2086 # a list of words
	load_begin $BRIDGES
	before=$(tenant "$first" .relay.requests)
	crash
	sleep 0.5
	succeed
	sleep 1
	crash
	succeed
	expect_ge "$(tenant "$first" .relay.requests)" "$before" "requests counted by three parents"
	! load_ended || break
	if [ -z "$LATE" ] || [ $try -eq 5 ]; then fail "two crashes: $LOAD_WHY"; fi
	wait_sluiced
done

young() { sluice status --json | jq -e '[.workers[].generation] | unique | length == 1'; }
wait_for 20 "the orphans to be replaced" young
for bridge in $BRIDGES; do
	expect_document "$bridge" 1024 "afterwards"
	expect_eq "$(ended_early "$bridge")" "${early[$bridge]}" "connections of $bridge that were cut"
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
	for _ in 1 2 3 4 5; do
		started=$EPOCHREALTIME
		expect_eq "$(post "$bridge")" 503 "a later request without a parent ($bridge)"
		took=$(ms_since "$started")
		[ "$took" -gt $((4000 * SLOW)) ] || break
	done
	expect_le "$took" $((4000 * SLOW)) "ms until it is told, where the first waited eight seconds ($bridge)"
	grep -qi '^retry-after: [1-9]' "$LAB/head" || fail "503 without Retry-After ($bridge)"
done
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
for bridge in $BRIDGES; do
	expect_ne "$(post "$bridge")" 503 "a request when there is a parent ($bridge)"
done
