#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The VM hangs on a port of a bridge: the programs are attached to the port, the listeners belong
# to the bridge, found without being told. Another port of the bridge reaches the address, which is the
# bridge's, past the guard, and is no second tenant: who has VMs behind several ports attaches the bridge.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
make_tenant_bridge port
make_ns other-vm
make_link port vp1 other-vm eth0
ns_ip port link set vp1 master br0
ns_ip other-vm addr add 192.168.0.11/24 dev eth0
ns_ip other-vm route add default via "$GATEWAY_IP"
make_documents 1024 1048576
start_nginx nginx
for engine in $ENGINES; do
	start_sluiced "$engine"
	attach port --interface vp0
	expect_eq "$(tenant port .l3_interface)" br0 "where the address lives"
	for size in 1024 1048576; do
		expect_document port $size "bridge port ($engine)"
		expect_document port $size "bridge port, IPv6 ($engine)" "http://[fe80::a9fe:a9fe%25eth0]/"
	done
	# Bystanders: the neighbour on the bridge is reached as before.
	in_ns port-vm ping -q -c 1 -W $((5 * PATIENCE)) 192.168.0.11 >/dev/null || fail "VMs of the bridge are apart"
	stop_sluiced
done

start_sluiced
attach port --interface vp0
expect_document other 1024 "a port that nobody attached"
expect_fails "a second port" sluice tenant attach second --netns "$(ns_name port)" --interface vp1
expect_has "$(cat "$LAB/expect.out")" "br0 has the address of tenant port already" "why"
expect_has "$(cat "$LAB/expect.out")" "attach br0 itself" "what to do"
detach port
attach port --interface br0
for vm in port other; do
	before=$(bpf_verdict port established)
	expect_document $vm 1024 "the bridge itself"
	expect_document $vm 1024 "the bridge itself, IPv6" "http://[fe80::a9fe:a9fe%25eth0]/"
	expect_ge "$(bpf_verdict port established)" $((before + 2)) "packets of $vm's VM that were policed and steered"
done
stop_sluiced
# By a rule: both are found, and one of them says why it is not served.
DISCOVER_YAML="- {namespaces: \"$(ns_name port)\", interfaces: \"vp*\", tenant: \"{interface}\"}"
start_sluiced
found() { [ "$(sluice status --json | jq -r '[.tenants[].state] | sort | join(" ")')" = "attached failed" ]; }
wait_for 15 "both ports to be found" found
expect_has "$(sluice status --json | jq -r '.tenants[] | select(.state == "failed") | .reason')" "attach br0 itself" "why"
sluice doctor --json >"$LAB/doctor.json" || true
expect_eq "$(jq -r '.checks[].fix | select(. != null) | select(startswith("kill"))' "$LAB/doctor.json")" "" "whom doctor would end"
stop_sluiced
DISCOVER_YAML=''

# A name that JSON cannot carry would keep the whole status from being told: refused, with the reason.
odd=$'br\xff'
ns_ip port link set br0 down
ns_ip port link set br0 name "$odd"
ns_ip port link set "$odd" up
start_sluiced
expect_fails "attach below a bridge of an odd name" sluice tenant attach port --netns "$(ns_name port)" --interface vp0
expect_has "$(cat "$LAB/expect.out")" "no plain text; rename it" "why"
ns_ip port link set "$odd" down
ns_ip port link set "$odd" name br0
ns_ip port link set br0 up
sluice tenant attach port --netns "$(ns_name port)" --interface vp0 >"$LAB/attach.log" ||
	fail "the attach after it was renamed"
detach port

# A port that joins a bridge after it was attached, and leaves it again: the address goes along.
stands() { [ "$(tenant port '"\(.state) \(.l3_interface)"')" = "attached $1" ]; }
ns_ip port link set vp0 nomaster
attach port --interface vp0
expect_eq "$(tenant port .l3_interface)" vp0 "where the address lives without a bridge"
ns_ip port link set vp0 master br0
wait_for 15 "the address to be on the bridge" stands br0
expect_document port 1024 "after its port joined the bridge"
ns_ip port link set vp0 nomaster
ns_ip port addr del "$GATEWAY_IP/24" dev br0
ns_ip port addr add "$GATEWAY_IP/24" dev vp0
ns_ip port-vm neigh flush dev eth0
wait_for 15 "the address to be on the port" stands vp0
expect_document port 1024 "after its port left the bridge"
