#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Ten requests in one write, as apt sends them, are answered in order and whole; so are they when
# they come a byte at a time, and when the client shuts its sending side down after them.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 0 1 1024 65536 1048576

order="1024 1048576 0 1 65536 1 1024 0 1048576 65536"
check() {
	local engine=$1 bridge=$2 vm=$3 size want='' got option
	for size in $order; do
		want+="200 $size ${SUM[$size]}"$'\n'
	done
	for option in --timeout=20 --half-close --bytewise; do
		# shellcheck disable=SC2046,SC2086 # a list of words
		got=$(vm_raw "$vm" $option pipeline $(printf '/%s ' $order)) ||
			fail "pipelining failed ($engine, $bridge, $option)"
		expect_eq "$got" "${want%?}" "ten answers in order ($engine, $bridge, $option)"
	done
}
each_path check
