#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
# alone: load and timing
#
# A hundred SIGKILLs to workers at random points of a busy relay, with every engine: what a worker
# held is cut, a body that a client was told is whole is right, and new connections are served
# within seconds without anyone's help.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 262144 $((4 * MIB))
# Enough of them that one is seldom killed young twice in a row, after which its slot waits.
WORKERS=6
RELAY_YAML=$'pipes_small: 8\npipes_large: 4'
KILLS=$((102 / $(wc -w <<<"$ENGINES")))

# load TENANT NUMBER: a client that never gives up
load() {
	local vm=$1 file=$LAB/load.$1.$2 size
	while [ ! -e "$LAB/enough" ]; do
		for size in 1024 262144 $((4 * MIB)); do
			if in_ns "$vm-vm" curl -q -s --fail --noproxy '*' --connect-timeout $((3 * PATIENCE)) --max-time $((10 * PATIENCE)) \
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
results() { cat "$LAB"/load.*.result | grep -c "$1" || true; }
ten_whole() { [ "$(results whole)" -ge 10 ]; }
serves() { (expect_document "$1" 1024) 2>/dev/null; }

# kill_one: a worker at random; false when there is none at this moment that was not killed yet
kill_one() {
	local victim
	victim=$(children_of "$(pid_of sluiced)" | shuf -n 1)
	[ -n "$victim" ] && [ "$victim" != "$last_killed" ] && kill -KILL "$victim" 2>/dev/null &&
		last_killed=$victim
}
restarted() { [ "$(sluice status --json | jq '[.workers[].restarts] | add')" -ge "$1" ]; }

for engine in $ENGINES; do
	start_sluiced "$engine"
	rm -f "$LAB/enough" "$LAB"/load.*.result
	loads=()
	for bridge in $BRIDGES; do
		attach "$bridge" --bridge "$bridge"
		for i in 1 2; do
			load "$bridge" $i >"$LAB/load.$bridge.$i.result" &
			loads+=($!)
		done
	done

	kills=0 last_killed=''
	deadline=$((SECONDS + 45 * PATIENCE))
	while [ $kills -lt $KILLS ] && [ $SECONDS -lt $deadline ]; do
		sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
		kill_one || continue
		kills=$((kills + 1))
		[ $((kills % 12)) -eq 0 ] || continue
		for bridge in $BRIDGES; do
			wait_for 5 "$bridge to be served after kill $kills ($engine)" serves "$bridge"
		done
	done
	expect_eq $kills "$KILLS" "kills within the time ($engine)"
	wait_for 10 "ten whole bodies ($engine)" ten_whole
	touch "$LAB/enough"
	for load in "${loads[@]}"; do
		wait "$load"
	done
	wait_sluiced
	expect_eq "$(results CORRUPT)" 0 "corrupted bodies ($engine)"
	# One that was killed young waits a while before it is started again.
	wait_for 20 "$KILLS restarts to be counted ($engine)" restarted "$KILLS"
	for bridge in $BRIDGES; do
		for _ in 1 2 3 4; do
			expect_document "$bridge" 262144 "afterwards ($engine)"
		done
	done
	say "$engine: $kills kills, $(results whole) whole, $(results cut) cut"
	stop_sluiced
done
