#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A host behind another interface of the same namespace (an uplink) must not reach the service,
# whatever routes it has, and its other traffic is as before. And the attached side reaches the opened
# ports alone: not what else listens in the namespace, nor its loopback.
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
in_ns uplink-vm ping -q -c 1 -W $((5 * PATIENCE)) 203.0.113.1 >/dev/null || fail "the uplink's other traffic"
expect_document served 1024 "the attached side, after"

# Others in the namespace: one on every address, one on loopback.
start others in_ns served "$PYTHON" -c '
import socket, time
held = [socket.create_server((host, port)) for host, port in (("0.0.0.0", 9998), ("127.0.0.1", 9999))]
held.append(socket.create_server(("::", 9997), family=socket.AF_INET6))
print("ready", flush=True)
time.sleep(6000)'
wait_for 5 "the others to listen" grep -q ready "$LAB/others.log"
reaches() { in_ns served-vm timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }
wait_for 5 "what listens on the gateway's own address to be reached: it is nobody's business" reaches "$GATEWAY_IP" 9998
expect_fails "another port of the metadata address" reaches 169.254.169.254 9998
expect_fails "another port of its IPv6 address" \
	in_ns served-vm curl -qsS --noproxy '*' --max-time 2 "http://[fe80::a9fe:a9fe%25eth0]:9997/"
# 127.0.0.1 by way of the gateway, as a VM can send it.
in_ns served-vm sysctl -qw net.ipv4.conf.all.route_localnet=1
ns_ip served-vm route del table local local 127.0.0.1 dev lo 2>/dev/null || true
ns_ip served-vm route del table local local 127.0.0.0/8 dev lo
ns_ip served-vm route add 127.0.0.0/8 via "$GATEWAY_IP" dev eth0
ns_ip served-vm route get 127.0.0.1 | grep -q "via $GATEWAY_IP" || fail "the VM does not send to 127.0.0.1"
expect_fails "the gateway's loopback" reaches 127.0.0.1 9999
for where in all default qr0; do
	expect_eq "$(in_ns served sysctl -n net.ipv4.conf.$where.route_localnet)" 0 "route_localnet of $where"
done
