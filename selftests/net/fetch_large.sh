#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
# alone: moves gibibytes
#
# A package of 256 MiB arrives whole over each engine and bridge, alone and eight at a time (those
# smaller), and was moved the way the engine's name says.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab "$BIG" $((4 * MIB))

moved() { [ "$(tenant "$1" ".relay.$2")" -ge $(((BIG + 32 * MIB) * 9 / 10)) ]; }
check() {
	local engine=$1 bridge=$2 vm=$3 field=bytes_$1 i
	[ "$engine" != copy ] || field=bytes_copied
	expect_document "$vm" "$BIG" "$engine, $bridge"
	for i in 1 2 3 4 5 6 7 8; do
		(expect_document "$vm" $((4 * MIB)) "$engine, $bridge, parallel $i") &
	done
	for i in 1 2 3 4 5 6 7 8; do
		wait -n || fail "a parallel fetch ($engine, $bridge)"
	done
	# The first kilobytes come with the head and are always copied.
	wait_for 5 "$field to say what was moved ($engine, $bridge)" moved "$vm" "$field"
}
each_path check
