#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
# alone: load and timing
#
# Workers are killed by SIGKILL under load, again and again: what they held is cut, nothing is
# corrupted, and new connections are served without anyone's help.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 1048576 $((16 * MIB))

# A client that never gives up; a body it was told is whole must be whole.
load() {
	local vm=$1 file=$LAB/load.$1.$2 size
	while [ ! -e "$LAB/enough" ]; do
		for size in 1024 1048576 $((16 * MIB)); do
			if in_ns "$vm-vm" curl -q -s --fail --noproxy '*' --connect-timeout 5 --max-time 20 \
				-o "$file" "$META/$size"; then
				if [ "$(sha256sum <"$file" | cut -d ' ' -f 1)" = "${SUM[$size]}" ]; then
					echo whole
				else
					echo CORRUPT
				fi
			else
				echo cut
			fi
		done
	done
}
serving() { expect_document "$1" 1024 "after the kill" 2>/dev/null; }

for bridge in $BRIDGES; do
	start_sluiced inline
	attach "$bridge" --bridge "$bridge"
	rm -f "$LAB/enough"
	loads=()
	for i in 1 2 3 4; do
		load "$bridge" $i >"$LAB/load.$i.result" &
		loads+=($!)
	done
	for _ in 1 2 3 4 5 6; do
		sleep 0.7
		victim=$(worker_pids | shuf -n 1)
		kill -KILL "$victim"
		started=$SECONDS
		until (serving "$bridge"); do
			[ $((SECONDS - started)) -le $((5 * SLOW)) ] || fail "not served 5 s after a kill ($bridge)"
		done
	done
	wait_sluiced
	touch "$LAB/enough"
	for pid in "${loads[@]}"; do
		wait "$pid"
	done
	expect_eq "$(cat "$LAB"/load.*.result | grep -c CORRUPT || true)" 0 "corrupted bodies ($bridge)"
	expect_ge "$(cat "$LAB"/load.*.result | grep -c whole || true)" 20 "whole bodies ($bridge)"
	for i in 1 2 3 4 5 6 7 8 9 10; do
		expect_document "$bridge" 1048576 "after the last restart ($bridge)"
	done
	expect_ge "$(sluice status --json | jq '[.workers[].restarts] | add')" 6 "restarts counted"
	stop_sluiced
done
