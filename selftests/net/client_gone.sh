#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
#
# Clients that go away in the middle of a body, by reset or by being killed: the relay ends those
# connections, keeps nothing of them, and the next client's body holds no byte of theirs.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 1048576 "$BIG"

open_connections() { sluice status --json | jq '[.workers[].connections] | add'; }
none_open() { [ "$(open_connections)" = 0 ]; }
worker_fds() {
	local pid total=0
	for pid in $(worker_pids); do
		total=$((total + $(find "/proc/$pid/fd" -mindepth 1 | wc -l)))
	done
	echo $total
}
fds_are() { [ "$(worker_fds)" -le "$1" ]; }

check() {
	local engine=$1 bridge=$2 vm=$3 i before
	expect_document "$vm" 1048576 "before ($engine, $bridge)"
	wait_for 10 "connections to be over" none_open
	before=$(worker_fds)
	for i in 1 3 7 10; do
		vm_raw "$vm" abort $((i * 300000)) "/$BIG" >/dev/null || fail "abort $i"
		expect_document "$vm" 1048576 "after abort $i ($engine, $bridge)"
	done
	start killed in_ns "$vm-vm" curl -qsS --noproxy '*' --limit-rate 1M -o /dev/null "$META/$BIG"
	sleep 0.5
	kill -KILL "$(pid_of killed)"
	collect killed || true
	expect_document "$vm" 1048576 "after a killed client ($engine, $bridge)"
	wait_for 10 "all connections to be over ($engine, $bridge)" none_open
	# Pooled origin connections may stay: two per worker is what this load leaves.
	wait_for 5 "the workers to have $((before + 8)) descriptors at most ($engine, $bridge)" fds_are $((before + 8))
}
each_path check
