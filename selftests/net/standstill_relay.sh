#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# A machine stands still for longer than an origin may take, and goes on: workers first, parent and
# origin a little later. Whoever waited for an answer gets it; what is late although everybody is awake
# is ended as ever.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

LIMIT=8
path_lab 1024
SERVICES_YAML="- {name: patient, response_timeout: $((LIMIT * 1000)), origins: [{address: \"tcp:$MGMT_IP:8081\"}]}"
ROUTES_YAML='- {path: /patient, service: patient}'
start_oddorigin mgmt
start_sluiced
waits() { [ "$(tenant "$1" .relay.open)" -ge 1 ]; }
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	start "waits-$bridge" in_ns "$bridge-vm" "$PYTHON" "$TOOLS/rawhttp.py" --timeout $((40 * PATIENCE)) get /patient/wait/1000/1
	wait_for 5 "a request that waits ($bridge)" waits "$bridge"
done
mapfile -t workers < <(worker_pids)
still=("$(pid_of sluiced)" "${workers[@]}" "$(pid_of oddorigin)")
kill -STOP "${still[@]}"
sleep $((LIMIT + 1))
kill -CONT "${workers[@]}"
sleep 0.5
kill -CONT "${still[@]}"
in_ns mgmt curl -qsS --noproxy '*' "http://$MGMT_IP:8081/go/1"
for bridge in $BRIDGES; do
	collect "waits-$bridge" || fail "the request that waited ($bridge): $(cat "$LAB/waits-$bridge.log")"
	expect_eq "$(cat "$LAB/waits-$bridge.log")" "200 1000 $(pattern_sum 1000)" "the request that waited ($bridge)"
	expect_eq "$(vm_status "$bridge" "$META/patient/delay/10/$((LIMIT * 5000))")" 504 "an origin that is late ($bridge)"
done
expect_eq "$(worker_pids)" "$(printf '%s\n' "${workers[@]}")" "workers"
stop_sluiced
