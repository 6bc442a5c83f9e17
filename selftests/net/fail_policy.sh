#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# All of sluiced is gone by SIGKILL: with "fail: pass" the packets go to whoever else serves the
# address, with "fail: drop" they go nowhere. A new daemon takes over what was left and serves.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
start_sluiced
attach fd --fail pass
attach stream --fail drop
for vm in fd stream; do
	expect_document $vm 1024 "before"
done
before=$(bpf_verdict stream fail_drop)
kill_sluiced all

ours() { [ "$(vm_curl "$1" --max-time 3 "$META/whoami")" = "somebody else" ]; }
for vm in fd stream; do
	ns_ip $vm addr replace 169.254.169.254/32 dev lo
	start "else-$vm" nsenter --net="$(ns_path $vm)" -- socat -T 5 \
		TCP-LISTEN:80,bind=169.254.169.254,reuseaddr,fork \
		SYSTEM:'printf "HTTP/1.0 200 OK\r\nContent-Length\: 14\r\n\r\nsomebody else\n"'
done
wait_for 5 "fail: pass to reach somebody else" ours fd
expect_fails "fail: drop lets nothing through" ours stream
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
expect_ge "$(bpf_verdict stream fail_drop)" $((before + 1)) "fail_drop counted, and kept over the restart"
