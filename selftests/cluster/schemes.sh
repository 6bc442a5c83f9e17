#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Network and storage schemes, compared with what ip and findmnt say: addresses, MTU, VLAN, routes;
# a directory, a filesystem on a blank device. A device that holds something, or cannot be read, is
# refused and left alone; taking the schemes away deletes nothing. Without networkd the network is,
# after a scheme that cannot be applied, that cuts the node off, or that is taken away, what it was
# before; another scheme leaves nothing of the one before. A cluster file with mistakes is refused,
# each with its line.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 2
need mkfs.ext4 losetup findmnt blkid
LOOPS=()
loops_end() {
	local status=$?
	trap - ERR
	set +e
	nodes_end
	for device in "${LOOPS[@]}"; do losetup -d "$device"; done
	(exit $status)
	lab_end
}
trap loops_end EXIT
# blank N: a blank device
blank() {
	truncate -s 32M "$LAB/disk$1"
	device=$(losetup --find --show "$LAB/disk$1") || skip "no loop devices"
	LOOPS+=("$device")
}
make_keys
make_deb clt-one 1.0
write_bundle <<-YAML
	  - name: one
	    role: component
	    packages: [clt-one]
YAML
make_bundle 1
make_ns far
for i in 1 2; do make_link far "far$i" "n$i" eth1; done
# network_of N: links, addresses and routes, without those that the kernel makes by itself
network_of() {
	on "$1" sh -c 'ip -j address | jq -c ".[] | [.ifname, .mtu, (.flags | contains([\"UP\"])), ([.addr_info[] | select(.scope == \"global\") | .local] | sort)]"
		for f in -4 -6; do ip $f -j route | jq -c ".[] | select(.gateway) | [.dst, .gateway, .dev]"; done'
}
ns_ip n1 address add 10.77.0.1/24 dev eth1
ns_ip n1 route add 10.88.0.0/16 via 10.77.0.9
ns_ip n1 -6 address add fd00:77::1/64 dev eth1 nodad
at_first=$(network_of 1)
blank 1
good=$device
blank 2
taken=$device
mkfs.ext4 -q -L precious "$taken"

# A kernel without VLAN devices can only be tested without.
VLAN=
if ns_ip far link add link far1 name v9 type vlan id 9 2>/dev/null; then VLAN=1; fi
vlan() {
	[ -z "$VLAN" ] || printf '      - {interface: v%s, parent: eth1, vlan: 7, addresses: [10.11.0.%s/24]}\n' "$1" "$1"
}
scheme() { # N DEVICE FS
	cat >"$LAB/n$1.yaml" <<-YAML
		    network:
		$(vlan "$1")
		      - interface: eth1
		        routes:
		          - {to: 10.99.0.0/16, via: 10.10.0.9}
		        mtu: 1400
		        addresses: [10.10.0.$1/24, "fd00:10::$1/64"]
		    storage:
		      - path: /srv/plain
		        owner: nobody
		        mode: "0750"
		      - path: /srv/data
		        device: $2
		        fs: $3
	YAML
}
scheme 1 "$good" ext4
scheme 2 "$taken" xfs
write_cluster 2 'components: [one]
max_failed: 1'
cluster_init
for i in 1 2; do
	enrol $i
	agent_start $i
done
expect_exit 3 "a device that holds something" ctl apply --bundle "$LAB/1.sluice" --json
expect_has "$(jq -r '.nodes[1].why' "$LAB/expect.out")" "holds ext4, not xfs; nothing was changed" "the reason"
expect_eq "$(blkid -p -o value -s LABEL "$taken")" precious "it is left alone"
expect_eq "$(jq -r '.nodes[0].state' "$LAB/expect.out")" "done" "the other node"

# One that cannot be read is not blank, though blkid finds nothing there.
blank 3
truncate -s 0 "$LAB/disk3"
scheme 2 "$device" ext4
write_cluster 2 'components: [one]
max_failed: 1'
expect_exit 3 "a device that cannot be read" ctl apply --file "$LAB/cluster.yaml" --json n2
expect_has "$(jq -r '.nodes[0].why' "$LAB/expect.out")" "$device cannot be read; nothing was changed" "the reason"
expect_eq "$(stat -c %s "$LAB/disk3")" 0 "bytes written to it"

address() { on 1 ip -j address show dev "$1" | jq -r '[.[0].addr_info[] | select(.scope == "global") | "\(.local)/\(.prefixlen)"] | sort | join(" ")'; }
expect_eq "$(address eth1)" "10.10.0.1/24 10.77.0.1/24 fd00:10::1/64 fd00:77::1/64" "addresses of eth1"
if [ -n "$VLAN" ]; then
	expect_eq "$(address v1)" "10.11.0.1/24" "addresses of the VLAN"
	expect_eq "$(on 1 ip -j -d link show dev v1 | jq '.[0].linkinfo.info_data.id')" 7 "VLAN"
	expect_has "$(on 1 cat /etc/systemd/network/10-sluice-eth1.network)" "VLAN=v1" "the file of eth1"
	expect_has "$(on 1 cat /etc/systemd/network/10-sluice-v1.network)" "Address=10.11.0.1/24" "the file of the VLAN"
