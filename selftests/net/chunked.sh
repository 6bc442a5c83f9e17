#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Chunked bodies arrive whole: from nginx, with uneven chunks, with trailers; toward an HTTP/1.0
# client they end with the connection; a chunked upload arrives too.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1 1024 300000 1048576
start_oddorigin mgmt

check() {
	local engine=$1 bridge=$2 vm=$3 size got
	for size in 1 1024 300000 1048576; do
		expect_document "$vm" "$size" "nginx, chunked ($engine, $bridge)" "$META/chunked/"
	done
	for size in 0 1 5000 65536 700001; do
		expect_pattern "$vm" "/odd/chunked/$size" "$size" "chunked ($engine, $bridge)"
		expect_pattern "$vm" "/odd/trailers/$size" "$size" "trailers ($engine, $bridge)"
	done
	got=$(vm_raw "$vm" --http10 get /odd/chunked/700001)
	expect_eq "$got" "200 700001 $(pattern_sum 700001)" "HTTP/1.0 client ($engine, $bridge)"
	got=$(vm_curl "$vm" -T - "$META/odd/echo" <"$LAB/docs/300000" | sha256sum | cut -d ' ' -f 1)
	expect_eq "$got" "${SUM[300000]}" "chunked upload ($engine, $bridge)"
}
each_path check
