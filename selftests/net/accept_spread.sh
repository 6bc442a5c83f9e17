#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A thousand connections open at once over four workers: each has its share, but for what a SYN that
# is sent again may change.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
WORKERS=4
LIMITS_YAML='connections_per_client: 2000'
GUARD_YAML='mode: tc
syn_rate: 100000
syn_burst: 100000
interface_syn_rate: 0'
start_sluiced
attach fd

ulimit -n 4096
start spread in_ns fd-vm "$PYTHON" "$TOOLS/rawhttp.py" --linger 60 spread 1000 /1024
answered() { grep -q . "$LAB/spread.log"; }
wait_for 20 "a thousand answers" answered
expect_eq "$(cat "$LAB/spread.log")" "1000 200 1024 ${SUM[1024]}" "answers"
all_known() { [ "$(sluice status --json | jq '[.workers[].connections] | add')" = 1000 ]; }
wait_for 10 "all of them to be known to status" all_known
shares=$(sluice status --json | jq -c '[.workers[].connections]')
say "connections per worker: $shares"
expect_eq "$(jq add <<<"$shares")" 1000 "connections that status knows of ($shares)"
expect_ge "$(jq min <<<"$shares")" 230 "the least loaded worker ($shares)"
expect_le "$(jq max <<<"$shares")" 270 "the most loaded worker ($shares)"
stop spread
