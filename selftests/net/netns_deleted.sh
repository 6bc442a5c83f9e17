#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# A tenant's namespace is deleted during transfers, also of a generation that drains: its
# connections are reset and the namespace is really gone, which its veth's other end shows by
# vanishing. Other tenants notice nothing. With every engine: splices in flight hold sockets, too.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((32 * MIB))
make_tenant other
draining() { sluice status --json | jq -e '[.workers[] | select(.state == "draining" and .connections > 0)] | length >= 1'; }
# The other end of a veth goes when the namespace is destroyed, not when its name is removed.
let_go() { [ "$(tenant "$1" .state)" != attached ]; }
peer_gone() { ! ns_ip "$1-vm" link show eth0; }

# transfer NAME VM: a slow one that is under way
transfer() {
	start "$1" in_ns "$2-vm" curl -qsS --noproxy '*' --limit-rate 1M --max-time $((60 * PATIENCE)) -o "$LAB/$1" "$META/$((32 * MIB))"
	wait_for 10 "transfer $1" test -s "$LAB/$1"
}

for engine in $ENGINES; do
	start_sluiced "$engine"
	attach other
	vms=
	for bridge in $BRIDGES; do
		vm=$bridge$engine
		vms+=" $vm"
		make_tenant "$vm"
		attach "$vm" --bridge "$bridge"
		transfer "old-$vm" "$vm"
	done
	sluice reload >>"$LAB/reload.log"
	wait_for 10 "a generation that drains" draining
	for vm in $vms; do
		transfer "new-$vm" "$vm"
	done
	start kept in_ns other-vm curl -qsS --noproxy '*' --limit-rate 8M -o "$LAB/kept" "$META/$((32 * MIB))"

	for vm in $vms; do
		remove_ns "$vm"
		wait_for 15 "the namespace of $vm to be gone" peer_gone "$vm"
		wait_for 10 "tenant $vm to be known as failed" let_go "$vm"
	done
	for vm in $vms; do
		# Packets have no way left, so that the client learns nothing; it is ended.
		stop "old-$vm"
		stop "new-$vm"
	done
	collect kept || fail "another tenant's transfer ($engine)"
	expect_eq "$(sha256sum <"$LAB/kept" | cut -d ' ' -f 1)" "${SUM[$((32 * MIB))]}" "another tenant's transfer ($engine)"
	expect_document other 1024 "another tenant ($engine)"
	stop_sluiced
done
