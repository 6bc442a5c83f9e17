#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Attach twice is attach once, detach twice is detach once, and a namespace is afterwards what it
# was before: addresses, routes, rules, qdiscs, filters, sockets, sysctls. Another user's clsact
# and filter stay.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
in_ns stream tc qdisc add dev qr0 clsact
in_ns stream tc filter add dev qr0 ingress prio 40 protocol ip u32 match u32 0 0 flowid 1:1

for vm in fd stream; do
	ns_portrait $vm >"$LAB/$vm.before"
done
start_sluiced
for round in 1 2 3; do
	for vm in fd stream; do
		attach $vm --bridge $vm
		attach $vm --bridge $vm
		expect_document $vm 1024 "round $round"
		expect_eq "$(sluice tenant list --json | jq "[.[] | select(.name == \"$vm\")] | length")" 1 \
			"tenants of the name $vm"
		detach $vm
		detach $vm
		expect_fails "a detached gate serves" vm_curl $vm --max-time 3 "$META/1024"
	done
done
# Workers that hear of it late find listeners that listen no more: nobody else waits for that.
attach fd
mapfile -t workers < <(worker_pids)
kill -STOP "${workers[@]}"
detach fd
kill -CONT "${workers[@]}"
attach fd
expect_document fd 1024 "after a late detach"
detach fd
if grep pausing "$LAB/sluiced.log"; then fail "a detach is taken for a shortage"; fi
for vm in fd stream; do
	ns_portrait $vm >"$LAB/$vm.after"
	diff -u "$LAB/$vm.before" "$LAB/$vm.after" >&2 || fail "namespace of $vm is not as it was found"
done
expect_eq "$(bpf_map ifaces | jq length)" 0 "entries in map ifaces"
expect_eq "$(bpf_map listener_info | jq length)" 0 "entries in map listener_info"

# A daemon that ends detaches as well.
attach fd
stop_sluiced
ns_portrait fd >"$LAB/fd.after"
diff -u "$LAB/fd.before" "$LAB/fd.after" >&2 || fail "namespace is not as it was found after SIGTERM"
