#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What no client sends is dropped, counted under its reason, and the count is the same in the
# pinned map and in "sluice status"; what is not for the metadata address is not counted at all.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
GUARD_YAML='mode: tc
source_rate: 100000
source_burst: 100000
syn_rate: 100000
syn_burst: 100000
interface_syn_rate: 0
interface_rate: 0'
start_sluiced
vm=fd
attach $vm

agreed() { [ "$(tenant $vm ".verdicts.$verdict")" = "$(bpf_verdict $vm "$verdict")" ]; }

# kind of frame, verdict it must get
while read -r kind verdict; do
	before=$(bpf_verdict $vm "$verdict")
	flood $vm --kind "$kind" --count 200 --rate 5000 --seconds 60 >/dev/null
	counted() { [ $(($(bpf_verdict $vm "$verdict") - before)) -ge 200 ]; }
	wait_for 3 "200 times $verdict for $kind" counted
	expect_eq "$(($(bpf_verdict $vm "$verdict") - before))" 200 "$verdict for frames of kind $kind"
	wait_for 3 "status to agree on $verdict" agreed
done <<-TABLE
	fragment fragment
	options ip_options
	port bad_port
	udp bad_proto
	flags bad_flags
	short malformed
TABLE

# A bystander's packets are nobody's business.
total() { bpf_map verdicts | jq '[.[].formatted.values[].value | add] | add'; }
before=$(total)
flood $vm --kind syn,udp,fragment,options --target 192.168.0.1 --count 1000 --seconds 60 >/dev/null
in_ns $vm-vm ping -q -c 3 -i 0.2 "$GATEWAY_IP" >/dev/null || fail "a bystander's ping"
expect_eq "$(total)" "$before" "bystanders counted"

expect_document $vm 1024 "after all that"
expect_ge "$(bpf_verdict $vm new_connection)" 1 "new connections"
expect_ge "$(bpf_verdict $vm established)" 3 "packets of established connections"
