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

has_open() { [ "$(tenant "$1" .relay.open)" -ge 1 ]; }
check() {
	local engine=$1 bridge=$2 vm=$3 size
	for size in 2 1024 65536 1048577; do
		expect_pattern "$vm" "/odd/pause/$size/150" "$size" "pause ($engine, $bridge)"
	done
	expect_pattern "$vm" /odd/drip/50/5 50 "drip ($engine, $bridge)"
	expect_pattern "$vm" /odd/delay/70000/300 70000 "delay ($engine, $bridge)"

	start patient in_ns "$vm-vm" "$PYTHON" "$TOOLS/rawhttp.py" --timeout 60 get /odd/delay/1000/2500
	wait_for 5 "a request that waits ($engine, $bridge)" has_open "$vm"
	expect_document "$vm" 1024 "beside a waiting request ($engine, $bridge)"
	[ ! -s "$LAB/patient.log" ] || fail "a small document waited for one that waits ($engine, $bridge)"
	collect patient || fail "the waiting request ($engine, $bridge)"
	expect_eq "$(cat "$LAB/patient.log")" "200 1000 $(pattern_sum 1000)" "the waiting request ($engine, $bridge)"
	rm "$LAB/patient.log"
}
each_path check
