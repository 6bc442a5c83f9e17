#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# One VM's flood of SYNs meets its own budget: it is dropped and counted as such, another source
# of the same interface and another tenant go on, and so does the flooder after a moment.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
GUARD_YAML='mode: tc
syn_rate: 50
syn_burst: 60
source_rate: 20000
source_burst: 20000
interface_rate: 0'
start_sluiced
attach fd
attach stream --bridge stream
ns_ip fd-vm addr add 192.168.0.77/24 dev eth0

# A cloud-init crawl fits into the burst.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	vm_curl fd -o /dev/null "$META/1024" -o /dev/null "$META/1024" --next -sS -o /dev/null "$META/1024"
done
expect_eq "$(bpf_verdict fd syn_budget)" 0 "SYNs of a crawl over the budget"

start flood in_ns fd-vm "$BUILD/tools/flood" --interface eth0 --to "$(mac_of fd qr0)" \
	--kind syn --count 60000 --seconds 60 --rate 20000
over() { [ "$(bpf_verdict fd syn_budget)" -ge 1000 ]; }
wait_for 10 "the flood to be over its budget" over
expect_document stream 1024 "another tenant under the flood"
got=$(vm_curl fd --interface 192.168.0.77 "$META/1024" | sha256sum | cut -d ' ' -f 1)
expect_eq "$got" "${SUM[1024]}" "another source under the flood"
collect flood || fail "flood"
expect_ge "$(bpf_verdict fd syn_budget)" 10000 "SYNs over the budget"
expect_eq "$(bpf_verdict stream syn_budget)" 0 "the other tenant's SYNs over the budget"
sleep 1
expect_document fd 1024 "the flooder, once it is quiet"
