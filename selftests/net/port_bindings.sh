#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# Port bindings: who a machine is, is known by its MAC and addresses. Another one under them gets
# nothing, and the owner does not notice; a changed binding resets what was opened under the old
# one, also in a worker that drains, and nothing else; who has the address next is only ever
# itself. Services are told: sluice (instance), nova (signed, checked by openssl; 404 to who is not
# bound). On both bridges.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need curl jq openssl python3
make_management
start_oddorigin mgmt
start_nginx nginx
make_documents 1000
# For downloads that are still under way whenever a test ends them.
truncate -s 1G "$LAB/docs/endless"
SECRET=nova-and-we
printf '%s\n' "$SECRET" >"$LAB/secret"
chmod 600 "$LAB/secret"
EVIL_IP=192.168.0.66
LOG_YAML="access: $LAB/access.log"
SERVICES_YAML="- {name: nova, identity: nova, secret_file: $LAB/secret, origins: [{address: \"tcp:$MGMT_IP:8081\"}]}
- {name: told, identity: sluice, origins: [{address: \"tcp:$MGMT_IP:8081\"}]}"
ROUTES_YAML='- {path: /new/headers, service: told}
- {path: /odd/headers/nova, service: nova}'

# make_switched NAME: gateway, VM and a machine that means harm, on one switch
make_switched() {
	local vm
	make_ns "$1" "$1-sw" "$1-vm" "$1-evil"
	ns_ip "$1-sw" link add sw type bridge
	ns_ip "$1-sw" link set sw up
	make_link "$1" qr0 "$1-sw" gw
	ns_ip "$1-sw" link set gw master sw
	for vm in vm evil; do
		make_link "$1-$vm" eth0 "$1-sw" "$vm"
		ns_ip "$1-sw" link set "$vm" master sw
	done
	tenant_addresses "$1" qr0
	ns_ip "$1-vm" route add default via $GATEWAY_IP
	ns_ip "$1-evil" addr add $EVIL_IP/24 dev eth0
	ns_ip "$1-evil" route add default via $GATEWAY_IP
}

# port TENANT MACHINE INSTANCE ADDRESSES: binds, as an operator would
port() {
	sluice port set "$1" --mac "$(mac_of "$1-$2" eth0)" --instance-id "$3" --project-id "project-$3" \
		--address "$4" >>"$LAB/port.log"
}
unport() { sluice port del "$1" --mac "$(mac_of "$1-$2" eth0)" >>"$LAB/port.log"; }

ask() { in_ns "$1" curl -sS -g --max-time "${3:-$((15 * PATIENCE))}" "$META$2"; }
# header NS PATH NAME: what the origin was told under that name
header() { ask "$1" "$2" | tr -d '\r' | sed -n "s/^$3: //Ip"; }
status_of() { in_ns "$1" curl -sS -g -o /dev/null --max-time $((15 * PATIENCE)) -w '%{http_code}' "$META$2"; }

# download NS: slowly, in the background
download() {
	start "slow-$1" nsenter --net="$(ns_path "$1")" curl -sS --limit-rate 1M -o /dev/null \
		"$META/endless"
	wait_for 10 "the download of $1 to run" established "$1"
}
established() { in_ns "$1" ss -Htn state established dst 169.254.169.254 | grep -q .; }

check_identity() {
	local tenant=$1 mac instance=vm-1 want
	mac=$(mac_of "$tenant-vm" eth0)
	expect_eq "$(header "$tenant-vm" /new/headers X-Sluice-Tenant)" "$tenant" "the tenant, not bound"
	expect_eq "$(header "$tenant-vm" /new/headers X-Sluice-Instance)" '' "no instance, not bound"
	expect_eq "$(status_of "$tenant-vm" /odd/headers/nova)" 404 "nova to who is not bound"
	port "$tenant" vm $instance $VM_IP,2001:db8::10
	expect_eq "$(sluice port list "$tenant" --json | jq -r '.[] | "\(.mac) \(.instance) \(.source) \(.state)"')" \
		"$mac $instance command in-force" "port list"
	expect_eq "$(header "$tenant-vm" /new/headers X-Sluice-Instance)" $instance "the instance"
	want=$(printf %s $instance | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d ' ' -f 1)
	expect_eq "$(header "$tenant-vm" /odd/headers/nova X-Instance-ID)" $instance "nova: the instance"
	expect_eq "$(header "$tenant-vm" /odd/headers/nova X-Tenant-ID)" project-$instance "nova: the project"
	expect_eq "$(header "$tenant-vm" /odd/headers/nova X-Instance-ID-Signature)" "$want" "nova: the signature"
	expect_eq "$(header "$tenant-vm" /odd/headers/nova X-Forwarded-For)" $VM_IP "nova: the address"
	# By any link-local address.
	ns_ip "$tenant-vm" -6 addr flush dev eth0 scope link
	ns_ip "$tenant-vm" addr add fe80::dead:beef/64 dev eth0 nodad
	expect_eq "$(in_ns "$tenant-vm" curl -sS -g --max-time $((15 * PATIENCE)) 'http://[fe80::a9fe:a9fe%25eth0]/new/headers' |
		tr -d '\r' | sed -n 's/^X-Sluice-Instance: //Ip')" $instance "the instance of a link-local address"
	wait_for 5 "the access log to name the instance" grep -q "tenant=$tenant .*instance=$instance" "$LAB/access.log"
}

# The machine next door takes the address: ARP, SYN and all. Its own name is not bound either.
check_spoofing() {
	local tenant=$1 before
	before=$(bpf_verdict "$tenant" spoofed)
	if ask "$tenant-evil" /new/headers 2 >/dev/null 2>&1; then fail "a stranger is served"; fi
	ns_ip "$tenant-evil" addr add $VM_IP/32 dev eth0
	download "$tenant-vm"
	if in_ns "$tenant-evil" curl -sS --max-time 3 --interface $VM_IP $META/new/headers >"$LAB/stolen" 2>/dev/null; then
		fail "the neighbour is served under the VM's address: $(cat "$LAB/stolen")"
	fi
	established "$tenant-vm" || fail "the neighbour cut the VM's download"
	expect_eq "$(header "$tenant-vm" /new/headers X-Sluice-Instance)" vm-1 "the owner goes on"
	[ "$(bpf_verdict "$tenant" spoofed)" -gt "$before" ] || fail "nothing was counted as spoofed"
	ns_ip "$tenant-evil" addr del $VM_IP/32 dev eth0
	check_priority_tags "$tenant"
	in_ns "$tenant" ip neigh flush dev qr0
	stop "slow-$tenant-vm"
}

# A SYN under the VM's address behind a priority tag, or two, which the stack takes off by itself.
check_priority_tags() {
	local tags verdict before
	for tags in 1 2; do
		verdict=spoofed
		[ $tags -eq 1 ] || verdict=malformed
		before=$(bpf_verdict "$1" $verdict)
		in_ns "$1-evil" "$PYTHON" - "$(mac_of "$1" qr0)" "$(mac_of "$1-evil" eth0)" $VM_IP $tags <<-'SEND'
			import socket, struct, sys
			to, own, address, tags = sys.argv[1:]
			mac = lambda text: bytes.fromhex(text.replace(":", ""))
			ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0x4000, 64, 6, 0,
			    socket.inet_aton(address), socket.inet_aton("169.254.169.254"))
			total = sum(struct.unpack("!10H", ip))
			total = (total & 0xffff) + (total >> 16)
			ip = ip[:10] + struct.pack("!H", ~total & 0xffff) + ip[12:]
			tcp = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 0x50, 2, 65535, 0, 0)
			tag = bytes.fromhex("81000000") * int(tags)
			wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
			wire.bind(("eth0", 0))
			wire.send(mac(to) + mac(own) + tag + bytes.fromhex("0800") + ip + tcp)
		SEND
		wait_for 3 "the guard to see a SYN behind $tags tags" risen "$1" $verdict "$before"
	done
}
risen() { [ "$(bpf_verdict "$1" "$2")" -gt "$3" ]; }

