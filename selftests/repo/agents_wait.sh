#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# alone: it measures processor time
#
# A thousand agents wait in long poll: they cost sluice-repod next to nothing, an instruction reaches
# the one it is for at once and wakes nobody else, and stopping lets all of them go.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
AGENTS=${AGENTS:-1000}
repo_begin
"$REPO" instruct-key create

ulimit -n 65536 2>/dev/null || true
start agents "$PYTHON" "$HERE/agents.py" "$LAB/tenants.sock" "$LAB/secret" "$AGENTS" 60
wait_for 60 "all agents wait" grep -q '^waiting' "$LAB/agents.log"
pid=$(pid_of repod)
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
before=$(ticks)
sleep 5
used=$((($(ticks) - before) * 1000 / $(getconf CLK_TCK)))
memory=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")
printf '%s agents waiting: %s ms of processor time in 5 s, %s KiB resident\n' "$AGENTS" "$used" "$memory"
expect_le "$used" $((250 * SLOW)) "milliseconds of processor time in 5 s"
[ -n "${SANITIZE:-}" ] || expect_le "$memory" $((40000 + AGENTS * 64)) "KiB resident"

"$REPO" instruct --tenant blue --instance vm-7 install x >/dev/null
wait_for 5 "the one agent hears of it" grep -q '^vm-7 200' "$LAB/agents.log"
expect_eq "$(grep -c '^vm-' "$LAB/agents.log")" 1 "agents that were woken"
expect_eq "$(api_status /v1/status)" 200 "the daemon answers others meanwhile"
repo_stop
wait_for 10 "all are let go" grep -q '^ended' "$LAB/agents.log"
expect_eq "$(grep -c '^vm-.* 204' "$LAB/agents.log")" $((AGENTS - 1)) "agents that were let go in order"
