#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# Each guard mode that can be forced, on veth, tap and bridge port: everything arrives whole, and
# bad packets are dropped where the mode says, also when somebody else takes XDP off.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 0 1024 65537 4194304
make_tenant_tap tap
make_tenant_bridge bridge
start_sluiced

# Somebody takes the program off: it is noticed (TC polices meanwhile) and put back.
taken_away() {
	losses() { grep -c "tenant fd: XDP is gone from qr0" "$LAB/sluiced.log"; }
	before=$(losses) || true
	rm "/sys/fs/bpf/sluice/$INSTANCE/links/"xdp-*
	noticed() { [ "$(losses)" -gt "$before" ]; }
	wait_for 5 "the loss of $1 to be noticed" noticed
	back() { [ "$(tenant fd .guard.active)" = "$1" ]; }
	wait_for 10 "$1 to come back" back "$1"
	expect_eq "$(in_ns fd bpftool -j net show dev qr0 | jq -r '.[0].xdp | length')" 1 "programs by $1"
}

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
		FLOOD_IF=$device flood $vm --kind port --count 100 --rate 2000 --seconds 60 >/dev/null
		# A tap's frames come through a process.
		dropped() { [ $(($(bpf_verdict "$vm" bad_port) - bad)) -ge 100 ]; }
		wait_for 5 "drops by $mode on $vm" dropped
		expect_eq $(($(bpf_verdict $vm bad_port) - bad)) 100 "drops by $mode on $vm"
		want=100
		[ $mode != tc ] || want=0
		expect_eq $(($(bpf_verdict $vm xdp_dropped) - by_xdp)) $want "drops that XDP took ($mode on $vm)"
		[ $mode = tc ] || [ $vm != fd ] || taken_away $mode
		# Bystanders pass.
		in_ns $vm-vm ping -q -c 2 -i 0.2 -W $((5 * PATIENCE)) "$GATEWAY_IP" >/dev/null || fail "bystander under $mode on $vm"
		detach $vm
	done
done
