#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# A client that reads slowly through a small window gets its body whole, and back-pressure reaches
# the origin: the relay's memory does not grow by what the client has not read yet.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1048576 "$BIG"

memory() {
	local pid total=0 kib
	for pid in $(worker_pids); do
		kib=$(awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status")
		total=$((total + kib))
	done
	echo $total
}

check() {
	local engine=$1 bridge=$2 vm=$3 got before
	got=$(vm_raw "$vm" --slow 1000000 get /1048576)
	expect_eq "$got" "200 1048576 ${SUM[1048576]}" "slow reader ($engine, $bridge)"

	expect_document "$vm" "$BIG" "warm up"
	before=$(memory)
	start slow in_ns "$vm-vm" "$PYTHON" "$TOOLS/rawhttp.py" --slow 100000 get "/$BIG"
	sleep 2
	alive "$(pid_of slow)" || fail "slow reader ended early ($engine, $bridge)"
	expect_le $(($(memory) - before)) 4096 "KiB that 2 s of a stuck body cost ($engine, $bridge)"
	stop slow
}
each_path check
