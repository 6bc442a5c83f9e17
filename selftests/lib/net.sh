# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Networks of the lab. Tests use short names; the real ones carry SL_ID.
#
#   VM namespace            tenant gateway          management gateway      management
#   NAME-vm                 NAME                    mgw                     mgmt
#   eth0 192.168.0.10/24 ── qr0 192.168.0.1/24      mg0 10.77.0.1/24 ────── eth0 10.77.0.2/24
#
# Every tenant has the same addresses. The relay stands between NAME and mgw; there is
# no link between them unless a test makes one.

VM_IP=192.168.0.10
GATEWAY_IP=192.168.0.1
MGMT_IP=10.77.0.2
MGMT_SOURCE=10.77.0.1

ns_name() { printf '%s-%s\n' "$SL_ID" "$1"; }
ns_path() { printf '/run/netns/%s-%s\n' "$SL_ID" "$1"; }

# in_ns NAME COMMAND…: only the network namespace changes, so that bpffs stays in sight. The
# command takes the place of nsenter: its pid is the command's.
in_ns() {
	local name=$1
	shift
	nsenter --net="/run/netns/$SL_ID-$name" -- "$@"
}

make_ns() {
	local name
	for name in "$@"; do
		ip netns add "$SL_ID-$name"
		NAMESPACES+=("$SL_ID-$name")
		# Addresses serve at once: nobody here can hold them already.
		in_ns "$name" bash -c 'cd /proc/sys/net/ipv6/conf && echo 0 | tee {all,default}/accept_dad >/dev/null'
		ip -n "$SL_ID-$name" link set lo up
	done
}

remove_ns() {
	local full=$SL_ID-$1 entry kept=()
	ip netns del "$full"
	for entry in "${NAMESPACES[@]}"; do
		[ "$entry" = "$full" ] || kept+=("$entry")
	done
	NAMESPACES=(${kept[@]+"${kept[@]}"})
}

ns_ip() {
	local name=$1
	shift
	ip -n "$SL_ID-$name" "$@"
}

# make_link NS-A IF-A NS-B IF-B: a veth pair, both ends up
make_link() {
	ip link add "$2" netns "$SL_ID-$1" type veth peer name "$4" netns "$SL_ID-$3"
	ns_ip "$1" link set "$2" up
	ns_ip "$3" link set "$4" up
}

make_management() {
	make_ns mgw mgmt
	make_link mgw mg0 mgmt eth0
	ns_ip mgw addr add $MGMT_SOURCE/24 dev mg0
	ns_ip mgmt addr add $MGMT_IP/24 dev eth0
}

# tenant_addresses NAME INTERFACE: what the gateway and its VM get on a link that is up
tenant_addresses() {
	ns_ip "$1" addr add $GATEWAY_IP/24 dev "$2"
	ns_ip "$1-vm" addr add $VM_IP/24 dev eth0
}

# make_tenant NAME…: a gateway and a VM that has a default route through it
make_tenant() {
	local name
	for name in "$@"; do
		make_ns "$name" "$name-vm"
		make_link "$name" qr0 "$name-vm" eth0
		tenant_addresses "$name" qr0
		ns_ip "$name-vm" route add default via $GATEWAY_IP
	done
}

# make_tenant_onlink NAME: the VM knows no gateway; it takes the metadata address for a neighbour,
# as Windows does, and asks for it by ARP.
make_tenant_onlink() {
	make_ns "$1" "$1-vm"
	make_link "$1" qr0 "$1-vm" eth0
	tenant_addresses "$1" qr0
	ns_ip "$1-vm" route add 169.254.0.0/16 dev eth0 scope link
}

# make_tenant_bridge NAME: the VM hangs on port vp0 of bridge br0, which holds the address
make_tenant_bridge() {
	make_ns "$1" "$1-vm"
	ns_ip "$1" link add br0 type bridge
	ns_ip "$1" link set br0 up
	make_link "$1" vp0 "$1-vm" eth0
	ns_ip "$1" link set vp0 master br0
	tenant_addresses "$1" br0
	ns_ip "$1-vm" route add default via $GATEWAY_IP
}

# make_tenant_tap NAME: as a hypervisor has it: qr0 is a tap, its other side a process
make_tenant_tap() {
	make_ns "$1" "$1-vm"
	start "tapwire-$1" "$BUILD/tools/tapwire" "$(ns_path "$1")" qr0 "$(ns_path "$1-vm")" eth0
	wait_for 5 "tapwire to make its taps" grep -q ready "$LAB/tapwire-$1.log"
	ns_ip "$1" link set qr0 up
	ns_ip "$1-vm" link set eth0 up
	tenant_addresses "$1" qr0
	ns_ip "$1-vm" route add default via $GATEWAY_IP
}

mac_of() { ns_ip "$1" -j link show dev "$2" | jq -r '.[0].address'; }
ifindex_of() { ns_ip "$1" -j link show dev "$2" | jq -r '.[0].ifindex'; }

# flood NAME OPTION…: from the VM of a tenant, to its gateway's interface
flood() {
	local name=$1
	shift
	in_ns "$name-vm" "$BUILD/tools/flood" --interface eth0 \
		--to "$(mac_of "$name" "${FLOOD_IF:-qr0}")" "$@"
}

# What a namespace looks like to those who live there: what attach may add and detach must remove.
# Counters, timers and link-local lifetimes are no part of that.
ns_portrait() {
	local link
	ns_ip "$1" -o link show | sed 's/ prog\/xdp id [0-9]*//'
	ns_ip "$1" -o addr show | sed 's/valid_lft.*//'
	ns_ip "$1" route show table all
	ns_ip "$1" -6 route show table all | sed 's/ expires [0-9]*sec//'
	ns_ip "$1" rule show
	for link in $(ns_ip "$1" -j link show | jq -r '.[].ifname'); do
		in_ns "$1" tc qdisc show dev "$link"
		in_ns "$1" tc filter show dev "$link" ingress 2>/dev/null
		in_ns "$1" tc filter show dev "$link" egress 2>/dev/null
	done
	in_ns "$1" ss -Hltnu
	# shellcheck disable=SC2016 # expanded there
	in_ns "$1" sh -c 'for f in /proc/sys/net/ipv4/conf/*/* /proc/sys/net/ipv6/conf/*/*; do
		case $f in *stable_secret|*/mc_forwarding) continue;; esac
		printf "%s=%s\n" "$f" "$(cat "$f" 2>/dev/null)"; done'
}
