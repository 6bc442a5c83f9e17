#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# SIGTERM under load: sluiced ends with status 0 within its deadline and leaves no worker, pin,
# control socket, filter or XDP program. (Most other tests end by this as well.)
# Where the processors are others' for seconds, it may take several tries to see that deadline kept.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 "$BIG"
RELAY_YAML='drain_timeout: 1000'
took=
busy() { [ "$(tenant fd .relay.open)" = 1 ]; }
end() {
	local vm started
	start_sluiced
	attach fd --guard xdp-generic
	attach stream --bridge stream
	expect_document fd 1024 "before"
	expect_document stream 1024 "before"
	start client in_ns fd-vm curl -qsS --noproxy '*' --limit-rate 1M -o /dev/null "$META/$BIG"
	wait_for 5 "the download to run" busy
	started=$SECONDS
	stop_sluiced
	took=$((SECONDS - started))
	for vm in fd stream; do
		expect_eq "$(in_ns $vm tc filter show dev qr0 ingress)" "" "filters left in $vm"
		expect_eq "$(in_ns $vm bpftool -j net show dev qr0 | jq '[.[].xdp[]] | length')" 0 "XDP left in $vm"
		expect_eq "$(in_ns $vm ss -Hltn)" "" "listeners left in $vm"
	done
	stop client
}
for _ in 1 2 3 4 5; do
	end
	[ $took -gt $((8 * SLOW)) ] || break
done
expect_le $took $((8 * SLOW)) "seconds from SIGTERM to the end"
