#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# What a request must be: methods per route (405 with Allow), a required header (403), a Host of
# ours (400), no TRACE, no CONNECT, no way to a tunnel; paths are normalised before they are
# matched. And responses reach no farther than listen.hop_limit says, also what a reload says.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 300000
start_oddorigin mgmt
LISTEN_YAML='hop_limit: 3
hosts: [metadata.internal, 192.0.2.7]'
SERVICES_YAML="- name: guarded
  origins: [{address: \"tcp:$MGMT_IP:8081\"}]"
ROUTES_YAML='- {path: /new, service: guarded, require_header: Metadata-Flavor}
- {path: /odd/echo, service: odd, methods: [PUT, POST]}
- {path: /odd/status, service: odd, methods: [DELETE, PATCH, OPTIONS]}'

# What the VM sees: "FAMILY FLAGS PAYLOAD HOPS" of each packet of the metadata address.
cat >"$LAB/hops.py" <<'PY'
import socket, struct, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("eth0", 0))
print("ready", flush=True)
while True:
    frame, address = sock.recvfrom(65536)
    kind, packet = frame[12:14], frame[14:]
    if address[2] == socket.PACKET_OUTGOING:
        continue
    if kind == b"\x08\x00" and packet[12:16] == bytes([169, 254, 169, 254]) and packet[9] == 6:
        size, hops, tcp = struct.unpack("!H", packet[2:4])[0], packet[8], packet[(packet[0] & 15) * 4:]
        family, payload = 4, size - (packet[0] & 15) * 4
    elif kind == b"\x86\xdd" and packet[20:24] == b"\xa9\xfe\xa9\xfe" and packet[6] == 6 and packet[8:10] == b"\xfe\x80":
        hops, tcp, family, payload = packet[7], packet[40:], 6, struct.unpack("!H", packet[4:6])[0]
        if tcp[:2] != b"\0P":
            continue
    else:
        continue
    payload -= (tcp[12] >> 4) * 4
    print(family, "syn" if tcp[13] & 2 else "data" if payload > 0 else "ack", hops, flush=True)
PY

methods_of() { vm_curl "$1" --no-fail -o /dev/null -D - "${@:2}" | tr -d '\r' | sed -n 's/^Allow: //p'; }
raw_status() { vm_raw "$1" --half-close raw | head -n 1 | cut -d ' ' -f 2; }
status_of() { # TENANT REQUEST-LINE FIELD…
	local vm=$1
	shift
	{ printf '%s\r\n' "$@"; printf '\r\n'; } | raw_status "$vm"
}

check() {
	local vm=$1 host='Host: 169.254.169.254'
	expect_eq "$(vm_status "$vm" -X DELETE "$META/1024")" 405 "DELETE ($vm)"
	expect_eq "$(methods_of "$vm" -X DELETE "$META/1024")" "GET, HEAD, PUT, POST" "Allow ($vm)"
	expect_eq "$(methods_of "$vm" "$META/odd/echo")" "PUT, POST" "Allow of another route ($vm)"
	expect_eq "$(vm_status "$vm" -X PATCH "$META/odd/status/200")" 200 "PATCH where it is allowed ($vm)"
	expect_eq "$(vm_status "$vm" -X BREW "$META/1024")" 405 "a method nobody knows ($vm)"
	expect_eq "$(vm_status "$vm" -X TRACE "$META/1024")" 501 "TRACE ($vm)"
	expect_eq "$(status_of "$vm" 'CONNECT 10.77.0.2:80 HTTP/1.1' "$host")" 501 "CONNECT ($vm)"
	expect_eq "$(status_of "$vm" "GET http://10.77.0.2/ HTTP/1.1" "$host")" 400 "another authority ($vm)"

	expect_eq "$(vm_status "$vm" "$META/new/length/5")" 403 "without the required header ($vm)"
	expect_eq "$(vm_status "$vm" -H 'Metadata-Flavor;' "$META/new/length/5")" 403 "with an empty one ($vm)"
	expect_eq "$(vm_status "$vm" -H 'metadata-flavor: sluice' "$META/new/length/5")" 200 "with it ($vm)"
	# No spelling of the path leads around it.
	for path in //new/length/5 /./new/length/5 /x/../new/length/5 /%6eew/length/5 /new%2flength/5 '/new/../new/length/5'; do
		expect_ne "$(vm_status "$vm" --path-as-is "$META$path")" 200 "$path ($vm)"
	done

	for name in 169.254.169.254 169.254.169.254:80 '[fe80::a9fe:a9fe]' metadata.internal METADATA.internal. 192.0.2.7; do
		expect_eq "$(vm_status "$vm" -H "Host: $name" "$META/1024")" 200 "Host $name ($vm)"
	done
	for name in 127.0.0.1 localhost 10.77.0.2 169.254.169.254.evil.example metadata.internal:99 192.0.2.8 \
		'metadata.internal@evil' '[::1]'; do
		expect_eq "$(vm_status "$vm" -H "Host: $name" "$META/1024")" 400 "Host $name ($vm)"
	done
	expect_eq "$(status_of "$vm" 'GET /1024 HTTP/1.1')" 400 "no Host ($vm)"
	expect_eq "$(status_of "$vm" 'GET /1024 HTTP/1.1' "$host" "$host")" 400 "two Hosts ($vm)"

	vm_curl "$vm" -H 'Connection: Upgrade, HTTP2-Settings' -H 'Upgrade: h2c, websocket' -H 'HTTP2-Settings: AAMAAABk' \
		"$META/odd/headers" >"$LAB/head"
	grep -qiE '^(upgrade|http2-settings)' "$LAB/head" && fail "Upgrade reached the origin ($vm)"
	expect_eq "$(vm_status "$vm" -H 'Connection: Upgrade' -H 'Upgrade: tunnel' "$META/odd/switch")" 502 "101 ($vm)"
}

# hops TENANT HOPS: of SYNs and data over both families
hops() {
	local bridge=$1 family
	rm -f "$LAB/hops-$bridge.log"
	start "hops-$bridge" in_ns "$bridge-vm" "$PYTHON" "$LAB/hops.py"
	wait_for 5 "the capture" grep -q ready "$LAB/hops-$bridge.log"
	expect_document "$bridge" 300000
	expect_eq "$(vm_sum "$bridge" "http://[fe80::a9fe:a9fe%eth0]/300000")" "${SUM[300000]}" "IPv6 ($bridge)"
	seen() { [ "$(grep -cE "$1" "$LAB/hops-$bridge.log")" -ge 1 ]; }
	for family in 4 6; do
		wait_for 5 "a SYN over IPv$family" seen "^$family syn"
		wait_for 5 "data over IPv$family" seen "^$family data"
	done
	expect_eq "$(grep -E '(syn|data)' "$LAB/hops-$bridge.log" | cut -d ' ' -f 3 | sort -u)" "$2" "hop limit of responses ($bridge)"
	stop "hops-$bridge"
}

start_sluiced
for bridge in $BRIDGES; do attach "$bridge" --bridge "$bridge"; done
for bridge in $BRIDGES; do
	check "$bridge"
	hops "$bridge" 3
done

# What listeners that stand pass on follows a reload, also back to the kernel's own.
LISTEN_YAML=${LISTEN_YAML#*$'\n'}
RELAY_YAML='congestion: reno'
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >"$LAB/reload.log" || fail "reload"
renewed() { sluice status --json | jq -e '.workers | all(.generation == 2 and .state == "serving")'; }
wait_for 20 "the new workers" renewed
controlled() { in_ns "$bridge" ss -Htin state established sport = :80 | grep -qw reno; }
for bridge in $BRIDGES; do
	hops "$bridge" "$(in_ns "$bridge" cat /proc/sys/net/ipv4/ip_default_ttl)"
	start "holder-$bridge" in_ns "$bridge-vm" "$PYTHON" "$TOOLS/rawhttp.py" hold 30000 1
	wait_for 5 "a connection under reno ($bridge)" controlled
	stop "holder-$bridge"
done
