#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Firewalls that drop by policy, on the way in, out, or both, by nftables and by iptables: requests
# pass, everything else is dropped as before, and afterwards the rules are what they were.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl nft iptables-nft-restore
make_management
make_tenant nft ipt
make_documents 1024 $((4 * MIB))
start_nginx nginx
for tenant in nft ipt; do
	start "echo-$tenant" in_ns $tenant socat TCP-LISTEN:7777,fork,reuseaddr PIPE
done

in_ns nft nft -f - <<'NFT'
table inet guard {
	chain raw { type filter hook prerouting priority raw; policy drop; ct state invalid drop; iifname "lo" accept; ip protocol icmp accept; }
	chain in { type filter hook input priority 0; policy drop; ct state established accept; iifname "lo" accept; }
	chain out { type filter hook output priority 0; policy drop; oifname "lo" accept; }
}
NFT
in_ns ipt iptables-nft-restore <<'IPT'
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT DROP [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
COMMIT
IPT
rules() { in_ns "$1" nft -s list ruleset; }
for tenant in nft ipt; do
	rules $tenant >"$LAB/$tenant.before"
done
blocked() {
	expect_fails "$1: what the firewall forbids" in_ns "$1-vm" timeout 2 \
		bash -c "exec 3<>/dev/tcp/$GATEWAY_IP/7777 && echo hi >&3 && head -c 3 <&3"
}
start_sluiced
for round in 1 2; do
	for tenant in nft ipt; do
		blocked $tenant
		attach $tenant
		for size in 1024 $((4 * MIB)); do
			expect_document $tenant $size "$tenant, round $round"
		done
		blocked $tenant
		detach $tenant
		rules $tenant >"$LAB/$tenant.after"
		diff -u "$LAB/$tenant.before" "$LAB/$tenant.after" >&2 || fail "the ruleset of $tenant is not as it was found"
	done
done

# Listeners that a reload adds answer past the rules as those of the attach do.
for tenant in nft ipt; do
	attach $tenant
done
WORKERS=4
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >"$LAB/reload.log" || fail "reload"
grown() { [ "$(sluice status --json | jq '[.workers[] | select(.state == "serving" and .index >= 2)] | length')" = 2 ]; }
wait_for 15 "two workers more" grown
for tenant in nft ipt; do
	for n in {1..20}; do
		expect_document $tenant 1024 "$tenant, four workers, connection $n"
	done
done

# Rules that take none of ours cut VMs off: that is told as long as it is so, whoever was first.
detach ipt
own() {
	start "owner-$1" in_ns "$1" bash -c 'exec nft -i < <(
	echo "add table inet theirs { flags owner; }"
	echo "add chain inet theirs in { type filter hook input priority 0; policy drop; }"
	exec sleep 6000)'
}
told() { tenant "$1" '"\(.state): \(.reason)"' | grep -q "^$2"; }
owned() { in_ns ipt nft list chain inet theirs in >/dev/null 2>&1; }
own ipt
wait_for 15 "a table with an owner" owned
attach ipt
own nft
for tenant in nft ipt; do
	wait_for 15 "rules that cannot be added to" told $tenant "failed: nftables: chain in of table inet theirs drops"
	expect_eq "$(grep -c "tenant $tenant: failed: nftables: " "$LAB/sluiced.log")" 1 "lines in the log"
	expect_has "$(sluice doctor $tenant || true)" "whoever owns that table alone can add" "doctor on $tenant"
	stop owner-$tenant
	wait_for 15 "the rules to be as they shall" told $tenant attached
	expect_document $tenant 1024 "after the rules were gone"
done
