#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A management gateway that takes an interface of this machine: it is moved in with its new address,
# services are reached through it, also by the next daemon, and deleting the gateway brings it back.
# What cannot be had is refused before anything is made.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_ns mgmt
make_tenant blue
UPLINK=slu$$ # of this machine; it goes with its other end in mgmt
ip link add $UPLINK type veth peer name eth0 netns "$(ns_name mgmt)"
ns_ip mgmt link set eth0 up
ns_ip mgmt addr add $MGMT_IP/24 dev eth0
make_documents 1024
start_nginx nginx
sluice_yaml | sed '/^management:/,+2d; /^ *$/d' >"$LAB/sluiced.yaml"
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
attach blue

create() { sluice gateway create --netns "$(ns_name mgw)" --address $MGMT_SOURCE/24 "$@"; }
gone() { ! ip netns list | grep -q "^$(ns_name mgw)\( \|\$\)"; }
expect_fails "an interface that is not there" create --link slnone$$
expect_has "$(cat "$LAB/expect.out")" slnone$$ "what is missing"
gone || fail "a gateway that could not be made is there"
expect_fails "a link and a veth" create --link $UPLINK --veth slv$$

create --link $UPLINK --route 10.99.0.0/16=$MGMT_IP >"$LAB/gateway.log" 2>&1 || fail "gateway create: $(cat "$LAB/gateway.log")"
NAMESPACES+=("$(ns_name mgw)")
expect_fails "the interface is in the gateway alone" ip link show dev $UPLINK
expect_has "$(ns_ip mgw -br addr show dev $UPLINK)" "$MGMT_SOURCE/24" "the gateway's address"
expect_has "$(ns_ip mgw route show)" "10.99.0.0/16 via $MGMT_IP" "the gateway's route"
expect_eq "$(in_ns mgw cat /proc/sys/net/ipv4/ip_forward)" 0 "forwarding"
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >>"$LAB/gateway.log" || fail "reload with the new gateway"
expect_document blue 1024 "through the interface"
stop_sluiced
start_sluiced
attach blue
expect_document blue 1024 "through the interface, by the next daemon"

expect_fails "a gateway in use is deleted" sluice gateway delete --netns "$(ns_name mgw)"
sluice_yaml | sed '/^management:/,+2d; /^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >>"$LAB/gateway.log"
sluice gateway delete --netns "$(ns_name mgw)" >>"$LAB/gateway.log" || fail "gateway delete"
gone || fail "the gateway is still there"
ip link show dev $UPLINK >/dev/null || fail "the interface did not come back"
expect_eq "$(ip -j addr show dev $UPLINK | jq -r '[.[].addr_info[] | select(.family == "inet")] | length')" 0 "its addresses"
stop_sluiced
