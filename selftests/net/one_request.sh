#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A connection for each request: the answer's end and the FIN are one segment, whatever the engine;
# who connects and says nothing for a while is served when it does, and is counted before.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 0 1024 200000
start_oddorigin mgmt

# segments TENANT: what its gateway's sockets have sent
# shellcheck disable=SC2016 # awk's fields
segments() { in_ns "$1" awk '/^Tcp:/ && $2 ~ /^[0-9]/ { print $12 }' /proc/net/snmp; }

# Who sends more behind its last request (a stray CRLF) gets the whole answer nevertheless.
more_behind() {
	in_ns "$1-vm" timeout $((20 * PATIENCE)) env LC_ALL=C bash -c 'exec 3<>/dev/tcp/169.254.169.254/80
		printf "GET /odd/delay/300/700 HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n" >&3
		sleep 0.3
		printf "\r\n" >&3
		sed "1,/^\r$/d" <&3 2>/dev/null | sha256sum'
}

check() {
	local engine=$1 bridge=$2 vm=$3 before sent size try i
	for size in 0 1024 200000; do
		expect_eq "$(vm_sum "$vm" -H 'Connection: close' "$META/$size")" "${SUM[$size]}" \
			"$size bytes ($engine, $bridge)"
	done
	expect_eq "$(more_behind "$vm" | cut -d ' ' -f 1)" "$(pattern_sum 300)" "an answer before unread bytes ($engine, $bridge)"
	# For each: SYN-ACK, two acknowledgements, the answer with its FIN. A FIN apart would make it five.
	# Where a processor stands still, some are sent again: then all is done again.
	for try in 1 2 3 4 5 6 7 8; do
		before=$(segments "$bridge")
		for ((i = 0; i < 20; i++)); do
			vm_curl "$vm" -H 'Connection: close' "$META/1024" >"$LAB/one" || fail "request $i ($engine, $bridge)"
		done
		sent=$(($(segments "$bridge") - before))
		[ $sent -gt 88 ] || break
	done
	expect_le $sent 88 "segments for 20 answers ($engine, $bridge, try $try)"
}

each_path check

start_sluiced
tenant=${BRIDGES%% *}
attach "$tenant"
ask() {
	in_ns "$tenant-vm" timeout $((20 * PATIENCE)) env LC_ALL=C bash -c 'exec 3<>/dev/tcp/169.254.169.254/80
		sleep 2.5
		printf "GET /1024 HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n" >&3
		sed "1,/^\r$/d" <&3 | sha256sum'
}
expect_eq "$(ask | cut -d ' ' -f 1)" "${SUM[1024]}" "the answer to who was silent first"
# A reload to fewer workers loses none that had connected and said nothing yet.
for i in 1 2 3 4 5 6 7 8; do
	ask >"$LAB/silent.$i" &
	askers[i]=$!
done
sleep 0.3
WORKERS=1
sluice_yaml | sed "/^ *$/d" >"$LAB/sluiced.yaml"
sluice reload >"$LAB/reload.log" || fail "the reload to one worker"
one_left() { [ "$(worker_pids | wc -l)" = 1 ]; }
wait_for 20 "one worker to be left" one_left
for i in 1 2 3 4 5 6 7 8; do
	wait "${askers[i]}" || fail "a connection that was silent during the reload"
	expect_eq "$(cut -d ' ' -f 1 "$LAB/silent.$i")" "${SUM[1024]}" "the answer to who was silent during a reload"
done
accepted() { tenant "$tenant" .relay.accepted; }
before=$(accepted)
start holder in_ns "$tenant-vm" "$PYTHON" "$TOOLS/rawhttp.py" hold 6000 3
three_more() { [ "$(accepted)" -ge $((before + 3)) ]; }
wait_for 15 "silent connections to be counted" three_more
alive "$(pid_of holder)" || fail "silent connections: $(cat "$LAB/holder.log")"
stop holder
