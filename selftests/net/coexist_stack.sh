#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Settings and neighbours of an interface: strict reverse path filtering, ARP ignored by the kernel,
# jumbo frames, another user of clsact, and an XDP program of somebody else, beside which TC goes on
# policing and the log says so. All stay as they were found.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl bpftool clang
make_management
make_tenant rpf jumbo clsact xdp
make_tenant_onlink arp
make_documents 1024 $((8 * MIB))
start_nginx nginx

in_ns rpf sh -c 'echo 1 | tee /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/qr0/rp_filter' >/dev/null
in_ns arp sh -c 'echo 8 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce'
# The kernel answers no ARP here at all; the VM knows its gateway by hand and the rest from us.
ns_ip arp-vm neigh replace $GATEWAY_IP lladdr "$(mac_of arp qr0)" dev eth0
ns_ip jumbo link set qr0 mtu 9000
ns_ip jumbo-vm link set eth0 mtu 9000
in_ns clsact tc qdisc add dev qr0 clsact
in_ns clsact tc filter add dev qr0 ingress prio 1 protocol ip u32 match ip dst 198.51.100.1/32 flowid 1:1
in_ns clsact tc filter add dev qr0 ingress prio 50 protocol ip u32 match u32 0 0 flowid 1:1
in_ns clsact tc filter add dev qr0 egress prio 1 protocol ip u32 match u32 0 0 flowid 1:1

cat >"$LAB/pass.c" <<'C'
__attribute__((section("xdp"), used)) int pass(void *context) { return 2; }
char licence[] __attribute__((section("license"), used)) = "GPL";
C
clang -O2 -target bpf -c -o "$LAB/pass.o" "$LAB/pass.c"
ns_ip xdp link set dev qr0 xdpgeneric obj "$LAB/pass.o" sec xdp

for tenant in rpf arp jumbo clsact xdp; do
	ns_portrait $tenant >"$LAB/$tenant.before"
done
start_sluiced
for tenant in rpf arp jumbo clsact; do
	attach $tenant
done
attach xdp --guard xdp-generic
for tenant in rpf arp jumbo clsact xdp; do
	for size in 1024 $((8 * MIB)); do
		expect_document $tenant $size "$tenant"
	done
done
expect_eq "$(tenant xdp .guard.active)" tc "who polices beside another XDP program"
grep -q "xdp-generic cannot be had on qr0: .*another XDP program; TC polices instead" "$LAB/sluiced.log" ||
	fail "the log does not say why"
expect_has "$(ns_ip xdp -d link show dev qr0)" xdpgeneric "the other's XDP program"
for tenant in rpf arp jumbo clsact xdp; do
	detach $tenant
	ns_portrait $tenant >"$LAB/$tenant.after"
	diff -u "$LAB/$tenant.before" "$LAB/$tenant.after" >&2 || fail "namespace of $tenant is not as it was found"
done

# Where nobody needs it, what doctor prints takes it off.
attach xdp
mend=$(sluice doctor xdp --json 2>/dev/null | jq -r '.checks[] | select(.link == "xdp" and .state == "warning") | .fix' || true)
expect_has "$mend" "$(ns_name xdp)" "how to take another's XDP program off"
bash -c "$mend" >"$LAB/mend.log" 2>&1 || fail "'$mend' failed: $(cat "$LAB/mend.log")"
expect_eq "$(ns_ip xdp -d link show dev qr0 | grep -c xdpgeneric || true)" 0 "the other's XDP program, after '$mend'"
