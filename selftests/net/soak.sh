#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Mixed traffic for a while (SOAK seconds; "make soak" sets it): small and large bodies, chunked,
# uploads, origins that fail, clients that go away, reloads. Memory and descriptors stay flat.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

SOAK=${SOAK:-20}
path_lab 0 1024 65537 $((4 * MIB))
start_oddorigin mgmt
GUARD_YAML=$'source_rate: 0\nsyn_rate: 0\ninterface_rate: 0\ninterface_syn_rate: 0'
LIMITS_YAML='request_rate: 0'
RELAY_YAML='drain_timeout: 5000'
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done

# mix TENANT: one round; what must be whole is hashed
mix() {
	local vm=$1 size
	for size in 0 1024 65537 $((4 * MIB)); do
		expect_document "$vm" "$size" "soak"
	done
	expect_document "$vm" $((4 * MIB)) "soak, chunked" "$META/chunked/"
	expect_pattern "$vm" /odd/chunked/70000 70000 "soak"
	expect_fails "a cut body" vm_curl "$vm" -o /dev/null "$META/odd/cut-length/70000"
	expect_eq "$(vm_status "$vm" "$META/odd/garbage")" 502 "garbage from an origin"
	in_ns "$vm-vm" curl -qs --noproxy '*' --max-time 0.2 --limit-rate 1M -o /dev/null \
		"$META/$((4 * MIB))" || true # a client that goes away
	in_ns "$vm-vm" curl -qs --noproxy '*' --fail -o /dev/null -T "$LAB/docs/65537" "$META/upload/$vm" ||
		fail "an upload in $vm"
}
rounds() {
	local until=$((SECONDS + $2))
	while [ $SECONDS -lt $until ]; do
		mix "$1"
		echo round >>"$LAB/rounds"
	done
}
soak() {
	local pids=() bridge pid
	for bridge in $BRIDGES; do
		rounds "$bridge" "$1" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "the traffic"
	done
}

# settled: connections are gone and old generations with them
settled() {
	sluice status --json | jq -e '([.workers[].generation] | unique | length == 1) and
		all(.workers[]; .state == "serving")'
}
descriptors() { find "/proc/$1/fd" -mindepth 1 | wc -l; }
rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }
workers() { sluice status --json | jq -r '.workers | sort_by(.role, .index) | .[].pid'; }

pid=$(pid_of sluiced)
reloads=$((SOAK > 60 ? 6 : 2))
soak $((SOAK / 4 + 1))
sluice reload >>"$LAB/reload.log"
wait_for 30 "one generation" settled
sleep 1
parent_fds=$(descriptors "$pid") parent_rss=$(rss_kib "$pid")
for ((i = 0; i < reloads; i++)); do
	soak $((SOAK * 3 / 4 / (reloads + 1) + 1))
	sluice reload >>"$LAB/reload.log"
	wait_for 30 "one generation" settled
done
first=() first_fds=() first_rss=()
soak 3
for worker in $(workers); do
	first+=("$worker") first_fds+=("$(descriptors "$worker")") first_rss+=("$(rss_kib "$worker")")
done
soak $((SOAK * 3 / 4 / (reloads + 1) + 1))
# Origin connections stay pooled; a margin for those is all that may differ.
for i in "${!first[@]}"; do
	expect_le "$(descriptors "${first[$i]}")" $((first_fds[i] + 40)) "descriptors of worker ${first[$i]}"
	expect_le "$(rss_kib "${first[$i]}")" $((first_rss[i] * 5 / 4 + 4096 * SLOW)) "KiB of worker ${first[$i]}"
done
expect_le "$(descriptors "$pid")" $((parent_fds + 8)) "descriptors of the parent"
expect_le "$(rss_kib "$pid")" $((parent_rss * 5 / 4 + 4096 * SLOW)) "KiB of the parent"
say "$(wc -l <"$LAB/rounds") rounds"
for bridge in $BRIDGES; do
	open() { [ "$(tenant "$bridge" .relay.open)" = 0 ]; }
	wait_for 20 "all connections of $bridge to be closed" open
done
