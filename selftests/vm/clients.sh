#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 400
#
# Real virtual machines: two at a time with the same address and MAC in two tenants, virtio-net on
# a tap, the metadata address a neighbour that answers ARP. Each gets its own tenant's answers and
# a package of 100 MiB with the right hash over IPv4 and IPv6, one through the TC guard, the other
# through native XDP on its tap.
# shellcheck source-path=SCRIPTDIR source=lib/client.sh
. "$(dirname "$0")/lib/client.sh"

DOCUMENT=$((100 * MIB))

lab_begin
need qemu-system-x86_64 busybox cpio depmod dpkg-deb nginx jq openssl
kernel_get bookworm
make_management
make_documents $DOCUMENT
start_nginx nginx
start_sluiced

# A tap as a hypervisor makes it; nobody but the VM is behind it.
make_tenant_vm() {
	make_ns "$1"
	ns_ip "$1" tuntap add qr0 mode tap
	ns_ip "$1" link set qr0 up
	ns_ip "$1" addr add $GATEWAY_IP/24 dev qr0
}

check() {
	local vm=$1 family
	expect_eq "$(client_got "$vm" address)" "$VM_IP/24" "address ($vm)"
	expect_eq "$(client_got "$vm" neighbour)" "$(mac_of "$vm" qr0)" "who answers ARP ($vm)"
	for family in ipv4 ipv6; do
		expect_eq "$(client_got "$vm" $family-whoami)" "$vm" "whose answer ($vm, $family)"
		expect_eq "$(client_got "$vm" $family-sum)" "${SUM[$DOCUMENT]}" "SHA-256 ($vm, $family)"
	done
	sleep 1.2 # the parent adds up once a second
	expect_ge "$(tenant "$vm" .relay.bytes_inline)" $((DOCUMENT * 19 / 10)) "bytes spliced ($vm)"
}

client_image client "$VM_IP/24" $DOCUMENT
for vm in tc native; do
	make_tenant_vm $vm
done
attach tc --guard tc
attach native --guard xdp-native
expect_eq "$(tenant native .guard.active)" xdp-native "the guard on the tap"
for vm in tc native; do
	client_start $vm $vm qr0 client
done
for vm in tc native; do
	client_end $vm
	check $vm
done
stop_sluiced
