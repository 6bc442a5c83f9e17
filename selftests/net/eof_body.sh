#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# A body that its origin ends by closing arrives whole, and ends for the client too.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1 1024 300000 4194304
start_oddorigin mgmt

check() {
	local engine=$1 bridge=$2 vm=$3 size
	for size in 1 1024 300000 4194304; do
		expect_document "$vm" "$size" "nginx ($engine, $bridge)" "$META/eof/"
	done
	for size in 0 1 65536 700001; do
		expect_pattern "$vm" "/odd/eof/$size" "$size" "odd origin ($engine, $bridge)"
	done
}
each_path check
