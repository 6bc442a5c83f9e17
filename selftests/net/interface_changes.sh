#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# A tenant interface is renamed, and taken away and made anew under its old name, during
# transfers: what stands goes on, what is gone is let go, what comes back is served.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((8 * MIB))
make_tenant other
start_sluiced
attach other
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done
state() { [ "$(tenant "$1" .state)" = "$2" ]; }

start kept in_ns other-vm curl -qsS --noproxy '*' --limit-rate 2M -o "$LAB/kept" "$META/$((8 * MIB))"
for bridge in $BRIDGES; do
	# A name is what the operator asked for: under another one it is no longer that interface.
	ns_ip "$bridge" link set qr0 down
	ns_ip "$bridge" link set qr0 name was0
	ns_ip "$bridge" link set was0 up
	wait_for 15 "the renamed interface of $bridge to be let go" state "$bridge" failed
	expect_eq "$(in_ns "$bridge" tc filter show dev was0 ingress)" "" "filters left on it"
	ns_ip "$bridge" link set was0 down
	ns_ip "$bridge" link set was0 name qr0
	ns_ip "$bridge" link set qr0 up
	wait_for 15 "$bridge under its name again" state "$bridge" attached
	ns_ip "$bridge-vm" route replace default via $GATEWAY_IP
	expect_document "$bridge" 1024 "after it was renamed and back"

	start lost in_ns "$bridge-vm" curl -qsS --noproxy '*' --limit-rate 1M --max-time 60 -o /dev/null \
		"$META/$((8 * MIB))"
	sleep 0.3
	old=$(ifindex_of "$bridge" qr0)
	ns_ip "$bridge" link del qr0
	make_link "$bridge" qr0 "$bridge-vm" eth0
	tenant_addresses "$bridge" qr0
	ns_ip "$bridge-vm" route add default via $GATEWAY_IP
	renewed() { [ "$(tenant "$bridge" '"\(.state) \(.ifindex)"')" = "attached $(ifindex_of "$bridge" qr0)" ]; }
	wait_for 15 "the new interface of $bridge to be attached" renewed
	expect_ne "$(ifindex_of "$bridge" qr0)" "$old" "the interface's number"
	expect_document "$bridge" 1024 "through the new interface"
	stop lost
done
collect kept || fail "another tenant's transfer"
expect_eq "$(sha256sum <"$LAB/kept" | cut -d ' ' -f 1)" "${SUM[$((8 * MIB))]}" "another tenant's transfer"
