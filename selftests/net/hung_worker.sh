#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# The parent dies while one of its workers hangs, for ever. The others serve on while the successor waits
# for that one, which is ended then; nothing else is lost with it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

BODY=$((24 * MIB)) # more than sockets hold
path_lab 1024 $BODY
WORKERS=3
RELAY_YAML='drain_timeout: 300000'
start_sluiced
attach fd
saved() { saved_state | jq -e '[.tenants[] | select(.gate)] | length == 1'; }
wait_for 5 "the state to be written" saved

# holder PORT: the worker that has the VM's connection from there
holder() { in_ns fd ss -Htnp state established "dport = :$1" | sed -n 's/.*pid=\([0-9]*\).*/\1/p'; }
declare -A held_by=()
port=41000
while [ "$(printf '%s\n' "${held_by[@]}" | sort -u | grep -c .)" -lt $WORKERS ]; do
	port=$((port + 1))
	[ $port -lt 41030 ] || fail "30 transfers, and not one for each worker"
	start "slow-$port" in_ns fd-vm curl -qsS --fail --noproxy '*' --limit-rate 2M --local-port $port \
		-o "$LAB/slow-$port" "$META/$BODY"
	wait_for 10 "body $port to come" test -s "$LAB/slow-$port"
	held_by[$port]=$(holder $port)
done

hung=${held_by[$port]}
kill -STOP "$hung"
kill_sluiced
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
called() { ss -Hxl | awk -v path="/run/sluice/$INSTANCE/workers/$hung" '$5 == path && $3 > 0 { n++ } END { exit !n }'; }
wait_for 20 "the successor to call the worker that hangs" called
hangs() { grep -q '^State:.T' "/proc/$hung/status" 2>/dev/null; }
# One in three new connections is for the worker that hangs.
for i in {1..9}; do
	start "new-$i" in_ns fd-vm curl -qsS --noproxy '*' -o /dev/null -w '%{http_code}\n' "$META/1024"
done
answered=
while [ -z "$answered" ] && hangs; do
	! grep -qx 200 "$LAB"/new-*.log || answered=1
	sleep 0.05
done
[ -n "$answered" ] || fail "nobody was served as long as a worker hung"
for i in {1..9}; do
	collect "new-$i" || true
done

wait_sluiced
expect_document fd 1024 "afterwards"
if hangs; then fail "the worker that hung is still there"; fi
for port in "${!held_by[@]}"; do
	if [ "${held_by[$port]}" = "$hung" ]; then
		collect "slow-$port" || true
		continue
	fi
	collect "slow-$port" || fail "transfer $port: $(cat "$LAB/slow-$port.log")"
	expect_eq "$(sha256sum <"$LAB/slow-$port" | cut -d ' ' -f 1)" "${SUM[$BODY]}" "body $port"
done
expect_eq "$(grep -c 'does not answer' "$LAB/sluiced.log")" 1 "workers that did not answer"
