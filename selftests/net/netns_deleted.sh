#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# A tenant's namespace is deleted during transfers, also of a generation that drains: its
# connections are reset and the namespace is really gone, which its veth's other end shows by
# vanishing. Other tenants notice nothing.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((32 * MIB))
make_tenant other
start_sluiced
attach other
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	start "old-$bridge" in_ns "$bridge-vm" curl -qsS --noproxy '*' --limit-rate 1M --max-time 60 \
		-o "$LAB/old-$bridge" "$META/$((32 * MIB))"
	wait_for 10 "the first transfer" test -s "$LAB/old-$bridge"
done
sluice reload >>"$LAB/reload.log"
draining() { sluice status --json | jq -e '[.workers[] | select(.state == "draining" and .connections > 0)] | length >= 1'; }
wait_for 10 "a generation that drains" draining
for bridge in $BRIDGES; do
	start "new-$bridge" in_ns "$bridge-vm" curl -qsS --noproxy '*' --limit-rate 1M --max-time 60 \
		-o "$LAB/new-$bridge" "$META/$((32 * MIB))"
	wait_for 10 "the second transfer" test -s "$LAB/new-$bridge"
done
start kept in_ns other-vm curl -qsS --noproxy '*' --limit-rate 8M -o "$LAB/kept" "$META/$((32 * MIB))"

# The other end of a veth goes when the namespace is destroyed, not when its name is removed.
peer_gone() { ! ns_ip "$1-vm" link show eth0; }
for bridge in $BRIDGES; do
	remove_ns "$bridge"
	wait_for 15 "the namespace of $bridge to be gone" peer_gone "$bridge"
	wait_for 10 "tenant $bridge to be known as failed" expect_ne "$(tenant "$bridge" .state)" attached
done
for bridge in $BRIDGES; do
	# Packets have no way left, so that the client learns nothing; it is ended.
	stop "old-$bridge"
	stop "new-$bridge"
done
collect kept || fail "another tenant's transfer"
expect_eq "$(sha256sum <"$LAB/kept" | cut -d ' ' -f 1)" "${SUM[$((32 * MIB))]}" "another tenant's transfer"
expect_document other 1024 "another tenant"
