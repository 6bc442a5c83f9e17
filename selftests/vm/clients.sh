#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 400
#
# Real virtual machines with virtio-net on a tap, at the same time, with the same address and MAC,
# in different tenants. For two the metadata address is a neighbour that answers ARP, one behind
# the TC guard, the other behind native XDP on its tap. The third is in a tenant that "tenant
# create" built, its tap on a bridge elsewhere, and asks DHCP, which names the route. Each gets its
# own tenant's answers and a package of 100 MiB with the right hash over IPv4 and IPv6.
# shellcheck source-path=SCRIPTDIR source=lib/client.sh
. "$(dirname "$0")/lib/client.sh"

DOCUMENT=$((100 * MIB))

lab_begin
need qemu-system-x86_64 busybox cpio depmod dpkg-deb nginx jq openssl dnsmasq
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
	ns_ip "$1" addr add "$GATEWAY_IP/24" dev qr0
}

# The hypervisor's bridge, with the VM's tap; the tenant's gateway is made onto it.
make_tenant_created() {
	make_ns fabric
	ns_ip fabric link add br0 type bridge
	ns_ip fabric link set br0 up
	ns_ip fabric tuntap add vm0 mode tap
	ns_ip fabric link set vm0 master br0 up
	sluice tenant create created --subnet 192.168.0.0/24 --netns "$(ns_name created)" \
		--into "$(ns_name fabric)" --bridge br0 --interface-name to-gw >"$LAB/create.log" 2>&1 ||
		fail "tenant create: $(tail -n 2 "$LAB/create.log")"
	NAMESPACES+=("$(ns_name created)")
}

# The parent adds up once a second; the first kilobytes come with the head and are copied.
spliced() { [ "$(tenant "$1" .relay.bytes_inline)" -ge $((DOCUMENT * 19 / 10)) ]; }

check() {
	local vm=$1 family
	for family in ipv4 ipv6; do
		expect_eq "$(client_got "$vm" $family-whoami)" "$vm" "whose answer ($vm, $family)"
		expect_eq "$(client_got "$vm" $family-sum)" "${SUM[$DOCUMENT]}" "SHA-256 ($vm, $family)"
	done
	wait_for 5 "bytes spliced ($vm)" spliced "$vm"
}

client_image static "$VM_IP/24" $DOCUMENT
client_image dhcp dhcp $DOCUMENT
for vm in tc native; do
	make_tenant_vm $vm
done
attach tc --guard tc
attach native --guard xdp-native
make_tenant_created
expect_eq "$(tenant native .guard.active)" xdp-native "the guard on the tap"
client_start tc tc qr0 static
client_start native native qr0 static
client_start created fabric vm0 dhcp
for vm in tc native created; do
	client_end $vm
	check $vm
done
for vm in tc native; do
	expect_eq "$(client_got $vm address)" "$VM_IP/24" "address ($vm)"
	expect_eq "$(client_got $vm neighbour)" "$(mac_of $vm qr0)" "who answers ARP ($vm)"
done
expect_has "$(client_got created address)" 192.168.0. "the address that DHCP gave"
expect_has "$(client_got created route)" "via $GATEWAY_IP" "the route that DHCP named"
sluice tenant delete created >>"$LAB/create.log" 2>&1 || fail "tenant delete: $(tail -n 2 "$LAB/create.log")"
stop_sluiced
