#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Gateways find their way in by themselves: those that are there at the start, a namespace that
# comes later, an interface that comes later still, one created anew or renamed; a changed MAC is
# answered with; what goes is let go of at once, also while it downloads, and the namespace is then
# really gone. A rule that is taken away takes its tenants along.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
make_tenant q-one
make_documents 1024 $((16 * MIB))
start_nginx nginx
DISCOVER_YAML="- {namespaces: $SL_ID-q-*, interfaces: qr*, tenant: \"t{1}.{interface}\"}"
start_sluiced

state_is() { [ "$(tenant "$1" .state 2>/dev/null)" = "$2" ]; }
absent() { ! sluice tenant show "$1" >/dev/null 2>&1; }
serves() { expect_document "$1" 1024 "$2"; }
# in time, not by the sweep, which takes 30 s for a round
soon() { wait_soon 6 "$@"; }

soon "the gateway that was there" state_is tone.qr0 attached
serves q-one "there at the start"

make_tenant q-two
soon "a gateway that came" state_is ttwo.qr0 attached
serves q-two "came later"
expect_eq "$(sluice tenant list --json | jq length)" 2 "tenants, the VMs' namespaces are none"

ns_ip q-two link add qr1 type veth peer name qr1-peer
ns_ip q-two link set qr1-peer name other || true
soon "a second interface" state_is ttwo.qr1 attached
ns_ip q-two link del qr1
soon "its end" absent ttwo.qr1
serves q-two "beside one that went"

ns_ip q-one link set qr0 down
ns_ip q-one link set qr0 name qr9
ns_ip q-one link set qr9 up
soon "the new name" state_is tone.qr9 attached
soon "the old name's end" absent tone.qr0
serves q-one "renamed"
ns_ip q-one link set qr9 down
ns_ip q-one link set qr9 name wrong0
ns_ip q-one link set wrong0 up
soon "a name that no rule matches" absent tone.qr9
expect_eq "$(in_ns q-one tc filter show dev wrong0 ingress)" "" "filters on an interface that is let go"
ns_ip q-one link set wrong0 down
ns_ip q-one link set wrong0 name qr0
ns_ip q-one link set qr0 up
soon "the first name again" state_is tone.qr0 attached

# The VM asks by ARP, as Windows does: the answer must carry the address the interface has now.
ns_ip q-one-vm route del default
ns_ip q-one-vm route add 169.254.0.0/16 dev eth0 scope link
serves q-one "on-link"
ns_ip q-one link set qr0 address 02:00:00:00:be:ef
arp_answer() {
	ns_ip q-one-vm neigh flush dev eth0
	in_ns q-one-vm ping -q -c 1 -W 1 169.254.169.254 >/dev/null
	[ "$(ns_ip q-one-vm -j neigh show 169.254.169.254 | jq -r '.[0].lladdr')" = 02:00:00:00:be:ef ]
}
soon "ARP answers with the new address" arp_answer
serves q-one "with another MAC"

ns_ip q-one link del qr0
make_link q-one qr0 q-one-vm eth0
tenant_addresses q-one qr0
ns_ip q-one-vm route add default via $GATEWAY_IP
soon "an interface created anew" state_is tone.qr0 attached
serves q-one "created anew"

# Gone in the middle of a download: its connections are reset, nothing keeps the namespace.
nsid=$(ip -j netns list | jq ".[] | select(.name == \"$SL_ID-q-two\") | .id")
expect_ne "$nsid" "" "id of the namespace"
expect_ne "$nsid" null "id of the namespace"
in_ns q-two-vm curl -qsS --noproxy '*' --limit-rate 1M -o /dev/null "$META/$((16 * MIB))" 2>/dev/null &
curl=$!
busy() { [ "$(tenant ttwo.qr0 .relay.open)" = 1 ]; }
wait_for 5 "the download" busy
remove_ns q-two
soon "the deleted gateway's end" absent ttwo.qr0
really_gone() { ! ip netns list-id | grep -qE "^nsid $nsid( |\$)"; }
soon "the end of the namespace itself" really_gone
kill $curl 2>/dev/null || true
wait $curl || true
expect_eq "$(bpf_map ifaces | jq length)" 1 "entries in map ifaces"
serves q-one "beside a deleted one"

# The same name again is another namespace.
remove_ns q-two-vm
make_tenant q-two
soon "the same name again" state_is ttwo.qr0 attached
serves q-two "the same name again"

# A file that is no namespace, and a rule that goes.
touch "/run/netns/$SL_ID-q-file"
sleep 0.3
rm "/run/netns/$SL_ID-q-file"
DISCOVER_YAML="- {namespaces: $SL_ID-q-t*o, interfaces: \"*\", tenant: \"n{1}o.{interface}\", fail: drop}"
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >>"$LAB/reload.log"
soon "the end of what the rule brought" absent tone.qr0
soon "what the new rule calls it" state_is nwo.qr0 attached
expect_eq "$(tenant nwo.qr0 .fail)" drop "the new rule's policy"
serves q-two "by the new rule"
absent nwo.lo || fail "a loopback is taken for a VM's interface"

# An upgraded daemon knows them for what they are.
sluice upgrade >>"$LAB/reload.log" 2>&1 || fail "upgrade: $(tail -n 2 "$LAB/reload.log")"
wait_sluiced
serves q-two "after an upgrade"
remove_ns q-two
soon "the end of what an upgraded daemon has taken over" absent nwo.qr0
