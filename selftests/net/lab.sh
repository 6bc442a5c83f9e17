#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The lab itself, without sluice: a VM that is routed straight to the origin gets every
# document whole, over veth, bridge and tap, and every tool does what it says. When this
# fails, what else fails says nothing about sluice.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
make_tenant plain
make_tenant_bridge bridge
make_tenant_tap tap
make_documents 0 1 1024 65537 $((16 * MIB))
start_nginx nginx
start_oddorigin mgmt

# Each gateway gets a way to the origin of its own; the origin's answers find the tenant by the
# link they came from, because all tenants have the same addresses.
link_directly() {
	make_link "$1" up0 mgmt "to-$1"
	ns_ip "$1" addr add 10.78.0.1/30 dev up0
	ns_ip mgmt addr add 10.78.0.2/30 dev "to-$1"
	ns_ip mgmt route replace "$VM_IP/32" via 10.78.0.1 dev "to-$1"
	in_ns "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

for tenant in plain bridge tap; do
	link_directly $tenant
	for size in 0 1 1024 65537 $((16 * MIB)); do
		expect_document $tenant "$size" "direct" http://10.78.0.2/
	done
	ns_ip mgmt link del to-$tenant
done

link_directly plain
odd=(--to 10.78.0.2:8081)
for path in length chunked trailers eof; do
	got=$(vm_raw plain "${odd[@]}" get /$path/100000)
	expect_eq "$got" "200 100000 $(pattern_sum 100000)" "odd origin, $path"
done
for path in cut-length cut-chunked cut-eof close reset; do
	expect_exit 3 "a cut body is noticed ($path)" vm_raw plain "${odd[@]}" get /$path/1000
done
expect_eq "$(vm_raw plain --to 10.78.0.2 pipeline /1 /1024 /0 /65537 | wc -l)" 4 "pipelined answers"
expect_has "$(vm_raw plain --to 10.78.0.2 spread 50 /1024)" "50 200 1024 ${SUM[1024]}" "spread"

reached() { [ "$(($(ns_ip "$tenant" -j -s link show dev qr0 | jq '.[0].stats64.rx.packets') - before))" -ge "$1" ]; }
# A flood goes out through the VM's card and arrives at the gateway's interface.
for tenant in plain tap; do
	before=$(ns_ip $tenant -j -s link show dev qr0 | jq '.[0].stats64.rx.packets')
	expect_has "$(flood $tenant --kind syn,udp,fragment,options,arp --count 10000 --seconds 60)" \
		"flood: 10000 frames" "flood"
	# A tap's queue holds a thousand frames and drops the rest; a veth takes all.
	wait_for 5 "1000 frames of the flood to reach $tenant" reached 1000
done
