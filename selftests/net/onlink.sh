#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A VM that knows no gateway and takes 169.254.169.254 for a neighbour, as Windows does: ARP is
# answered, and so is ping; then everything works as for a routed one.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
make_tenant_onlink onlink
make_documents 1024 1048576
start_nginx nginx
start_sluiced

expect_fails "nobody answers ARP before attach" vm_curl onlink --connect-timeout 2 "$META/1024"
ns_ip onlink-vm neigh flush dev eth0
attach onlink
for size in 1024 1048576; do
	expect_document onlink $size "on-link"
done
expect_eq "$(ns_ip onlink-vm -j neigh show 169.254.169.254 | jq -r '.[0].lladdr')" \
	"$(mac_of onlink qr0)" "who answered ARP"
expect_ge "$(tenant onlink .verdicts.arp_reply)" 1 "ARP replies counted"
in_ns onlink-vm ping -q -c 2 -i 0.2 -W $((5 * PATIENCE)) 169.254.169.254 >/dev/null || fail "ping is not answered"
expect_ge "$(tenant onlink .verdicts.echo_reply)" 2 "echo replies counted"
# The gateway's own address is still the kernel's to answer for.
in_ns onlink-vm ping -q -c 1 -W $((5 * PATIENCE)) "$GATEWAY_IP" >/dev/null || fail "the gateway itself does not answer"