# The same MAC and address, another instance: what is under way is reset; another VM's is not.
check_change() {
	local tenant=$1 pid resets
	port "$tenant" evil vm-2 $EVIL_IP
	download "$tenant-vm"
	download "$tenant-evil"
	# An old generation holds them; the new one has not begun.
	sluice reload
	resets=$(tenant "$tenant" .relay.closed_binding)
	pid=$(pid_of "slow-$tenant-vm")
	port "$tenant" vm vm-3 $VM_IP
	wait_for 5 "the VM's download to be reset" cut_off "$tenant-vm"
	# curl hears of it behind the bytes that its socket holds, up to tcp_rmem's megabytes, one a second.
	wait_for 50 "curl to hear of it" gone "$pid"
	expect_eq "$(header "$tenant-vm" /new/headers X-Sluice-Instance)" vm-3 "the next instance"
	established "$tenant-evil" || fail "another VM's download was cut, too"
	expect_eq "$(tenant "$tenant" .relay.closed_binding)" $((resets + 1)) "connections reset"
	stop "slow-$tenant-evil"
	forget "slow-$tenant-vm"
	# Saying the same again changes nothing.
	download "$tenant-vm"
	port "$tenant" vm vm-3 $VM_IP
	established "$tenant-vm" || fail "a binding that did not change cut a download"
	# Another address in addition neither.
	port "$tenant" vm vm-3 $VM_IP,192.168.0.11
	established "$tenant-vm" || fail "an address more cut a download"
	stop "slow-$tenant-vm"
}
cut_off() { ! established "$1"; }
gone() { ! alive "$1"; }

