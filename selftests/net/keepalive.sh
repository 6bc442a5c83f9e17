#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Many documents of mixed sizes over one connection, as curl does it: all whole, and it is one
# connection indeed.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

sizes="0 1 70000 1024 1048576 0 65536 3 200000 1 65537 512"
# shellcheck disable=SC2086 # a list of words
path_lab $sizes

check() {
	local engine=$1 bridge=$2 vm=$3 size config=$LAB/keepalive.curl
	# shellcheck disable=SC2016 # curl's variable
	for size in $sizes $sizes; do
		printf 'url = %s/%s\noutput = %s/out.%s\n' "$META" "$size" "$LAB" "$size"
	done >"$config"
	rm -f "$LAB"/out.*
	vm_curl "$vm" -K "$config" -w '%{num_connects}\n' >"$LAB/connects" ||
		fail "curl over one connection ($engine, $bridge)"
	for size in $sizes; do
		# curl makes no file for an empty body
		[ "$size" != 0 ] || touch "$LAB/out.0"
		expect_eq "$(sha256sum <"$LAB/out.$size" | cut -d ' ' -f 1)" "${SUM[$size]}" \
			"$size bytes ($engine, $bridge)"
	done
	expect_eq "$(awk '{ n += $1 } END { print n }' "$LAB/connects")" 1 \
		"connections used ($engine, $bridge)"
}
each_path check
