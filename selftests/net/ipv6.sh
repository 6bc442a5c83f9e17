#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The same service at fe80::a9fe:a9fe: a VM finds it by neighbour discovery, on both ports, and
# gets everything whole over each engine and bridge. It comes to a gate that stands once its address can
# be had: until then IPv4 goes on as it was, which "failed" tells, and doctor, who looks inside all the same. Also
# where IPv6 is lost between the look and the attach, or the rules of the namespace take none of ours.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 0 1024 65537 1048576

check() {
	local engine=$1 bridge=$2 vm=$3 size port
	for port in 80 8080; do
		for size in 0 1024 65537 1048576; do
			expect_document "$vm" "$size" "IPv6, port $port ($engine, $bridge)" \
				"http://[fe80::a9fe:a9fe%25eth0]:$port/"
		done
	done
	in_ns "$vm-vm" ping -6 -q -c 1 -W $((5 * PATIENCE)) fe80::a9fe:a9fe%eth0 >/dev/null || fail "echo by IPv6"
}

each_path check

# An interface that gets IPv6 after it was attached.
vm=${BRIDGES%% *}
in_ns "$vm" sysctl -qw net.ipv6.conf.qr0.disable_ipv6=1
start_sluiced
attach "$vm" --bridge "$vm"
families() { [ "$(tenant "$vm" '[.listeners[].family] | unique | join(" ")')" = "$1" ]; }
families 4 || fail "IPv6 on an interface that has none"
cookies() { tenant "$vm" '[.listeners[].socket_cookie] | sort | join(" ")'; }
before=$(cookies)
start squatter in_ns "$vm" "$PYTHON" -c 'import socket, time
s = socket.create_server(("::", 80), family=socket.AF_INET6)
time.sleep(6000)'
squatted() { in_ns "$vm" ss -Hltn6 | grep -q ':80 '; }
wait_for 10 "somebody to listen" squatted
in_ns "$vm" sysctl -qw net.ipv6.conf.qr0.disable_ipv6=0
ns_ip "$vm" link set qr0 alias looked-at
named() { tenant "$vm" '"\(.state) \(.reason)"' | grep -qF "failed no IPv6: $(cat "/proc/$(pid_of squatter)/comm") (pid $(pid_of squatter))"; }
wait_for 15 "the one who has the address to be named" named
expect_eq "$(cookies)" "$before" "listeners of IPv4"
expect_document "$vm" 1024 "IPv4 while IPv6 cannot be had"
sluice doctor "$vm" --json >"$LAB/doctor.json" || true # nobody serves "odd"
said() { jq -r --arg l "$1" --arg s "$2" '.checks[] | select(.link == $l and .state == $s) | .found + " " + .fix' "$LAB/doctor.json"; }
expect_has "$(said attach warning)" "pid $(pid_of squatter)" "what doctor says of it"
expect_has "$(said attach warning)" "tenant show $vm" "the next step"
expect_has "$(said filters ok)" "guard and steer are on qr0" "doctor's look inside"
expect_has "$(said probe ok)" "GET / (service web)" "doctor's probe"
expect_eq "$(said listener failed)$(said route failed)" "" "what of IPv4 is broken"

# Rules that take none of ours cannot be lived with by a gate attached anew: the one that stands is kept.
index=$(ns_ip "$vm" -j link show qr0 | jq '.[0].ifindex')
refuse() {
	start owner in_ns "$vm" bash -c "exec nft -i < <(
		echo 'add table inet sluice_$index { flags owner; }'
		echo 'add table inet theirs { flags owner; }'
		echo 'add chain inet theirs out { type nat hook postrouting priority 100; }'
		exec sleep 6000)"
	wait_for 15 "rules that take none of ours to be told" told "failed nftables: "
}
told() { tenant "$vm" '"\(.state) \(.reason)"' | grep -q "^$1"; }
refuse
stop owner
wait_soon 30 "what is wrong once that is mended" told "failed no IPv6: "
refuse
stop squatter
in_ns "$vm" tc qdisc del dev qr0 clsact
filtered() { in_ns "$vm" tc qdisc show dev qr0 | grep -q clsact; }
wait_for 15 "filters to be put back" filtered
expect_eq "$(cookies)" "$before" "listeners of IPv4 where IPv6 could be had, and the rules take none of ours"
stop owner
wait_for 15 "IPv6 to be served" families "4 6"
expect_eq "$(tenant "$vm" .state)" attached "the state with IPv6"
expect_document "$vm" 1024 "IPv6 after it was enabled" "http://[fe80::a9fe:a9fe%25eth0]/"
expect_document "$vm" 1024 "IPv4 after IPv6 was enabled"

# What it takes may go between the look and the attach: IPv4 is attached anew without.
detach "$vm"
in_ns "$vm" sysctl -qw net.ipv6.conf.qr0.disable_ipv6=1
ports=()
for port in 80 81 82 83 84 85 86 87; do ports+=(--port "$port"); done
attach "$vm" --bridge "$vm" "${ports[@]}"
families 4 || fail "IPv6 on an interface that has none any more"
# Descriptors for the look, and for fewer than 16 listeners more.
pid=$(pid_of sluiced) number=0 left=12
while [ $left -gt 0 ]; do
	[ -e "/proc/$pid/fd/$number" ] || left=$((left - 1))
	number=$((number + 1))
done
was=$(awk '/Max open files/ { print $4 }' "/proc/$pid/limits")
prlimit --pid "$pid" --nofile="$number:"
in_ns "$vm" sysctl -qw net.ipv6.conf.qr0.disable_ipv6=0
ns_ip "$vm" link set qr0 alias looked-again
wait_for 15 "an attach that has no room for IPv6" told "failed no IPv6: .*Too many open files"
families 4 || fail "IPv4 was given up for want of IPv6"
# Nor is it cut off at each look.
cookies() { sluice tenant show "$vm" --json | jq -c '[.listeners[].socket_cookie]'; }
were=$(cookies)
sleep 7
expect_eq "$(cookies)" "$were" "the listeners after two looks"
prlimit --pid "$pid" --nofile="$was:"
wait_for 60 "IPv6 once there is room" families "4 6"
expect_eq "$(tenant "$vm" .state)" attached "the state once there is room"
