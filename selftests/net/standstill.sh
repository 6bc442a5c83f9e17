#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# The whole machine stands still, as one that is moved or suspended does, in the middle of transfers
# and of a reload's drain: whoever goes on first, parent or workers, nobody is ended and nothing is cut.
# One worker that stands still alone serves on later; others get what is new meanwhile.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

BODY=$((8 * MIB))
path_lab 1024 $BODY
RELAY_YAML='drain_timeout: 300000'
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done
parent=$(pid_of sluiced)

# transfers WHEN, whole WHEN: a body that is read slowly, in each tenant
transfers() {
	for bridge in $BRIDGES; do
		start "$1-$bridge" in_ns "$bridge-vm" curl -qsS --fail --noproxy '*' --limit-rate 512K \
			-o "$LAB/$1-$bridge" "$META/$BODY"
	done
	for bridge in $BRIDGES; do
		wait_for 10 "the body of $bridge to come" test -s "$LAB/$1-$bridge"
	done
}
whole() {
	for bridge in $BRIDGES; do
		collect "$1-$bridge" || fail "begun $1 the reload, cut ($bridge): $(cat "$LAB/$1-$bridge.log")"
		expect_eq "$(sha256sum <"$LAB/$1-$bridge" | cut -d ' ' -f 1)" "${SUM[$BODY]}" \
			"begun $1 the reload ($bridge)"
	done
}

transfers before
sluice reload >"$LAB/reload.log" || fail "reload"
renewed() { sluice status --json | jq -e '[.workers[].state] | index("draining") and all(. != "starting")'; }
wait_for 20 "the reload's drain" renewed
transfers after

say "workers go on first"
mapfile -t workers < <(worker_pids)
kill -STOP "$parent" "${workers[@]}"
sleep 7
kill -CONT "${workers[@]}" || fail "a worker was ended"
kill -CONT "$parent"
for bridge in $BRIDGES; do
	expect_document "$bridge" 1024 "workers first"
done

say "the parent goes on first, and looks twice at workers that stand still"
assigned=$(sluice status --json | jq .features.reuseport_assign)
alone=$(sluice status --json | jq '[.workers[] | select(.role != "back" and .state == "serving")][0].pid')
mapfile -t workers < <(worker_pids | grep -vx "$alone")
kill -STOP "$parent" "$alone" "${workers[@]}"
sleep 7
kill -CONT "$parent"
sleep 2.5
kill -CONT "${workers[@]}" || fail "a worker was ended"

say "one of them goes on much later"
if [ "$assigned" = true ]; then
	wait_for 10 "new connections to go to others" grep -q "(pid $alone) is silent" "$LAB/sluiced.log"
	for _ in 1 2 3 4; do
		for bridge in $BRIDGES; do expect_document "$bridge" 1024 "beside a silent worker"; done
	done
	kill -CONT "$alone"
	wait_for 10 "new connections for all" grep -q "(pid $alone) is heard of again" "$LAB/sluiced.log"
else
	sleep 4
	kill -CONT "$alone"
fi
for bridge in $BRIDGES; do
	expect_document "$bridge" 1024 "the parent first"
done

whole before
whole after
expect_eq "$(sluice status --json | jq '[.workers[].restarts] | add')" 0 "restarts"
ends='is killed|ended:'
# The sanitizer looks for leaks at a worker's regular end, and the sandbox ends it for that.
[ -z "${SANITIZE:-}" ] || ends='is killed|ended: signal 9'
if grep -E "$ends" "$LAB/sluiced.log"; then fail "a worker was ended"; fi
