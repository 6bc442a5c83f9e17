#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Namespaces that translate and track connections: masquerading by nftables, and what neutron's L3
# agent puts there by iptables, its REDIRECT of the metadata address included. They are served; the
# flows are not tracked; a rule that comes later is noticed; afterwards the ruleset is what it was.
# A namespace without rules gets none.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl nft iptables-nft-restore
make_management
make_tenant plain masquerade neutron later
make_tenant_bridge bridged
make_documents 1024 $((4 * MIB))
start_nginx nginx

in_ns masquerade nft -f - <<'NFT'
table ip nat {
	chain postrouting { type nat hook postrouting priority srcnat; oifname "qg0" masquerade; }
	chain prerouting { type nat hook prerouting priority dstnat; tcp dport 2222 redirect to :22; }
}
table inet filter {
	chain forward { type filter hook forward priority 0; ct state established,related accept; ct state invalid drop; }
}
NFT
in_ns neutron iptables-nft-restore <<'IPT'
*nat
:neutron-l3-agent-PREROUTING - [0:0]
:neutron-l3-agent-POSTROUTING - [0:0]
-A PREROUTING -j neutron-l3-agent-PREROUTING
-A POSTROUTING -j neutron-l3-agent-POSTROUTING
-A neutron-l3-agent-PREROUTING -d 169.254.169.254/32 -i qr+ -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 9697
-A neutron-l3-agent-POSTROUTING ! -o rfp-+ -m conntrack ! --ctstate DNAT -j ACCEPT
COMMIT
*mangle
:neutron-l3-agent-PREROUTING - [0:0]
-A PREROUTING -j neutron-l3-agent-PREROUTING
-A neutron-l3-agent-PREROUTING -d 169.254.169.254/32 -i qr+ -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0xffff
COMMIT
*filter
:neutron-l3-agent-INPUT - [0:0]
-A INPUT -j neutron-l3-agent-INPUT
-A neutron-l3-agent-INPUT -m mark --mark 0x1/0xffff -j ACCEPT
-A neutron-l3-agent-INPUT -p tcp -m tcp --dport 9697 -j DROP
COMMIT
IPT

in_ns bridged iptables-nft -t nat -A PREROUTING -d 169.254.169.254/32 -p tcp --dport 80 -j REDIRECT --to-ports 9697

rules() { in_ns "$1" nft -s list ruleset; }
for tenant in plain masquerade neutron later bridged; do
	rules $tenant >"$LAB/$tenant.before"
done
start_sluiced
for tenant in plain masquerade neutron later bridged; do
	if [ $tenant = bridged ]; then attach $tenant --interface vp0; else attach $tenant; fi
	for size in 1024 $((4 * MIB)); do
		expect_document $tenant $size "$tenant"
	done
	in_ns $tenant-vm curl -qsS --fail --noproxy '*' -o /dev/null --max-time $((10 * PATIENCE)) -g "http://[fe80::a9fe:a9fe%25eth0]/1024" ||
		fail "$tenant over IPv6"
done
tracked() { in_ns "$1" cat /proc/net/nf_conntrack 2>/dev/null | grep -c 169.254.169.254 || true; }
for tenant in masquerade neutron bridged; do
	expect_has "$(rules $tenant)" "notrack" "our rules in $tenant"
	expect_eq "$(tracked $tenant)" 0 "flows tracked in $tenant"
done
expect_eq "$(rules plain)" "" "rules where none are needed"

in_ns later iptables-nft -t nat -A PREROUTING -d 169.254.169.254/32 -p tcp --dport 80 -j REDIRECT --to-ports 9697
noticed() { rules later | grep -q notrack; }
wait_for 5 "a NAT rule that came later" noticed
expect_document later $((4 * MIB)) "a NAT rule that came later"
in_ns later iptables-nft -t nat -F
in_ns later nft delete table ip nat
unneeded() { [ -z "$(rules later)" ]; }
wait_for 5 "no rules, as none are needed any more" unneeded
expect_document later 1024 "without NAT again"

for tenant in plain masquerade neutron later bridged; do
	detach $tenant
	rules $tenant >"$LAB/$tenant.after"
	diff -u "$LAB/$tenant.before" "$LAB/$tenant.after" >&2 || fail "the ruleset of $tenant is not as it was found"
done
