#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A host behind another interface of the same namespace (an uplink) must not reach the service,
# whatever routes it has, and its other traffic is as before.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
make_tenant served
make_ns uplink-vm
make_link served qg0 uplink-vm eth0
ns_ip served addr add 203.0.113.1/24 dev qg0
ns_ip uplink-vm addr add 203.0.113.9/24 dev eth0
ns_ip uplink-vm route add default via 203.0.113.1
make_documents 1024
start_nginx nginx
start_sluiced
attach served

expect_document served 1024 "the attached side"
for port in 80 8080; do
	expect_fails "a host on the uplink, port $port" \
		in_ns uplink-vm curl -qsS --noproxy '*' --max-time 3 "$META:$port/1024"
done
mac=$(mac_of served qg0)
ns_ip uplink-vm neigh replace 169.254.169.254 lladdr "$mac" dev eth0
ns_ip uplink-vm route add 169.254.169.254/32 dev eth0
expect_fails "a host on the uplink that claims to be on-link" \
	in_ns uplink-vm curl -qsS --noproxy '*' --max-time 3 "$META/1024"
ns_ip uplink-vm -6 neigh replace fe80::a9fe:a9fe lladdr "$mac" dev eth0
expect_fails "a host on the uplink by IPv6" \
	in_ns uplink-vm curl -qsS --noproxy '*' --max-time 3 "http://[fe80::a9fe:a9fe%25eth0]/1024"
in_ns uplink-vm ping -q -c 1 -W 2 203.0.113.1 >/dev/null || fail "the uplink's other traffic"
expect_document served 1024 "the attached side, after"
