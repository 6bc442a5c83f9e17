#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 60
#
# What one VM, one tenant and a few together may take: requests a second, connections at a time. Over it the answer
# is 503 with Retry-After, others notice nothing, and after the time that was named it works again.
# The limits hold in each worker; here there is one. A machine that is bound to its port is one,
# however many addresses it takes.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
make_tenant other second third
WORKERS=1
OTHER_IP=192.168.0.11
LIMITS_YAML='keepalive_timeout: 3600000
request_rate: 1
request_burst: 60
connections_per_client: 10
connections_per_tenant: 15
connections: 30'
for vm in $BRIDGES; do ns_ip "$vm-vm" addr add $OTHER_IP/24 dev eth0; done

statuses() { # TENANT COUNT CURL-OPTION…: how often which status, each on a connection of its own
	local vm=$1 count=$2
	shift 2
	vm_curl "$vm" --no-fail -H 'Connection: close' "$@" -o /dev/null -w '%{http_code}\n' "$META/1024?[1-$count]" |
		sort | uniq -c | awk '{ print $2 "x" $1 }' | xargs
}

start_sluiced
attach other
for vm in $BRIDGES; do
	attach "$vm" --bridge "$vm"

	# A cloud-init crawl and more, at once.
	expect_eq "$(statuses "$vm" 60)" 200x60 "60 requests at once ($vm)"
	got=$(statuses "$vm" 60)
	expect_has "$got" 503x "requests over the budget ($vm)"
	vm_curl "$vm" --no-fail -o "$LAB/body" -D - "$META/1024?[1-60]" | tr -d '\r' >"$LAB/head"
	grep -q '^HTTP/1.1 503' "$LAB/head" || fail "not over the budget ($vm): $(cat "$LAB/head")"
	expect_eq "$(grep -i '^retry-after:' "$LAB/head" | sort -u)" "Retry-After: 1" "when to ask again ($vm)"
	expect_eq "$(grep -ci '^connection: close' "$LAB/head")" "$(grep -c '^HTTP/1.1 503' "$LAB/head")" "connections of 503 ($vm)"
	# A keep-alive connection or a new one, it is the VM that pays; others pay for themselves.
	expect_eq "$(vm_curl "$vm" --interface $OTHER_IP --no-fail -o /dev/null -w '%{http_code}' "$META/1024")" 200 \
		"another VM of the tenant ($vm)"
	expect_eq "$(statuses other 3)" 200x3 "a VM with the same address in another tenant ($vm)"
	expect_ge "$(tenant "$vm" .relay.over_budget)" 10 "requests counted as over budget ($vm)"
	expect_eq "$(tenant other .relay.over_budget)" 0 "over budget in the other tenant ($vm)"
	sleep 1.2
	expect_eq "$(vm_status "$vm" "$META/1024")" 200 "after Retry-After ($vm)"

	# Connections: 10 of one address, 15 of the tenant.
	start hold in_ns "$vm-vm" "$PYTHON" "$TOOLS/rawhttp.py" hold 6000 10
	wait_for 5 "10 connections" grep -q holding "$LAB/hold.log"
	open_are() { [ "$(tenant "$vm" .relay.open)" -eq "$1" ]; }
	wait_for 5 "10 connections to be open" open_are 10
	vm_curl "$vm" --no-fail -o /dev/null -D - "$META/1024" | tr -d '\r' >"$LAB/head"
	expect_has "$(head -n 1 "$LAB/head")" " 503 " "an eleventh connection ($vm)"
	grep -qi '^retry-after: [1-9]' "$LAB/head" || fail "503 without Retry-After ($vm)"
	expect_eq "$(vm_status "$vm" --interface $OTHER_IP "$META/1024")" 200 "another VM of the tenant ($vm)"
	start hold2 in_ns "$vm-vm" "$PYTHON" "$TOOLS/rawhttp.py" --from $OTHER_IP hold 6000 5
	wait_for 5 "15 connections to be open" open_are 15
	expect_eq "$(vm_status "$vm" --interface $OTHER_IP "$META/1024")" 503 "a sixteenth of the tenant ($vm)"
	expect_eq "$(vm_status other "$META/1024")" 200 "the other tenant ($vm)"
	expect_ge "$(tenant "$vm" .relay.closed_limit)" 2 "closed by a limit ($vm)"
	stop hold
	stop hold2
	wait_for 5 "the connections to be closed" open_are 0
	expect_eq "$(vm_status "$vm" --interface $OTHER_IP "$META/1024")" 200 "when there is room again ($vm)"
	detach "$vm"
done

cat >"$LAB/many.py" <<'PY'
import socket, sys, time
scope, statuses, held = socket.if_nametoindex("eth0"), [], []
for n in range(24):
    s = socket.socket(socket.AF_INET6)
    s.settimeout(120)
    s.bind((f"fe80::{n % 6 + 1}", 0, 0, scope))
    s.connect(("fe80::a9fe:a9fe", 80, 0, scope))
    s.sendall(b"HEAD /1024 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
    statuses.append(s.makefile("rb").readline().split()[1].decode())
    held.append(s)
print(" ".join(f"{status}x{statuses.count(status)}" for status in sorted(set(statuses))), flush=True)
if "hold" in sys.argv:
    time.sleep(1000)
PY
for vm in other second; do
	for n in 1 2 3 4 5 6; do ns_ip "$vm-vm" addr add "fe80::$n/64" dev eth0 nodad; done
done
expect_eq "$(in_ns other-vm "$PYTHON" "$LAB/many.py")" "200x15 503x9" "24 connections from 6 addresses, of a tenant that may have 15"
none_open() { [ "$(tenant other .relay.open)" -eq 0 ]; }
wait_for 5 "those to be closed" none_open

# Two tenants that keep all they get: together as many as there may be, were nothing left for others.
attach second
attach third
for vm in other second; do
	start "hold-$vm" in_ns "$vm-vm" "$PYTHON" "$LAB/many.py" hold
	wait_for 10 "$vm's connections" grep -q 200x "$LAB/hold-$vm.log"
done
expect_eq "$(cat "$LAB/hold-other.log")" "200x15 503x9" "what the first of two greedy tenants gets"
expect_eq "$(statuses third 3)" 200x3 "a third tenant"
expect_ge "$(tenant second .relay.closed_limit)" 1 "connections of the second that were turned away"
for vm in other second; do stop "hold-$vm"; done
wait_for 5 "those to be closed" none_open

sluice port set other --mac "$(mac_of other-vm eth0)" --instance-id vm-1 --project-id p --address "$VM_IP" >>"$LAB/port.log"
expect_eq "$(in_ns other-vm "$PYTHON" "$LAB/many.py")" "200x10 503x14" "24 connections of one bound machine, from 6 addresses"

# As many tenants as there may be, with as many ports as one may have: someone accepts at each.
stop_sluiced
LIMITS_YAML='tenants: 1'
LISTEN_YAML='ports: [80, 81, 82, 83, 84, 85, 86, 87]'
start_sluiced
attach other
for port in 80 81 82 83 84 85 86 87; do
	for host in 169.254.169.254 '[fe80::a9fe:a9fe%25eth0]'; do
		expect_eq "$(vm_status other --globoff --max-time $((5 * PATIENCE)) "http://$host:$port/1024")" 200 "$host, port $port"
	done
done
