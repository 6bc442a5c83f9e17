#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Two tenants whose VMs have the same address and port numbers ask for the same path at the same
# time, hundreds of times, and each gets the document of its own tenant, whatever it claims to be.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
make_document tenants/fd/secret 150000
make_document tenants/stream/secret 160000

ask() {
	local vm=$1 i
	for i in 1 2 3 4 5 6 7 8 9 10; do
		expect_eq "$(vm_curl "$vm" -H 'X-Sluice-Tenant: stream' -H 'x-sluice_tenant: fd' \
			"$META/mine/secret" "$META/whoami" "$META/mine/secret" | sha256sum)" \
			"$(cat "$LAB/docs/tenants/$vm/secret" <(echo "$vm") \
				"$LAB/docs/tenants/$vm/secret" | sha256sum)" "round $i of $vm"
	done
}

port=40000
for engine in $ENGINES; do
	port=$((port + 1)) # the last engine's is in TIME_WAIT
	start_sluiced "$engine"
	for vm in fd stream; do
		attach "$vm" --bridge "$vm"
	done
	asking=()
	for i in 1 2 3 4; do
		for vm in fd stream; do
			ask "$vm" &
			asking+=($!)
		done
	done
	for pid in "${asking[@]}"; do
		wait "$pid" || fail "a tenant got what is not its own ($engine)"
	done
	# Same source port from both at the same moment: told apart by namespace alone.
	for vm in fd stream; do
		got=$(vm_curl "$vm" --local-port $port "$META/whoami")
		expect_eq "$got" "$vm" "who nginx saw ($engine)"
	done
	expect_eq "$(tenant fd .relay.requests)" "$(tenant stream .relay.requests)" "requests counted"
	stop_sluiced
done
