#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Documents around every size where the relay does something else (empty, in the head's read,
# copied, spliced) arrive whole over each engine and bridge; HEAD and ranges too.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

sizes="0 1 1024 65535 65536 65537 1048576"
# shellcheck disable=SC2086 # a list of words
path_lab $sizes

check() {
	local engine=$1 bridge=$2 vm=$3 size got
	for size in $sizes; do
		expect_document "$vm" "$size" "$engine, $bridge"
	done
	got=$(vm_curl "$vm" -I "$META/1048576" | tr -d '\r' | awk 'tolower($1) == "content-length:" { print $2 }')
	expect_eq "$got" 1048576 "Content-Length of HEAD ($engine, $bridge)"
	got=$(vm_curl "$vm" -r 1000-99999 "$META/1048576" | sha256sum)
	expect_eq "$got" "$(head -c 100000 "$LAB/docs/1048576" | tail -c 99000 | sha256sum)" \
		"range ($engine, $bridge)"
	expect_eq "$(vm_status "$vm" "$META/none")" 404 "the origin's 404 ($engine, $bridge)"
}
each_path check
