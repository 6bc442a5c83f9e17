#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The same service at fe80::a9fe:a9fe: a VM finds it by neighbour discovery, on both ports, and
# gets everything whole over each engine and bridge.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 0 1024 65537 1048576

check() {
	local engine=$1 bridge=$2 vm=$3 size port
	for port in 80 8080; do
		for size in 0 1024 65537 1048576; do
			expect_document "$vm" "$size" "IPv6, port $port ($engine, $bridge)" \
				"http://[fe80::a9fe:a9fe%25eth0]:$port/"
		done
	done
	in_ns "$vm-vm" ping -6 -q -c 1 -W $((5 * PATIENCE)) fe80::a9fe:a9fe%eth0 >/dev/null || fail "echo by IPv6"
}

each_path check
