#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# alone: it measures times
#
# One VM holds 10,000 idle connections; another tenant's 99th percentile stays within twice what it
# was (and a few milliseconds, for the machine's own noise).
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

MANY=10000
[ -z "${SANITIZE:-}" ] || MANY=2000
path_lab 1024
make_tenant other
[ "$(ulimit -Hn)" -ge $((MANY + 2000)) ] || skip "a limit of open files of $((MANY + 2000))"
ulimit -n "$(ulimit -Hn)"
LIMITS_YAML=$'connections: 16384\nconnections_per_client: 16384\nkeepalive_timeout: 30000000\nhead_timeout: 30000000\nrequest_rate: 0'
GUARD_YAML=$'source_rate: 0\nsyn_rate: 0\ninterface_rate: 0\ninterface_syn_rate: 0'
start_sluiced
attach fd
attach other

# p99: the median of seven runs' 99th percentiles, in microseconds
p99() {
	for _ in 1 2 3 4 5 6 7; do
		in_ns other-vm "$PYTHON" "$TOOLS/percentile.py" "$META/1024" 600 99
	done | sort -n | sed -n 4p
}
p99 >/dev/null
before=$(p99)
start idle in_ns fd-vm "$PYTHON" "$TOOLS/idle.py" 169.254.169.254 80 $MANY
wait_for 60 "the idle connections" grep -q ready "$LAB/idle.log"
held() { [ "$(tenant fd .relay.open)" -ge $((MANY * 98 / 100)) ]; }
wait_for 20 "$MANY connections to be open" held
most=$((2 * before + 5000 * SLOW))
# Others may have the processors for a while: one of several times tells.
for _ in 1 2 3 4 5 6 7 8; do
	after=$(p99)
	[ "$after" -gt $most ] || break
done
say "p99 $before us before, $after us beside $MANY idle connections"
expect_le "$after" $most "99th percentile in us beside $MANY idle connections ($before without)"
expect_document fd 1024 "the VM that holds them"
