#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
# alone: it measures processor time
#
# A thousand long polls through the BPF programs and the relay, on a tenant's bound port: while they
# wait, the workers and the repository use next to no processor time; an instruction arrives at once.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
AGENTS=${AGENTS:-1000}
repo_begin
"$REPO" instruct-key create
make_management
make_tenant blue
# shellcheck disable=SC2034 # sluice_yaml uses these
SERVICES_YAML="- name: repo
  identity: sluice
  secret_file: $LAB/secret
  response_timeout: 70000
  idle_timeout: 70000
  origins: [{address: \"unix:$LAB/tenants.sock\"}]"
# shellcheck disable=SC2034
ROUTES_YAML="- {path: /sluice, service: repo, methods: [GET, HEAD, POST]}"
# shellcheck disable=SC2034 # one VM stands for a thousand
LIMITS_YAML="connections_per_client: $((AGENTS + 50))
request_rate: 100000
request_burst: 100000"
# shellcheck disable=SC2034
GUARD_YAML="syn_rate: 100000
syn_burst: 100000
interface_syn_rate: 0"
bind_instance blue vm-1
start_sluiced
attach blue

ulimit -n 65536 2>/dev/null || true
start polls in_ns blue-vm "$PYTHON" "$HERE/polls.py" "$AGENTS" 60
wait_for 60 "all to ask" grep -q '^waiting' "$LAB/polls.log"
# The last of them are still on their way.
at_repod() { [ "$(grep -c " $LAB/tenants.sock$" /proc/net/unix)" -gt "$AGENTS" ]; }
wait_for 20 "all to be with the repository" at_repod
sleep 2
expect_eq "$(grep -c '^answer' "$LAB/polls.log" || true)" 0 "polls that were answered too early: $(sort "$LAB/polls.log" | uniq -c)"
ticks() {
	local pid
	for pid in "$@"; do sed 's/.*) //' "/proc/$pid/stat"; done | awk '{ t += $12 + $13 } END { print t + 0 }'
}
mapfile -t workers < <(worker_pids)
repod=$(pid_of repod)
relay_before=$(ticks "${workers[@]}") repod_before=$(ticks "$repod")
sleep 5
hz=$(getconf CLK_TCK)
relay=$((($(ticks "${workers[@]}") - relay_before) * 1000 / hz))
repository=$((($(ticks "$repod") - repod_before) * 1000 / hz))
printf '%s long polls through the relay, 5 s: workers %s ms, repository %s ms of processor time\n' "$AGENTS" "$relay" "$repository"
expect_le "$relay" $((250 * SLOW)) "milliseconds of the workers in 5 s"
expect_le "$repository" $((250 * SLOW)) "milliseconds of the repository in 5 s"
"$REPO" instruct --tenant blue --instance vm-1 install x >/dev/null
wait_for 20 "all of that instance to hear of it" grep -q '^ended' "$LAB/polls.log"
expect_eq "$(grep -c '^answer 200' "$LAB/polls.log")" "$AGENTS" "polls that were answered: $(sort "$LAB/polls.log" | uniq -c)"
stop_sluiced