# The address goes to another machine: never, not for one request, does it appear as the former.
check_reuse() {
	local tenant=$1 asked
	unport "$tenant" vm
	ns_ip "$tenant-vm" addr del $VM_IP/24 dev eth0
	ns_ip "$tenant-evil" addr add $VM_IP/24 dev eth0
	in_ns "$tenant" ip neigh flush dev qr0
	start "asking-$tenant" nsenter --net="$(ns_path "$tenant-evil")" sh -c "while :; do
		curl -s --max-time 1 --interface $VM_IP $META/new/headers | tr -d '\r' | sed -n 's/^X-Sluice-Instance: //Ip'
		echo
	done"
	sleep 0.3
	port "$tenant" evil vm-4 $EVIL_IP,$VM_IP
	asked=$LAB/asking-$tenant.log
	wait_for 10 "the new owner to be served" grep -q vm-4 "$asked"
	stop "asking-$tenant"
	expect_eq "$(sed '/^$/d; /^vm-4$/d' "$asked" | sort -u)" '' "the new owner of the address was taken for"
	# Nobody is bound any more: everybody is served, and nobody is anybody.
	unport "$tenant" evil
	expect_eq "$(sluice port list "$tenant" --json)" '[]' "port list at the end"
	expect_eq "$(header "$tenant-evil" /new/headers X-Sluice-Instance)" '' "an instance of nobody"
	expect_eq "$(bpf_map bindings | jq length)" 0 "entries left in the guard's map"
}
# shellcheck disable=SC2086 # a list of words
for bridge in $BRIDGES; do make_switched "$bridge"; done
start_sluiced inline
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	say "$bridge"
	check_identity "$bridge"
	check_spoofing "$bridge"
	check_change "$bridge"
	check_reuse "$bridge"
done
[ ! -e "/var/lib/sluice/$INSTANCE" ] || fail "the store is left with nothing in it"
stop_sluiced
