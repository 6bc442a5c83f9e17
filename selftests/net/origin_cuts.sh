#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# An origin that fails in the middle of a body: the client sees an error in every framing, never a
# short body that looks complete. An origin that fails before: 502, with words.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
start_oddorigin mgmt
SERVICES_YAML="- name: hasty
  response_timeout: 1000
  origins: [{address: \"tcp:$MGMT_IP:8081\"}]"
ROUTES_YAML='- {path: /hasty, service: hasty}'

check() {
	local engine=$1 bridge=$2 vm=$3 kind size got
	for kind in cut-length cut-chunked cut-eof; do
		for size in 100 65536 3000000; do
			expect_exit 3 "$kind of $size bytes is seen ($engine, $bridge)" \
				vm_raw "$vm" get "/odd/$kind/$size"
			expect_fails "curl sees $kind of $size bytes ($engine, $bridge)" \
				vm_curl "$vm" -o /dev/null "$META/odd/$kind/$size"
		done
	done
	for kind in close reset garbage switch; do
		expect_eq "$(vm_status "$vm" "$META/odd/$kind")" 502 "$kind ($engine, $bridge)"
	done
	got=$(in_ns "$vm-vm" curl -qsS --noproxy '*' "$META/odd/reset")
	expect_ge "${#got}" 10 "length of the words that come with a 502 ($engine, $bridge)"
	expect_eq "$(vm_status "$vm" "$META/hasty/delay/10/20000")" 504 "too late ($engine, $bridge)"
	expect_document "$vm" 1024 "afterwards ($engine, $bridge)"
}
each_path check
