#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
#
# Upgrade after upgrade, the next before the last has settled, while one client of a tenant makes
# connections one after the other: a connection that woke a worker just as that worker stopped
# accepting is accepted all the same, although none follows that would wake another.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
PAIRS=20

path_lab 1024
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	start "steady-$bridge" in_ns "$bridge-vm" "$PYTHON" "$TOOLS/steady.py" \
		new "$META/1024" "${SUM[1024]}" "$LAB/stop"
done
pid=$(pid_of sluiced)

upgraded() { [ "$(sluice status --json | jq .upgrades)" -ge $((2 * pair)) ]; }
for ((pair = 1; pair <= PAIRS; pair++)); do
	sluice upgrade >>"$LAB/upgrade.log" || fail "upgrade: $(tail -n 1 "$LAB/upgrade.log")"
	kill -USR2 "$pid"
	wait_for 20 "both upgrades of pair $pair" upgraded
done
touch "$LAB/stop"
for bridge in $BRIDGES; do
	collect "steady-$bridge" || fail "requests of $bridge: $(tail -n 4 "$LAB/steady-$bridge.log")"
	read -r made _ <"$LAB/steady-$bridge.log"
	expect_ge "$made" 50 "requests of $bridge"
done
