#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# sluice trace: requests (without any access log) and drops, live, of one tenant or all, to several
# at once; what is left out is said; one who does not read holds up nobody; an upgrade is survived.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq
make_management
make_tenant blue green
make_documents 1024
start_nginx nginx
start_sluiced
attach blue --bridge stream
attach green

# follow NAME ARGUMENT…: a tracer in the background, whose lines are in $LAB/NAME.log
follow() {
	local name=$1
	shift
	start "$name" "$BUILD/sluice" --instance "$INSTANCE" trace "$@"
}
# has NAME FILTER: a line of it for which the filter holds
has() { jq -se "any(.[]; $2)" "$LAB/$1.log" >/dev/null 2>&1; }

say "requests of a tenant"
follow blue blue --json
follow all --json --requests
follow drops --json --drops
follow people
# What the daemon hands to a tracer is a SEQPACKET socket.
tracing() { ss -Hxp | grep -q "^u_seq.*pid=$(pid_of "$1"),"; }
for name in blue all drops people; do wait_for 10 "tracer $name" tracing $name; done
# Workers are told a moment later.
asked() {
	vm_curl blue -o /dev/null "$META/1024?secret=1"
	vm_curl green -o /dev/null "$META/1024"
	has "$@"
}
wait_for 10 "blue's request" asked blue '.type == "request" and .tenant == "blue" and .status == 200 and .out > 1024 and .method == "GET"'
wait_for 10 "green's request" has all '.tenant == "green" and .path == "/1024"'
wait_for 5 "blue's request in what the tracer of all sees" has all '.tenant == "blue"'
! has blue '.tenant == "green"' || fail "blue's tracer sees green's requests"
! grep -q secret "$LAB/blue.log" || fail "a query is traced"
! has drops '.type == "request"' || fail "--drops shows requests"
wait_for 5 "the line for people" grep -q "200 blue  GET /1024" "$LAB/people.log"

say "drops"
in_ns blue-vm "$PYTHON" - <<'PY'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(200):
    s.sendto(b"x" * 10, ("169.254.169.254", 4711))
PY
wait_for 10 "a sampled drop" has drops '.type == "drop" and .tenant == "blue" and .reason == "bad_proto" and .protocol == "udp" and .source == "192.168.0.10" and .port == null and .hook == "tc" and .length == 52'
has drops ".mac == \"$(mac_of blue-vm eth0)\"" || fail "the sender's MAC: $(head -n 1 "$LAB/drops.log")"
in_ns blue-vm curl -q -s --noproxy '*' --max-time 1 -o /dev/null "$META:4711" || true
wait_for 10 "a SYN to a closed port" has drops '.reason == "bad_port" and .protocol == "tcp" and .port == 4711 and .source_port > 0 and .flags == "SYN"'
wait_for 10 "what was left out" has drops '.type == "left_out" and .kind == "drops" and .count > 0'
# Samples and what was left out are all there were.
complete() { [ "$(jq -s '[.[] | if .type == "drop" then 1 elif .kind == "drops" then .count else 0 end] | add' "$LAB/drops.log")" = "$(($(bpf_verdict blue bad_proto) + $(bpf_verdict blue bad_port)))" ]; }
wait_for 10 "all drops to be accounted for" complete
! has all '.type == "drop"' || fail "--requests shows drops"
wait_for 5 "a drop for people" grep -q "drop bad_proto  blue  udp from 192.168.0.10  " "$LAB/people.log"
wait_for 5 "what was left out, for people" grep -q "left out: the guard samples" "$LAB/people.log"

say "one who does not read"
follow lazy --json
wait_for 10 "the lazy tracer" tracing lazy
kill -STOP "$(pid_of lazy)"
requests_of() { jq -s '[.[] | select(.tenant == "green" and .type == "request")] | length' "$LAB/all.log"; }
urls=()
for i in $(seq 400); do urls+=(-o /dev/null "$META/1024?$i"); done
for _ in 1 2 3; do vm_curl green "${urls[@]}" "${urls[@]}"; done
enough() { [ "$(requests_of)" -ge 300 ]; }
wait_for 20 "the others to see requests all the same" enough
[ "$(sluice status --json | jq '.workers | map(select(.state == "serving")) | length')" -ge 2 ] || fail "workers suffer"
expect_document green 1024 "beside a lazy tracer"
kill -CONT "$(pid_of lazy)"
wait_for 15 "the lazy one to learn what it missed, or to have had room" has lazy '.kind == "lines" or .kind == "requests" or .tenant == "green"'

say "an upgrade, an end"
sluice upgrade >/dev/null
upgraded() { [ "$(sluice status --json | jq .upgrades)" = 1 ]; }
wait_for 20 "the upgrade" upgraded
again() { vm_curl blue -o /dev/null "$META/1024?again" && has blue '.type == "request" and .total_ms >= 0' && [ "$(grep -c '"tenant":"blue"' "$LAB/blue.log")" -gt "$lines" ]; }
lines=$(grep -c '"tenant":"blue"' "$LAB/blue.log")
wait_for 20 "tracing after the upgrade" again
follow once blue --requests --lines 1 --json
ended() { vm_curl blue -o /dev/null "$META/1024" && ! alive "$(pid_of once)"; }
wait_for 10 "the end after one line" ended
collect once || fail "trace --lines 1"
expect_eq "$(jq -r .type "$LAB/once.log")" request "the one line"
for name in blue all drops people lazy; do stop "$name"; done
expect_exit 1 "a tenant that is not there" sluice trace red
# Nobody looks on any more: the workers are told so, and requests go on.
expect_document blue 1024 "afterwards"
stop_sluiced
expect_exit 3 "trace without a daemon" sluice trace
