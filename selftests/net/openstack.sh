#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 600
#
# sluice at the place of neutron's proxies, with the configurations of docs/openstack.md: Debian's
# neutron-metadata-agent on its unix socket, Debian's nova metadata API, gateways named as neutron names
# them. What a VM reads through sluice is what it read through the haproxy that neutron's driver
# configures, and cloud-init's own datasources find themselves. In a router's namespace neutron's
# proxy is passed by while it runs; in a DHCP namespace, where it holds the address, that is a conflict
# which ends when it leaves. Then the same in front of what OVN's agent serves with, and by sluice
# speaking to nova itself.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/openstack.sh
. "$TOP/selftests/lib/openstack.sh"

lab_begin
need jq curl haproxy iptables gcc
openstack_get
ROUTER=qrouter-$(uuid 201).qr-lab
NETWORK=$(uuid 102)
DHCP=qdhcp-$NETWORK.tap-lab
make_management
make_gateway router 1 "${ROUTER%.*}" qr-lab
make_gateway dhcp 2 "${DHCP%.*}" tap-lab
instances 1 2 3
start_nova
start_agent
openstack_ready

META6='http://[fe80::a9fe:a9fe%25eth0]'
name_of() { vm_curl "$@" $META/openstack/latest/meta_data.json | jq -r .name; }
is() { [ "$(name_of "$1")" = "$2" ]; }
state_is() { [ "$(tenant "$1" .state)" = "$2" ]; }
asked() { tenant "$1" .relay.requests; }
took() { [ "$(asked "$1")" -ge "$2" ]; }

# crawls NAME: what OpenStack and EC2 show the VM in the DHCP namespace, and OpenStack the other one
crawls() {
	crawl router $META /openstack/latest >"$LAB/router.$1"
	crawl dhcp $META /openstack/latest /2009-04-04 /none >"$LAB/dhcp.$1"
	crawl dhcp "$META6" /openstack/latest >"$LAB/dhcp6.$1"
}

# same NAME NAME
same() {
	local vm
	for vm in router dhcp dhcp6; do
		cmp -s "$LAB/$vm.$1" "$LAB/$vm.$2" || fail "what $vm reads: $(diff "$LAB/$vm.$1" "$LAB/$vm.$2")"
	done
}

# begin N: sluiced with the Nth configuration
begin() {
	openstack_yaml "$1" >"$LAB/sluiced.yaml"
	start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
	wait_sluiced
}

# cloud_init VM NUMBER SERVICE: every way in which cloud-init may ask; each must find instance NUMBER
cloud_init() {
	local vm=$1 number=$2 got want
	want="vm-$number #cloud-config # of vm-$number ssh-ed25519"
	got=$(cloud_init_as "$vm" OpenStack nova) || fail "cloud-init, OpenStack ($3)"
	expect_eq "$(jq -r '"\(.instance) \(.addresses | join(","))"' <<<"$got")" "$(uuid "$number") $VM_IP" \
		"whom cloud-init found itself to be, OpenStack ($3)"
	expect_eq "$(cloud_init_words "$got")" "$want" "what it read, OpenStack ($3)"
	got=$(cloud_init_as "$vm" OpenStack nova 'http://[fe80::a9fe:a9fe%eth0]') || fail "cloud-init, IPv6 ($3)"
	expect_eq "$(cloud_init_words "$got")" "$want" "what it read by IPv6 ($3)"
	got=$(cloud_init_as "$vm" Ec2 nova $META) || fail "cloud-init, EC2 ($3)"
	expect_eq "$(cloud_init_words "$got")" "$want" "what it read, EC2 ($3)"
}

# ---- neutron's own ---------------------------------------------------------------------------

in_ns router iptables -w -t nat -A PREROUTING -d 169.254.169.254/32 -i qr-+ -p tcp -m tcp --dport 80 \
	-j REDIRECT --to-ports 9697
ns_ip dhcp addr add 169.254.169.254/32 dev tap-lab
ns_ip dhcp addr add fe80::a9fe:a9fe/64 dev tap-lab
start_haproxy router router "$(uuid 201)" 0.0.0.0 9697
start_haproxy dhcp network "$NETWORK" 169.254.169.254 80 fe80::a9fe:a9fe tap-lab
wait_for 20 "neutron's proxy in the router's namespace" is router vm-1
wait_for 20 "neutron's proxy in the DHCP namespace" is dhcp vm-2
crawls haproxy
expect_ge "$(grep -c '^200 ' "$LAB/dhcp.haproxy")" 25 "paths of a VM"
expect_ge "$(grep -c '^200 ' "$LAB/dhcp6.haproxy")" 5 "paths of a VM by IPv6"

# ---- sluice in front of the agent --------------------------------------------------------------

begin 1
wait_for 10 "the router's gateway, whose proxy is on another port" state_is "$ROUTER" attached
wait_for 10 "the conflict with the proxy that holds the address" state_is "$DHCP" conflict
expect_has "$(tenant "$DHCP" .reason)" haproxy "who holds the address"
is dhcp vm-2 || fail "neutron's proxy must go on serving"
expect_eq "$(asked "$DHCP")" 0 "requests that sluice took from neutron's proxy"
is router vm-1 || fail "through sluice, beside neutron's proxy and its REDIRECT"
wait_for 10 "a request that passed by neutron's proxy" took "$ROUTER" 1

