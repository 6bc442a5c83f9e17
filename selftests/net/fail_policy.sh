#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# All of sluiced is gone by SIGKILL: with "fail: pass" the packets go to whoever else serves the
# address, with "fail: drop" they go nowhere, and are counted. A new daemon clears up and serves.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
start_sluiced
attach fd --fail pass
attach stream --fail drop
for vm in fd stream; do
	expect_document $vm 1024 "before"
done
key=$(verdict_key stream)
kill_sluiced all

theirs() { [ "$(vm_curl "$1" --max-time 3 "$META/origin")" = "else-$1" ]; }
for vm in fd stream; do
	ns_ip $vm addr replace 169.254.169.254/32 dev lo
	start_nginx else-$vm $vm
done
wait_for 5 "fail: pass to reach somebody else" theirs fd
expect_fails "fail: drop lets nothing through" theirs stream
expect_ge "$(bpf_verdict_of "$key" fail_drop)" 1 "packets counted under fail_drop, with nobody alive"
for vm in fd stream; do
	stop "else-$vm"
done

start_sluiced
reattached() { [ "$(tenant "$1" .state)" = attached ]; }
for vm in fd stream; do
	policy=pass
	[ $vm = fd ] || policy=drop
	attach $vm --fail $policy
	wait_for 10 "$vm to be attached again" reattached $vm
	expect_document $vm 1024 "after the successor took over"
done
