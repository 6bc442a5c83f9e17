#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
#
# A reload whose new workers end before they serve: those of before serve on, new connections too, until
# one can be started.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
WORKERS=1
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge" --fail drop
done
wait_sluiced
pid=$(pid_of sluiced)
generation() { sluice status --json | jq '[.workers[].generation] | max'; }
before=$(generation)

# Their user may have no process more: they end when they would begin.
nproc=$(awk '/^Max processes/ { print $3 }' "/proc/$pid/limits")
prlimit --pid "$pid" --nproc=0:
sluice reload >>"$LAB/reload.log" || fail "reload"
restarted() { sluice status --json | jq -e --argjson n "$1" '.workers | all(.restarts >= $n)'; }
for times in 1 2 3 4; do
	wait_for 15 "every new worker to end $times times" restarted $times
	for bridge in $BRIDGES; do
		for _ in 1 2 3 4; do
			expect_document "$bridge" 1024 "while no new worker lives ($bridge)"
		done
	done
done
# One that is being started is told of, too, until it ends.
of_before() {
	sluice status --json | jq -e --argjson was "$before" \
		'.workers | all(.generation == $was and .state == "serving")'
}
wait_for 15 "those of before to be all there is" of_before

prlimit --pid "$pid" --nproc="$nproc":
renewed() {
	sluice status --json | jq -e --argjson was "$before" \
		'.workers | all(.generation > $was and .state == "serving")'
}
wait_for 20 "the new workers to serve" renewed
for bridge in $BRIDGES; do
	expect_document "$bridge" 1024 "afterwards ($bridge)"
done
