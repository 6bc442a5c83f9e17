#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 400
#
# The network scheme where systemd-networkd runs, on a machine that really booted: what the cluster
# file says is what ip shows, by files that networkd itself names, and still so when networkd starts
# anew. A scheme that cuts the machine off from its control machine is taken back by itself, also one
# that only gives it an address at which it is refused: address, files and agent are there again, and the reason is told. Taken away, networkd has let go.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh
. "$(dirname "$0")/lib/cluster.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/boot.sh
. "$TOP/selftests/lib/boot.sh"
cluster_lab 0
need systemd-nspawn networkctl
make_keys
mkdir "$LAB/tool" && echo run >"$LAB/tool/run"
tar -C "$LAB/tool" -cf "$LAB/tool.tar" .
write_bundle <<-YAML
	  - name: tool
	    role: software
	    tarball: $LAB/tool.tar
	    target: /opt/clt-tool
	    version: "7"
YAML
make_bundle 1

make_ns n1 far
make_link sw p1 n1 eth0
ns_ip sw link set p1 master br0
make_link far far1 n1 eth1
boot_machine n1
printf '[Match]\nName=eth0\n[Network]\nAddress=%s/24\n' "$(node_ip 1)" | booted_write /etc/systemd/network/50-eth0.network
# Links that no udev tells of: networkd asks for none where /sys cannot be written.
booted mount -o remount,ro /sys
booted rm /etc/systemd/system/systemd-networkd.service
booted systemctl daemon-reload
booted systemctl start systemd-networkd || fail "networkd: $(booted journalctl -n 10 -u systemd-networkd --no-pager)"
address() { booted ip -j address show dev "$1" | jq -r '[.[0].addr_info[] | select(.scope == "global") | "\(.local)/\(.prefixlen)"] | sort | join(" ")'; }
has_address() { [ "$(address "$1")" = "$2" ]; }
wait_for 20 "networkd to set the first address" has_address eth0 "$(node_ip 1)/24"

# scheme LINES: n1's network
scheme() {
	printf '    network:\n%s\n' "$1" >"$LAB/n1.yaml"
	write_cluster 1 'software: [tool]'
}
good='      - interface: eth1
        mtu: 1400
        addresses: [10.10.0.1/24, "fd00:10::1/64"]
        routes:
          - {to: 10.99.0.0/16, via: 10.10.0.9}'
scheme "$good"
cluster_init
# This machine's programs may lie where a booted one has a /tmp of its own; the lab it can see.
cp "$AGENT" "$LAB/sluice-agent"
AGENT=$LAB/sluice-agent
token=$(ctl enrol n1 --json | jq -r .token)
booted "$AGENT" cluster enrol --server $CONTROL_IP:8443 --token "$token" >"$LAB/enrol.log" 2>&1 || fail "enrol: $(cat "$LAB/enrol.log")"
start agent nsenter --target "$BOOTED" --mount --pid --net --ipc --uts -- env -i HOME=/root PATH=/usr/sbin:/usr/bin \
	"$AGENT" cluster run --wait 10

ctl apply --bundle "$LAB/1.sluice" --json >"$LAB/apply.json" || fail "apply: $(jq -c '[.nodes[] | {name, state, why}]' "$LAB/apply.json")"
in_force() {
	has_address eth1 "10.10.0.1/24 fd00:10::1/64" &&
		[ "$(booted ip -j link show dev eth1 | jq '.[0].mtu')" = 1400 ] &&
		[ "$(booted ip -j route show 10.99.0.0/16 | jq -r '.[0].gateway')" = 10.10.0.9 ]
}
wait_for 20 "the scheme to be in force" in_force
expect_has "$(booted networkctl status eth1 --no-pager)" /etc/systemd/network/10-sluice-eth1.network "the file that networkd took"
booted ip address flush dev eth1
booted systemctl restart systemd-networkd
wait_for 20 "the scheme after networkd started anew" in_force
expect_eq "$(ctl plan --json | jq .changes)" 0 "changes of a second plan"

# One that cuts off.
scheme "$good
      - interface: eth0
        addresses: [10.66.0.11/24]"
expect_exit 3 "a scheme that cuts the machine off" ctl apply --file "$LAB/cluster.yaml" --json
expect_has "$(jq -r '.nodes[0].why' "$LAB/expect.out")" @network "what failed"
expect_has "$(cat "$LAB/agent.log")" "the control machine could not be reached: it was taken back" "the reason"
wait_for 20 "the address from before" has_address eth0 "$(node_ip 1)/24"
expect_fails "the file that cut off" booted test -e /etc/systemd/network/10-sluice-eth0.network
# What was in force before that scheme is so again.
wait_for 20 "the scheme from before" in_force

# One in the same network, at which everything is reached, and nobody known.
scheme "$good
      - interface: eth0
        addresses: [$(node_ip 89)/24]"
expect_exit 3 "a scheme with another address" ctl apply --file "$LAB/cluster.yaml" --wait 60 --json
expect_has "$(cat "$LAB/agent.log")" "the control machine refuses this machine: it was taken back" "the reason"
wait_for 20 "the address from before" has_address eth0 "$(node_ip 1)/24"
wait_for 20 "the scheme from before" in_force

scheme "$good"
ctl apply --file "$LAB/cluster.yaml" --wait 60 --quiet || fail "apply after a scheme that cut off: $(ctl report)"
wait_for 20 "the scheme again" in_force
ctl uninstall --quiet n1 || fail "uninstall: $(ctl report)"
expect_fails "a file of the scheme" booted sh -c 'ls /etc/systemd/network/10-sluice-*'
wait_for 20 "networkd to let go" has_address eth1 ''
stop agent
# It does not hear a SIGTERM.
kill -KILL "$BOOTED"
stop machine
