#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# The parent of transfers dies, and its successor meets workers that stand still, and then stands still
# itself while they answer: it takes them over as they are. So does the next one, whose workers cannot
# answer at first, for their user has as many descriptors on their way as one may.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

BODY=$((4 * MIB))
path_lab 1024 $BODY
RELAY_YAML='drain_timeout: 300000'
LIMITS_YAML=$'connections: 64\ntenants: 8' # workers may have 4352 descriptors
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done
saved() { saved_state | jq -e --argjson n "$1" '[.tenants[] | select(.gate)] | length == $n'; }
wait_for 5 "the state to be written" saved "$(wc -w <<<"$BRIDGES")"
begin_transfers() {
	local bridge
	for bridge in $BRIDGES; do
		rm -f "$LAB/slow-$bridge"
		start "slow-$bridge" in_ns "$bridge-vm" curl -qsS --fail --noproxy '*' --limit-rate 512K \
			-o "$LAB/slow-$bridge" "$META/$BODY"
		wait_for 10 "the body of $bridge to come" test -s "$LAB/slow-$bridge"
	done
}
# taken_over: transfers go on, no worker was ended
taken_over() {
	local bridge
	for bridge in $BRIDGES; do
		collect "slow-$bridge" || fail "the transfer of $bridge: $(cat "$LAB/slow-$bridge.log")"
		expect_eq "$(sha256sum <"$LAB/slow-$bridge" | cut -d ' ' -f 1)" "${SUM[$BODY]}" "the body of $bridge"
		expect_document "$bridge" 1024 "afterwards"
	done
	expect_has "$(cat "$LAB/sluiced.log")" "taken over from" "what the successor says"
	if grep -E 'does not answer|is killed|ended:' "$LAB/sluiced.log"; then fail "a worker was ended"; fi
}
begin_transfers

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
taken_over

begin_transfers
MANY=5000
start flight setpriv --reuid 64999 --clear-groups "$PYTHON" -c "
import os, socket, time
ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
null = os.open('/dev/null', os.O_RDONLY)
for _ in range($MANY // 250):
    socket.send_fds(ends[0], [b'x'], [null] * 250)
print('sent', flush=True)
time.sleep(1000)"
wait_for 10 "descriptors on their way" grep -q sent "$LAB/flight.log"
kill_sluiced
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
called() { ss -Hx | grep -q "/run/sluice/$INSTANCE/workers/"; }
wait_for 20 "a worker to be called" called
sleep 1
stop flight
wait_sluiced
taken_over
