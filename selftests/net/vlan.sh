#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
# module: 8021q
#
# A tenant network behind a VLAN tag, as a trunk port brings it: the gate is on the VLAN interface,
# its VM is served by IPv4 and IPv6, under TC and under XDP, and dropped for the same reasons; what
# comes without the tag or with another one is a bystander, also to the same addresses.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
make_tenant trunk
ns_ip trunk link add link qr0 name probe type vlan id 7 2>/dev/null ||
	skip "module 8021q, which this kernel does not have (vm/debian12 and vm/debian13 run this)"
ns_ip trunk link del probe
for id in 42 43; do
	ns_ip trunk link add link qr0 name qr0.$id type vlan id $id
	ns_ip trunk link set qr0.$id up
	ns_ip trunk-vm link add link eth0 name eth0.$id type vlan id $id
	ns_ip trunk-vm link set eth0.$id up
	ns_ip trunk addr add 192.168.$id.1/24 dev qr0.$id
	ns_ip trunk-vm addr add 192.168.$id.10/24 dev eth0.$id
done
via() { ns_ip trunk-vm route replace default via "$1"; }
make_documents 1024 262144
start_nginx nginx
start_sluiced

for guard in tc xdp-generic; do
	attach trunk --interface qr0.42 --guard $guard
	expect_eq "$(tenant trunk .l3_interface)" qr0.42 "where the address lives ($guard)"
	via 192.168.42.1
	for size in 1024 262144; do
		expect_document trunk $size "behind the tag ($guard)"
		expect_document trunk $size "behind the tag, IPv6 ($guard)" "http://[fe80::a9fe:a9fe%25eth0.42]/"
	done
	dropped() { [ "$(bpf_verdict trunk bad_port)" -ge 1 ]; }
	expect_fails "a port that is not open" vm_curl trunk --connect-timeout 1 $META:81/1024
	wait_for 5 "its drop to be counted ($guard)" dropped
	before=$(bpf_verdict trunk new_connection)
	for other in $GATEWAY_IP 192.168.43.1; do
		via "$other"
		expect_fails "the metadata address by $other ($guard)" vm_curl trunk --connect-timeout 1 $META/1024
		in_ns trunk-vm ping -q -c 1 -W $((5 * PATIENCE)) "$other" >/dev/null || fail "a bystander by $other ($guard)"
	done
	expect_eq "$(bpf_verdict trunk new_connection)" "$before" "connections by another way ($guard)"
	detach trunk
done
stop_sluiced