stop haproxy-router
stop haproxy-dhcp
wait_for 10 "the takeover" state_is "$DHCP" attached
crawls agent
same haproxy agent
wait_for 10 "requests through sluice" took "$DHCP" 30

# The agents' monitor starts a proxy that ended again: beside a gate that serves it finds the address
# taken, and ends.
before=$(asked "$DHCP")
start_haproxy dhcp
status=0
collect haproxy-dhcp || status=$?
expect_ne "$status" 0 "the exit status of a proxy beside a gate"
expect_has "$(cat "$LAB/haproxy-dhcp.log")" "cannot bind socket" "why it ended"
is dhcp vm-2 || fail "beside a proxy that was started again"
wait_for 10 "sluice to be who was asked" took "$DHCP" $((before + 1))

# Who asks is told by sluice alone; somebody whom neutron does not know gets nothing.
expect_eq "$(name_of dhcp -H "X-Neutron-Router-ID: $(uuid 201)" -H "X-Forwarded-For: $VM_IP" \
	-H "X-Instance-ID: $(uuid 1)")" vm-2 "with another's headers"
ns_ip dhcp-vm addr add 192.168.0.99/24 dev eth0
expect_eq "$(vm_status dhcp --interface 192.168.0.99 $META/openstack)" 404 "an address of no port"

cloud_init router 1 "neutron's agent"
expect_eq "$(tenant "$ROUTER" .relay.over_budget)" 0 "requests that a budget refused"
stop_sluiced

# ---- sluice in front of OVN's agent ------------------------------------------------------------

OVN=ovnmeta-$(uuid 103).tap-ovn
AGENT_SOCKET=$LAB/metadata_proxy.ovn
make_gateway ovn 3 "${OVN%.*}" tap-ovn
ns_ip ovn addr add 169.254.169.254/32 dev tap-ovn
start_haproxy ovn ovn "$(uuid 103)" 169.254.169.254 80
wait_for 20 "neutron's proxy in OVN's namespace" is ovn vm-3
crawl ovn $META /openstack/latest >"$LAB/ovn.haproxy"
stop haproxy-ovn
begin 1
wait_for 10 "OVN's gateway" state_is "$OVN" attached
crawl ovn $META /openstack/latest >"$LAB/ovn.sluice"
cmp -s "$LAB/ovn.haproxy" "$LAB/ovn.sluice" || fail "what OVN's VM reads: $(diff "$LAB/ovn.haproxy" "$LAB/ovn.sluice")"
expect_eq "$(name_of ovn -H "X-OVN-Network-ID: $NETWORK")" vm-3 "with another network's header"
stop_sluiced

# ---- sluice in front of nova -------------------------------------------------------------------

printf '%s\n' "$SECRET" >"$LAB/secret"
chmod 600 "$LAB/secret"
openstack_ports | jq -c -f <(openstack_block jq 1) >"$LAB/bindings"
expect_eq "$(jq -r .tenant <"$LAB/bindings" | grep -c "^$NETWORK\$")" 1 "bindings of the network"
stop agent
begin 2
wait_for 10 "the gateway named after its network" state_is "$NETWORK" attached
crawls_nova() {
	crawl dhcp $META /openstack/latest /2009-04-04 /none >"$LAB/dhcp.nova"
	crawl dhcp "$META6" /openstack/latest >"$LAB/dhcp6.nova"
}
crawls_nova
cut -d ' ' -f 1,3- "$LAB/dhcp.haproxy" | grep ^200 >"$LAB/want"
cut -d ' ' -f 1,3- "$LAB/dhcp.nova" | grep ^200 >"$LAB/got"
cmp -s "$LAB/want" "$LAB/got" || fail "what nova says without the agent: $(diff "$LAB/want" "$LAB/got")"
expect_eq "$(name_of dhcp -H "X-Instance-ID: $(uuid 1)" -H "X-Tenant-ID: none")" vm-2 "with another's headers"
cloud_init dhcp 2 "nova"
expect_fails "an address without a binding" vm_curl dhcp --connect-timeout 2 --interface 192.168.0.99 $META/openstack
expect_ge "$(tenant "$NETWORK" .verdicts.spoofed)" 1 "packets from an address without a binding"

# What a Windows guest posts is kept; a second time nova refuses it, and that arrives as such.
expect_eq "$(vm_status dhcp -d secret $META/openstack/latest/password)" 200 "the password"
kept() { [ "$(vm_curl dhcp $META/openstack/latest/password)" = secret ]; }
wait_for 30 "the password to be there" kept
expect_eq "$(vm_status dhcp -d other $META/openstack/latest/password)" 409 "another password"
expect_eq "$(tenant "$NETWORK" .relay.over_budget)" 0 "requests that a budget refused"
stop_sluiced