fi
expect_eq "$(on 1 ip -j link show dev eth1 | jq '.[0].mtu')" 1400 "MTU"
expect_eq "$(on 1 ip -j route show 10.99.0.0/16 | jq -r '.[0].gateway')" 10.10.0.9 "route"
expect_has "$(on 1 cat /etc/systemd/network/10-sluice-eth1.network)" "Address=10.10.0.1/24" "the file of eth1"
expect_eq "$(on 1 findmnt -n -o SOURCE,FSTYPE /srv/data | tr -s ' ')" "$good ext4" "what is mounted"
expect_eq "$(on 1 grep -c x-sluice /etc/fstab)" 1 "lines in fstab"
expect_eq "$(on 1 stat -c '%U %a' /srv/plain)" "nobody 750" "the directory"
on 1 sh -c 'echo kept >/srv/data/file'
expect_eq "$(ctl plan --json n1 | jq .changes)" 0 "changes of a second plan"

ctl uninstall --quiet n1 || fail "uninstall"
expect_fails "it is unmounted" on 1 findmnt /srv/data
expect_eq "$(on 1 grep -c x-sluice /etc/fstab || true)" 0 "lines in fstab"
expect_fails "the files for networkd" on 1 test -e /etc/systemd/network/10-sluice-eth1.network
expect_eq "$(network_of 1)" "$at_first" "the network without a scheme"
ctl apply --quiet n1 || fail "apply again"
expect_eq "$(on 1 cat /srv/data/file)" kept "what was on the device"

# Another scheme: nothing of the one before, which was of another VLAN, MTU, address and route.
other() {
	printf '    network:\n      - interface: eth1\n        addresses: [%s]\n%s\n' "$1" "${2:-}" >"$LAB/n1.yaml"
	write_cluster 2 'components: [one]
max_failed: 1'
}
other 10.10.0.21/24
ctl apply --quiet --file "$LAB/cluster.yaml" n1 || fail "another scheme: $(ctl report)"
expected=$(network_of 1)
expect_eq "$(address eth1)" "10.10.0.21/24 10.77.0.1/24 fd00:77::1/64" "addresses of another scheme"
expect_eq "$(on 1 ip -j link show dev eth1 | jq '.[0].mtu')" 1500 "MTU without one in the scheme"
expect_eq "$(on 1 ip route show 10.99.0.0/16)" '' "the route of the scheme before"
expect_fails "the VLAN of the scheme before" on 1 ip link show dev v1
file=$(on 1 cat /etc/systemd/network/10-sluice-eth1.network)
as_before() {
	expect_eq "$(network_of 1)" "$expected" "the network after $1"
	expect_eq "$(on 1 cat /etc/systemd/network/10-sluice-eth1.network)" "$file" "its file after $1"
	expect_fails "the VLAN's file after $1" on 1 test -e /etc/systemd/network/10-sluice-v1.network
}
# One that fails when half of it is set: its router is the node itself.
more='        mtu: 1200
        routes:
          - {to: 10.88.0.0/16, via: 10.10.0.7}
          - {to: 10.66.0.0/16, via: %s}
'
# shellcheck disable=SC2059 # a format
other '10.10.0.31/24, "fd00:10::31/64"' "$(printf "$more" 10.10.0.31; vlan 1)"
expect_exit 3 "a scheme that cannot be applied" ctl apply --file "$LAB/cluster.yaml" --json n1
expect_has "$(jq -r '.nodes[0].why' "$LAB/expect.out")" "@network: ip: " "the reason"
as_before "a scheme that cannot be applied"
# One that cuts off: what is for the control machine goes where nobody knows it.
ns_ip far address add 10.10.0.9/24 dev far1
ns_ip far route add unreachable 10.9.0.1/32
in_ns far sysctl -qw net.ipv4.ip_forward=1
# shellcheck disable=SC2059
other 10.10.0.31/24 "$(printf "${more/10.66.0.0\/16/10.9.0.1\/32}" 10.10.0.9; vlan 1)"
start cut_off in_ns c "$CLUSTER" apply --state "$LAB/state" --file "$LAB/cluster.yaml" --json n1

# Mistakes, each with its line.
cat >"$LAB/wrong.yaml" <<-YAML
	cluster: Blue
	control: {address: 10.9.0.300}
	mode: fast
	deadline: 15
	step_deadline: 5
	nodes:
	  - name: 10.9.0.1
	    address: 10.9.0.11
	    storage: [{path: /srv/../etc, device: vdb}]
	  - name: b
	    address: 10.9.0.11
	    network: [{interface: "a/b", vlan: 7}]
	    colour: red
YAML
expect_exit 2 "a cluster file with mistakes" ctl plan --file "$LAB/wrong.yaml"
for mistake in ':3:' ':13:.*colour'; do
	grep -q "wrong.yaml$mistake" "$LAB/expect.out" || fail "no '$mistake' in: $(cat "$LAB/expect.out")"
done
sed -i '/^mode/d; /colour/d' "$LAB/wrong.yaml"
expect_exit 2 "the rest of them" ctl plan --file "$LAB/wrong.yaml"
for mistake in "'Blue' is no cluster" 10.9.0.300 "'10.9.0.1' is no node" "/srv/../etc" "'vdb' is no device" "same address" "'a/b'" "both vlan and parent" \
	":3:11: deadline is 15 s; write 20 or more" ":4:16: step_deadline is 5 s; write 10 or more"; do
	grep -qF "$mistake" "$LAB/expect.out" || fail "no \"$mistake\" in: $(cat "$LAB/expect.out")"
done

collect cut_off && fail "a scheme that cuts off is done"
expect_has "$(jq -r '.nodes[0].why' "$LAB/cut_off.log")" "the control machine could not be reached: it was taken back" "the reason"
as_before "a scheme that cuts off"
