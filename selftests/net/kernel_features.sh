#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the running kernel lacks is said in a line of "status", and does without it: below 6.6 all
# workers share one listener of a tenant, from 6.6 on each has its own and nothing is degraded.
# Documents arrive whole over each engine and bridge, IPv4 and IPv6; both workers take their part,
# and one takes all while the other is made anew.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((4 * MIB))
WORKERS=2
fetch() {
	expect_document "$3" $((4 * MIB)) "$1, $2"
	expect_document "$3" $((4 * MIB)) "$1, $2, IPv6" "http://[fe80::a9fe:a9fe%25eth0]/"
}
each_path fetch

start_sluiced
attach fd

IFS=. read -r major minor _ <<<"$(uname -r)"
degraded=$(sluice status --json | jq -c .degraded)
listeners=$(tenant fd '[.listeners[] | select(.port == 80)] | length')
if [ $((major * 1000 + minor)) -lt 6006 ]; then
	expect_has "$degraded" "one listener per worker" "degraded"
	expect_eq "$(jq length <<<"$degraded")" 1 "lines of degraded ($degraded)"
	expect_has "$(sluice status)" "one listener per worker" "status for people"
	expect_eq "$listeners" 2 "listeners: one a family"
else
	expect_eq "$degraded" "[]" "degraded"
	expect_eq "$listeners" 4 "listeners: one a family and worker"
fi

start spread in_ns fd-vm "$PYTHON" "$TOOLS/rawhttp.py" --linger 4 spread 60 /1024
answered() { grep -q . "$LAB/spread.log"; }
wait_for 20 "sixty answers" answered
both_busy() { sluice status --json | jq -e '[.workers[].connections] | add == 60 and min > 5'; }
wait_for 4 "both workers to have some of the connections" both_busy
collect spread || fail "the sixty connections"

victim=$(worker_pids | head -n 1)
kill -KILL "$victim"
expect_document fd $((4 * MIB)) "after a worker was killed"
wait_sluiced
expect_document fd 1024 "after it is back"
stop_sluiced
