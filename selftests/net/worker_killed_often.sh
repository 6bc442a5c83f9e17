#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# alone: load and timing
#
# A hundred SIGKILLs to workers at random points of a busy relay: every body that is complete is
# right, and the service is there at the end.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 262144 $((4 * MIB))
# Enough of them that one is seldom killed young twice in a row, after which its slot waits.
WORKERS=6
RELAY_YAML=$'pipes_small: 8\npipes_large: 4'
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done

load() {
	local vm=$1 file=$LAB/load.$1.$2 size
	while [ ! -e "$LAB/enough" ]; do
		for size in 1024 262144 $((4 * MIB)); do
			if in_ns "$vm-vm" curl -q -s --fail --noproxy '*' --connect-timeout 3 --max-time 10 \
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
loads=()
for bridge in $BRIDGES; do
	for i in 1 2; do
		load "$bridge" $i >"$LAB/load.$bridge.$i.result" &
		loads+=($!)
	done
done

kills=0
deadline=$((SECONDS + 45 * SLOW))
pid=$(pid_of sluiced)
while [ $kills -lt 100 ] && [ $SECONDS -lt $deadline ]; do
	mapfile -t victims < <(children_of "$pid" | shuf -n 1)
	if [ ${#victims[@]} -gt 0 ] && kill -KILL "${victims[0]}" 2>/dev/null; then
		kills=$((kills + 1))
	fi
	sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
done
expect_eq $kills 100 "kills within the time"
touch "$LAB/enough"
for load in "${loads[@]}"; do
	wait "$load"
done
wait_sluiced
expect_eq "$(cat "$LAB"/load.*.result | grep -c CORRUPT || true)" 0 "corrupted bodies"
expect_ge "$(cat "$LAB"/load.*.result | grep -c whole || true)" 10 "whole bodies"
for bridge in $BRIDGES; do
	for _ in 1 2 3 4; do
		expect_document "$bridge" 262144 "afterwards"
	done
done
