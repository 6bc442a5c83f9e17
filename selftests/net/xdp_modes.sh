#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Each guard mode that can be forced, on veth, tap and bridge port: everything arrives whole, and
# bad packets are dropped where the mode says.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 0 1024 65537 4194304
make_tenant_tap tap
make_tenant_bridge bridge
start_sluiced

for mode in tc xdp-native xdp-generic; do
	for vm in fd tap bridge; do
		device=qr0
		[ $vm != bridge ] || device=vp0
		attach $vm --interface $device --guard $mode
		expect_eq "$(tenant $vm .guard.active)" $mode "mode of $vm"
		for size in 0 1024 65537 4194304; do
			expect_document $vm $size "$mode on $vm"
		done
		expect_document $vm 65537 "$mode on $vm, IPv6" "http://[fe80::a9fe:a9fe%25eth0]/"
		bad=$(bpf_verdict $vm bad_port) by_xdp=$(bpf_verdict $vm xdp_dropped)
		FLOOD_IF=$device flood $vm --kind port --count 100 --rate 2000 --seconds 5 >/dev/null
		# A tap's frames come through a process.
		dropped() { [ $(($(bpf_verdict "$vm" bad_port) - bad)) -ge 100 ]; }
		wait_for 5 "drops by $mode on $vm" dropped
		expect_eq $(($(bpf_verdict $vm bad_port) - bad)) 100 "drops by $mode on $vm"
		want=100
		[ $mode != tc ] || want=0
		expect_eq $(($(bpf_verdict $vm xdp_dropped) - by_xdp)) $want "drops that XDP took ($mode on $vm)"
		# Bystanders pass.
		in_ns $vm-vm ping -q -c 2 -i 0.2 -W 2 "$GATEWAY_IP" >/dev/null || fail "bystander under $mode on $vm"
		detach $vm
	done
done
