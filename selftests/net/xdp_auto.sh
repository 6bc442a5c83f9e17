#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# alone: a flood needs the processors
#
# A flood from a VM on a tap raises XDP on its interface within seconds; another tenant's fetch
# goes on meanwhile and its hash is right. After a quiet time XDP is lowered again. A veth gets
# the same. A parent that is killed before it has noted what it raised leaves nothing raised.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((64 * MIB))
make_tenant_tap tap
GUARD_YAML='mode: auto
raise_drops: 1000
quiet_ms: 10000'
start_sluiced
attach tap
attach stream
attach fd

xdp_of() { in_ns "$1" bpftool -j net show dev qr0 | jq -r '.[0].xdp | length'; }
raised() { [ "$(tenant "$1" .guard.active)" != tc ] && [ "$(xdp_of "$1")" = 1 ]; }
lowered() { [ "$(tenant "$1" .guard.active)" = tc ] && [ "$(xdp_of "$1")" = 0 ]; }

dropped() { [ "$(bpf_verdict "$vm" xdp_dropped)" -ge "$1" ]; }

# flood VM [OPTION…]: in the background
flood() {
	start flood in_ns "$1-vm" "$BUILD/tools/flood" --interface eth0 --to "$(mac_of "$1" qr0)" \
		--kind udp,port --seconds 600 "${@:2}"
}

for vm in tap stream; do
	expect_document $vm 1024 "before the flood"
	lowered $vm || fail "XDP is up in peace"
	flood $vm
	wait_for 4 "XDP to be raised on $vm" raised $vm
	expect_document fd $((64 * MIB)) "another tenant under the flood on $vm"
	# At full speed a tap's own queue is full: the VM's other packets are lost before they leave it.
	if [ $vm = tap ]; then
		stop flood
		flood $vm --rate 10000
	fi
	expect_document $vm 1024 "the flooded tenant itself"
	wait_for 5 "1000 packets that XDP dropped on $vm" dropped 1000
	raised $vm || fail "XDP was lowered under a flood on $vm"
	stop flood
	wait_for 15 "XDP to be lowered on $vm" lowered $vm
	expect_eq "$(tenant $vm '"\(.guard.raised) \(.guard.lowered)"')" "1 1" "raised and lowered"
	expect_document $vm 1024 "after the flood"
done

flood stream
wait_for 4 "XDP to be raised on stream again" raised stream
STATE=/run/sluice/$INSTANCE/state
noted() { grep -q '"raised_now": *true' "$STATE"; }
wait_for 5 "the state to be written" noted
stop flood
kill_sluiced
sed -i 's/"raised_now": *true/"raised_now":false/g' "$STATE"
start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
wait_for 5 "XDP to be lowered by a successor that does not know of it" lowered stream
expect_eq "$(bpf_map ifaces | jq '[.[].formatted.value.guard_at] | add')" 0 "interfaces policed by XDP"
expect_document stream 1024 "after the crash"
