#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# The parent of transfers dies, and its successor meets workers that stand still, and then stands still
# itself while they answer: it takes them over as they are.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

BODY=$((4 * MIB))
path_lab 1024 $BODY
RELAY_YAML='drain_timeout: 300000'
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done
saved() { saved_state | jq -e --argjson n "$1" '[.tenants[] | select(.gate)] | length == $n'; }
wait_for 5 "the state to be written" saved "$(wc -w <<<"$BRIDGES")"
for bridge in $BRIDGES; do
	start "slow-$bridge" in_ns "$bridge-vm" curl -qsS --fail --noproxy '*' --limit-rate 512K \
		-o "$LAB/slow-$bridge" "$META/$BODY"
	wait_for 10 "the body of $bridge to come" test -s "$LAB/slow-$bridge"
done

mapfile -t workers < <(worker_pids)
kill -STOP "${workers[@]}"
kill_sluiced
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
# It has dialled the first of them, and waits.
dialled() { ss -Hxl | awk -v dir="/run/sluice/$INSTANCE/workers/" 'index($5, dir) && $3 > 0 { n++ } END { exit !n }'; }
wait_for 20 "the successor to call a worker" dialled
sleep 3.5
kill -STOP "$(pid_of sluiced)"
kill -CONT "${workers[@]}"
sleep 3.5
kill -CONT "$(pid_of sluiced)"
wait_sluiced

for bridge in $BRIDGES; do
	collect "slow-$bridge" || fail "the transfer of $bridge: $(cat "$LAB/slow-$bridge.log")"
	expect_eq "$(sha256sum <"$LAB/slow-$bridge" | cut -d ' ' -f 1)" "${SUM[$BODY]}" "the body of $bridge"
	expect_document "$bridge" 1024 "afterwards"
done
expect_has "$(cat "$LAB/sluiced.log")" "taken over from" "what the successor says"
if grep -E 'does not answer|is killed|ended:' "$LAB/sluiced.log"; then fail "a worker was ended"; fi
