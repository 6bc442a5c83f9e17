#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# Several origins of a service: one that fails rests while the others take over, and comes back.
# A request is sent again only when it is idempotent and nothing of an answer was seen. 502, 503
# and 504 each mean what they say; what an origin says itself arrives as it is, Retry-After too.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
# shellcheck disable=SC2086 # a list of words
make_tenant $BRIDGES
make_documents 1024 300000
start_nginx nginx
start_oddorigin mgmt
# Takes a connection, reads a request, and says nothing: closes.
start silent in_ns mgmt "$PYTHON" -c '
import socket, sys, time
listener = socket.create_server(("0.0.0.0", 8090), backlog=64)
print("ready", flush=True)
seen = 0
while True:
    sock, _ = listener.accept()
    line = sock.recv(4096).split(b"\r\n")[0].decode()
    print("request", line, flush=True)
    sock.close()'
wait_for 5 "the silent origin" grep -q ready "$LAB/silent.log"

SERVICES_YAML="- name: pair
  origins: [{address: \"tcp:$MGMT_IP:8099\"}, {address: \"tcp:$MGMT_IP:80\"}]
  pool_size: 0
- name: halfdumb
  origins: [{address: \"tcp:$MGMT_IP:8090\"}, {address: \"tcp:$MGMT_IP:80\"}]
  pool_size: 0
- name: dumb
  origins: [{address: \"tcp:$MGMT_IP:8090\"}]
- name: cramped
  origins: [{address: \"tcp:$MGMT_IP:80\"}]
  pool_size: 0
- name: nobody
  origins: [{address: \"tcp:$MGMT_IP:8099\"}]
- name: nowhere
  connect_timeout: 400
  origins: [{address: \"tcp:10.77.0.99:80\"}]
- name: hasty
  response_timeout: 400
  idle_timeout: 400
  origins: [{address: \"tcp:$MGMT_IP:8081\"}]
- name: patient
  origins: [{address: \"tcp:$MGMT_IP:8081\"}]
- name: limited
  total_timeout: 1500
  origins: [{address: \"tcp:$MGMT_IP:8081\"}]"
ROUTES_YAML='- {path: /pair, service: pair, methods: [GET, POST]}
- {path: /halfdumb, service: halfdumb, methods: [GET, POST]}
- {path: /dumb, service: dumb}
- {path: /cramped, service: cramped}
- {path: /nobody, service: nobody}
- {path: /nowhere, service: nowhere}
- {path: /hasty, service: hasty}
- {path: /patient, service: patient}
- {path: /limited, service: limited}'
mkdir -p "$LAB/docs/pair" "$LAB/docs/halfdumb" "$LAB/docs/cramped"
for dir in pair halfdumb cramped; do cp "$LAB/docs/300000" "$LAB/docs/1024" "$LAB/docs/$dir/"; done

# origin SERVICE INDEX JQ-FILTER: of what status says
origin() { sluice status --json | jq -r ".services[] | select(.name == \"$1\") | .origins[$2] | $3"; }
resting() { [ "$(origin "$1" "$2" .state)" = resting ]; }
healthy() { [ "$(origin "$1" "$2" .state)" = ok ]; }
# rests SERVICE INDEX PATH: after requests, as many as it takes to come by it again
rests() {
	vm_status "$vm" "$3" >/dev/null
	resting "$1" "$2"
}
head_of() { vm_curl "$1" --no-fail -o /dev/null -D - "$2" | tr -d '\r'; }

# It has a neighbour's entry, so that packets for it are lost and nothing else is told.
ns_ip mgw neigh replace 10.77.0.99 lladdr 02:00:00:00:00:99 dev mg0
start_sluiced
for bridge in $BRIDGES; do attach "$bridge" --bridge "$bridge"; done

for vm in $BRIDGES; do
	# One refuses connections: no client notices, whichever turn it is.
	for turn in 1 2 3 4 5 6; do
		expect_eq "$(vm_sum "$vm" "$META/pair/300000")" "${SUM[300000]}" "with one dead origin, $turn ($vm)"
	done
	wait_for 5 "the dead origin to rest ($vm)" rests pair 0 "$META/pair/1024"
	expect_eq "$(origin pair 1 .state)" ok "the other one ($vm)"
	# One answers nothing: idempotent requests go to the other, once.
	for turn in 1 2 3 4 5 6; do
		expect_eq "$(vm_sum "$vm" "$META/halfdumb/1024")" "${SUM[1024]}" "with a silent origin, $turn ($vm)"
	done
	wait_for 5 "the silent origin to rest ($vm)" rests halfdumb 0 "$META/halfdumb/1024"

	expect_eq "$(vm_status "$vm" "$META/dumb/x")" 502 "closed without an answer ($vm)"
	expect_eq "$(vm_status "$vm" "$META/odd/garbage")" 502 "garbage ($vm)"
	expect_eq "$(vm_status "$vm" "$META/odd/switch")" 502 "101 ($vm)"
	expect_eq "$(vm_status "$vm" "$META/odd/interim/5/40")" 502 "1xx without end ($vm)"
	head_of "$vm" "$META/nobody/x" >"$LAB/head"
	expect_eq "$(head -n 1 "$LAB/head")" "HTTP/1.1 503 Service Unavailable" "refused ($vm)"
	grep -qi '^retry-after: [1-9]' "$LAB/head" || fail "503 without Retry-After ($vm)"
	expect_eq "$(vm_status "$vm" "$META/nowhere/x")" 504 "no connection in time ($vm)"
	expect_eq "$(vm_status "$vm" "$META/hasty/length/10/20000")" 504 "no answer in time ($vm)"
	expect_fails "a body that stops" vm_curl "$vm" -o /dev/null "$META/hasty/pause/100000/20000"
	# A long poll: silent for longer than other services may be, answered nevertheless.
	expect_eq "$(vm_status "$vm" "$META/patient/delay/10/1000")" 200 "a long poll ($vm)"
	expect_eq "$(vm_status "$vm" "$META/limited/delay/10/20000")" 504 "total timeout ($vm)"
	expect_fails "a body over the total timeout" vm_curl "$vm" -o /dev/null "$META/limited/drip/300/100"
	# What the origin says itself.
	for status in 409 429 502 503 504; do
		head_of "$vm" "$META/odd/retry/$status" >"$LAB/head"
		expect_eq "$(head -n 1 "$LAB/head" | cut -d ' ' -f 2)" $status "the origin's own status ($vm)"
		expect_eq "$(grep -i '^retry-after:' "$LAB/head")" "Retry-After: 17" "Retry-After of $status ($vm)"
	done
done

# Every port towards an origin is taken. That is none of its fault: it is used again at once.
expect_eq "$(vm_status fd "$META/cramped/1024")" 200 "with ports enough"
in_ns mgw sysctl -qw net.ipv4.ip_local_port_range='40000 40003'
start taken in_ns mgw "$PYTHON" -c "
import socket, time
held = [socket.create_connection(('$MGMT_IP', 80)) for _ in range(4)]
print('taken', flush=True)
time.sleep(1000)"
wait_for 5 "the ports to be taken" grep -q taken "$LAB/taken.log"
expect_eq "$(vm_status fd "$META/cramped/1024")" 503 "without a port to connect from"
expect_eq "$(origin cramped 0 .state)" ok "an origin that no port is left for"
expect_has "$(cat "$LAB/sluiced.log")" "service cramped: no local address or port is left" "what sluiced says"
in_ns mgw sysctl -qw net.ipv4.ip_local_port_range='32768 60999'
expect_eq "$(vm_status fd "$META/cramped/1024")" 200 "with ports again"
stop taken

# A POST that met the silent origin was not sent twice, and its client was told.
before=$(grep -c 'request POST' "$LAB/silent.log" || true)
statuses=
for turn in 1 2 3 4 5 6; do
	wait_for 10 "the silent origin to be tried again" healthy halfdumb 0
	statuses+=" $(vm_status fd --data x=y "$META/halfdumb/1024")"
	[ "$(grep -c 'request POST' "$LAB/silent.log" || true)" -eq "$before" ] || break
done
expect_eq "$(grep -c 'request POST' "$LAB/silent.log" || true)" $((before + 1)) "POSTs that the silent origin got"
expect_has "$statuses" 502 "answer to a POST that nobody answered"

# The dead one comes to life and is used again.
start back in_ns mgmt "$PYTHON" "$TOOLS/oddorigin.py" 0.0.0.0 8099
wait_for 10 "the origin that is back" grep -q ready "$LAB/back.log"
used_again() {
	vm_status fd "$META/pair/1024" >/dev/null
	[ "$(origin pair 0 .connects)" -ge 1 ] && healthy pair 0
}
wait_for 15 "the origin that is back to be used" used_again
