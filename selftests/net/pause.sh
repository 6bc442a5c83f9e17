#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# An origin that pauses between head and body, and in the body's middle; one that drips. The
# client's other requests do not wait for it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
start_oddorigin mgmt

turn=0
check() {
	local engine=$1 bridge=$2 vm=$3 size
	for size in 2 1024 65536 1048577; do
		expect_pattern "$vm" "/odd/pause/$size/150" "$size" "pause ($engine, $bridge)"
	done
	expect_pattern "$vm" /odd/drip/50/5 50 "drip ($engine, $bridge)"
	expect_pattern "$vm" /odd/delay/70000/300 70000 "delay ($engine, $bridge)"

	turn=$((turn + 1))
	start patient in_ns "$vm-vm" "$PYTHON" "$TOOLS/rawhttp.py" get /odd/wait/1000/$turn
	wait_for 5 "a request that waits ($engine, $bridge)" grep -qx "waits for $turn" "$LAB/oddorigin.log"
	expect_document "$vm" 1024 "beside a waiting request ($engine, $bridge)"
	[ ! -s "$LAB/patient.log" ] || fail "a small document waited for one that waits ($engine, $bridge)"
	vm_curl "$vm" "$META/odd/go/$turn"
	collect patient || fail "the waiting request ($engine, $bridge)"
	expect_eq "$(cat "$LAB/patient.log")" "200 1000 $(pattern_sum 1000)" "the waiting request ($engine, $bridge)"
	rm "$LAB/patient.log"
}
each_path check
