#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# An origin behind a unix socket, as neutron's metadata agent is: bodies whole, uploads too.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

# Paths reach the origin as they were asked, so the documents lie under the route's prefix.
path_lab 1
for size in 0 1024 65537 4194304; do
	make_document socket/$size $size
done

check() {
	local engine=$1 bridge=$2 vm=$3 size
	for size in 0 1024 65537 4194304; do
		expect_document "$vm" "socket/$size" "unix origin ($engine, $bridge)"
	done
	expect_document "$vm" socket/1024 "again ($engine, $bridge)"
}
each_path check
