#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# alone: it compares latencies
#
# VMs that are slow or endless in every way: heads and bodies by the byte, readers that do not read,
# idle connections, pipelining, tiny chunks, interim responses, thousands of connections. Each is
# bounded in number, memory and time, and meanwhile another tenant's requests all succeed, in time.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
CALM=()
for bridge in $BRIDGES; do
	make_tenant "calm$bridge"
	CALM+=("calm$bridge")
done
make_document big $((32 * MIB))
start_oddorigin mgmt
PER_CLIENT=64
LIMITS_YAML="connections_per_client: $PER_CLIENT
request_rate: 0
head_timeout: 1000
keepalive_timeout: 1000
body_timeout: 500
request_timeout: 1500
send_timeout: 1000"
REQUESTS=150

memory() {
	local pid total=0
	for pid in $(worker_pids); do
		total=$((total + $(awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status")))
	done
	echo $total
}

# calm TENANT [WAY]: requests, all of which must succeed; prints the p99 in ms
calm() {
	local got
	got=$(requests "$1")
	expect_eq "${got% *}" $REQUESTS "requests of $1 that succeed${2:+ while others: $2}"
	echo "${got#* }"
}

# requests TENANT: requests, some on new connections; prints how many succeeded and the p99 in ms
requests() {
	{
		vm_curl "$1" -o /dev/null -w '%{http_code} %{time_total}\n' "$META/1024?[1-$((REQUESTS * 2 / 3))]"
		vm_curl "$1" -H 'Connection: close' -o /dev/null -w '%{http_code} %{time_total}\n' \
			"$META/1024?[1-$((REQUESTS / 3))]"
	} | sort -k 2 -n | awk '$1 == 200 { ok++; t[ok] = $2 }
		END { i = int(ok * 0.99); printf "%d %d\n", ok, t[i < 1 ? 1 : i] * 1000 }'
}

open_at_most() { [ "$(tenant "$1" .relay.open)" -le "$2" ]; }
risen() { [ "$(field "$1" "$2")" -gt "$3" ]; }
field() { tenant "$1" ".relay | $2"; }

# begin ENGINE
begin() {
	start_sluiced "$1"
	for bridge in $BRIDGES; do
		attach "$bridge" --bridge "$bridge"
		attach "calm$bridge" --bridge "$bridge"
	done
	for vm in "${CALM[@]}"; do calm "$vm" >/dev/null; done
}
begin "${ENGINES%% *}"

# attack WAY COUNT COUNTER: all tenants that are no calm ones, at the same time
attack() {
	local way=$1 count=$2 counter=$3 vm before open p99 base most
	declare -A was
	base=$(calm "${CALM[0]}")
	before=$(memory)
	rm -f "$LAB/enough"
	for vm in $BRIDGES; do
		was[$vm]=$(field "$vm" "$counter")
		start "$way-$vm" in_ns "$vm-vm" "$PYTHON" "$TOOLS/slowpoke.py" "$way" "$count" 3 "$LAB/enough"
		wait_for 5 "the attack to begin" grep -q ready "$LAB/$way-$vm.log"
	done
	sleep 0.5
	# A slow byte must not cost others one: the attack's own use of these processors may, and whoever
	# else has them for a while. So one of several turns tells.
	for vm in "${CALM[@]}"; do
		most=$((10 * base + 300))
		for _ in $(seq 12); do
			p99=$(calm "$vm" "$way")
			[ "$p99" -gt $most ] || break
		done
		expect_le "$p99" $most "p99 in ms of $vm while others: $way (before: $base)"
	done
	for vm in $BRIDGES; do
		open=$(field "$vm" .open)
		expect_le "$open" $((PER_CLIENT * WORKERS)) "connections of one VM: $way"
	done
	expect_le $(($(memory) - before)) 40960 "KiB of memory that it costs: $way"
	for vm in $BRIDGES; do
		wait_for 5 "$counter in $vm to rise: $way" risen "$vm" "$counter" "${was[$vm]}"
	done
	touch "$LAB/enough"
	for vm in $BRIDGES; do
		collect "$way-$vm" || fail "$way: $(cat "$LAB/$way-$vm.log")"
		wait_for 5 "connections of $vm to end: $way" open_at_most "$vm" 0
		say "$(tail -n 1 "$LAB/$way-$vm.log"); calm: $p99 ms"
	done
}

attack interims 5 .origin_failures
attack head 60 .closed_timeout
attack body 60 .closed_timeout
attack reader 30 .closed_timeout
attack idle 100 .closed_ok
attack pipeline 30 .closed_timeout
attack chunks 20 '.closed_limit + .closed_timeout'
attack many 2000 .closed_limit

# The other engines: what is slow here is in their hands, or in the ring's.
for engine in ${ENGINES#"${ENGINES%% *}"}; do
	stop_sluiced
	begin "$engine"
	attack reader 30 .closed_timeout
	attack body 60 .closed_timeout
done
for vm in $BRIDGES "${CALM[@]}"; do expect_document "$vm" 1024 "after all that"; done
