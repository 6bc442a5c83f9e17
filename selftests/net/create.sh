#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# "tenant create" builds all there is to a tenant network: VMs on a bridge in another namespace, and
# VMs behind a VLAN tag, get their address and the route to the metadata address by DHCP from a real
# dnsmasq, in an isolated network and in one with a router; a DHCP server that dies comes back; a new
# daemon goes on with what the last one built, be it restarted, upgraded or crashed; "tenant delete"
# leaves nothing. Services are reached from a gateway that "gateway create" built.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl dnsmasq busybox
make_ns mgmt fabric vm-a vm-b vm-c
ns_ip fabric link add br0 type bridge
ns_ip fabric link set br0 up
for vm in a b; do
	make_link fabric port-$vm vm-$vm eth0
	ns_ip fabric link set port-$vm master br0
done
make_documents 1024 1048576

# dhcp VM INTERFACE: what udhcpc gets, applied as any client does. Option 121 comes as
# "NET/LEN VIA NET/LEN VIA…", and option 3 is ignored beside it (RFC 3442).
cat >"$LAB/udhcpc.script" <<'SH'
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
printf 'router=%s dns=%s\n' "$router" "$dns"
set -- $staticroutes
while [ $# -ge 2 ]; do
	printf 'route %s via %s\n' "$1" "$2"
	ip route add "$1" via "$2" dev "$interface"
	shift 2
done
SH
chmod 755 "$LAB/udhcpc.script"
dhcp() {
	in_ns "$1" busybox udhcpc -i "$2" -s "$LAB/udhcpc.script" -n -q -f -t 60 -T 1 -A 1 \
		-O staticroutes -O router -O dns 2>>"$LAB/udhcpc.log"
}
get() { # VM DOCUMENT
	expect_eq "$(in_ns "$1" curl -qsS --fail --noproxy '*' --max-time $((20 * PATIENCE)) "$META/$2" | sha256sum | cut -d ' ' -f 1)" \
		"${SUM[$2]}" "document $2 in $1"
}

# ---- the management gateway -----------------------------------------------------------------
# It is there before the daemon is told of it, so the daemon starts without.
sluice_yaml | sed '/^management:/,+2d; /^ *$/d' >"$LAB/sluiced.yaml"
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
OUTER=slo$$
sluice gateway create --netns "$(ns_name mgw)" --veth "$OUTER" --address $MGMT_SOURCE/24 \
	--route 10.99.0.0/16=$MGMT_IP >"$LAB/gateway.log" 2>&1 || fail "gateway create: $(cat "$LAB/gateway.log")"
NAMESPACES+=("$(ns_name mgw)")
ip link set "$OUTER" netns "$(ns_name mgmt)" name eth0 up
ns_ip mgmt addr add $MGMT_IP/24 dev eth0
expect_has "$(ns_ip mgw route show)" "10.99.0.0/16 via $MGMT_IP" "the gateway's route"
start_nginx nginx
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >>"$LAB/reload.log" || fail "reload with the new gateway"

# ---- an isolated network, on a bridge -----------------------------------------------------------
create() { sluice tenant create "$@" >>"$LAB/create.log" 2>&1 || fail "tenant create $1: $(tail -n 2 "$LAB/create.log")"; }
create a --subnet 192.168.0.0/24 --netns "$(ns_name gw-a)" --into "$(ns_name fabric)" --bridge br0 \
	--interface-name to-a --dns 9.9.9.9
NAMESPACES+=("$(ns_name gw-a)")
expect_eq "$(tenant a .state)" attached "the state of what was created"
expect_eq "$(in_ns gw-a cat /proc/sys/net/ipv4/ip_forward)" 0 "forwarding"
got=$(dhcp vm-a eth0) || fail "no lease"
expect_eq "$got" "router= dns=9.9.9.9
route 169.254.169.254/32 via 192.168.0.1" "what DHCP said in an isolated network"
get vm-a 1024
get vm-a 1048576
expect_fails "a second one of that name" sluice tenant create a --subnet 10.0.0.0/24
expect_fails "a namespace that is there" sluice tenant create z --subnet 10.0.0.0/24 --netns "$(ns_name gw-a)"
expect_fails "no subnet" sluice tenant create z --subnet 10.0.0.1/24
get vm-a 1024

# ---- its DHCP server dies, and the daemon ------------------------------------------------------
dnsmasq_pid() { cut -d ' ' -f 1 "/run/sluice/$INSTANCE/created/tenant-a/dnsmasq.pid" 2>/dev/null || echo none; }
old=$(dnsmasq_pid)
expect_ne "$(awk '/^Uid/ { print $3 }' "/proc/$old/status")" 0 "uid of dnsmasq"
kill -KILL "$old"
replaced() { [ "$(dnsmasq_pid)" != "$old" ] && alive "$(dnsmasq_pid)"; }
wait_for 10 "another dnsmasq" replaced
dhcp vm-b eth0 >/dev/null || fail "no lease from the second dnsmasq"
get vm-b 1024
old=$(dnsmasq_pid)
stop_sluiced
alive "$old" && fail "dnsmasq runs on without its daemon"
start_sluiced
expect_eq "$(tenant a .state)" attached "the state in the next daemon"
wait_for 10 "the third dnsmasq" replaced
get vm-a 1024

# What was created before listen and guard changed stays as it was, and its DHCP comes back all the same.
LISTEN_YAML='ports: [80, 9080]' GUARD_YAML='mode: tc'
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >>"$LAB/reload.log" || fail "reload with other ports"
lease() {
	wait_for 10 "dnsmasq after $1" replaced
	dhcp vm-b eth0 >/dev/null || fail "no lease after $1"
	expect_eq "$(tenant a '"\(.state) \(.ports)"')" "attached [80,8080]" "what was created, after $1"
	get vm-b 1024
}
old=$(dnsmasq_pid)
sluice upgrade >>"$LAB/upgrade.log" || fail "upgrade: $(cat "$LAB/upgrade.log")"
lease "an upgrade"
old=$(dnsmasq_pid)
kill_sluiced
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
lease "a crash"

# ---- with a router, behind a VLAN tag, the same addresses ---------------------------------------
# Some kernels have no VLAN interfaces; the rest of this is worth seeing there too.
vlan=() vmif=eth0 attachif=gw0
if ns_ip mgmt link add link lo name probe type vlan id 42 2>/dev/null; then
	ns_ip mgmt link del probe
	vlan=(--vlan 42) vmif=eth0.42 attachif=gw0.42
fi
create c --subnet 192.168.0.0/24 --router 192.168.0.254 ${vlan[@]+"${vlan[@]}"} \
	--netns "$(ns_name gw-c)" --into "$(ns_name vm-c)" --interface-name eth0
NAMESPACES+=("$(ns_name gw-c)")
[ $vmif = eth0 ] || ns_ip vm-c link add link eth0 name $vmif type vlan id 42
ns_ip vm-c link set $vmif up
got=$(dhcp vm-c $vmif) || fail "no lease on $vmif"
expect_eq "$got" "router=192.168.0.254 dns=
route 169.254.169.254/32 via 192.168.0.1
route 0.0.0.0/0 via 192.168.0.254" "what DHCP said with a router"
get vm-c 1048576
expect_eq "$(tenant c .interface)" $attachif "where it is attached"
get vm-a 1024

# ---- without a trace -------------------------------------------------------------------------------
sluice tenant delete a >>"$LAB/create.log"
sluice tenant delete c >>"$LAB/create.log"
expect_fails "deleted twice" sluice tenant delete a
expect_eq "$(sluice tenant list --json | jq length)" 0 "tenants after delete"
expect_eq "$(ip netns list | grep -c "^$SL_ID-gw-" || true)" 0 "namespaces after delete"
expect_fails "the outer end is gone" ns_ip fabric link show dev to-a
alive "$old" && fail "dnsmasq runs on"
expect_eq "$(pgrep -fc "^dnsmasq .*$INSTANCE/created" || true)" 0 "dnsmasq processes"
expect_eq "$(ls "/run/sluice/$INSTANCE/created")" "gateway-$(ns_name mgw)" "what is left of records"
expect_fails "a gateway in use is deleted" sluice gateway delete --netns "$(ns_name mgw)"
sluice_yaml | sed '/^management:/,+2d; /^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >>"$LAB/reload.log"
sluice gateway delete --netns "$(ns_name mgw)" >>"$LAB/create.log"
[ ! -e "/run/sluice/$INSTANCE/created" ] || fail "records are left"
expect_fails "deleted gateways" ns_ip mgmt link show dev eth0
