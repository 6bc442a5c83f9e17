#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 600
#
# SIGKILL at every step of everything a node, the server and apply do, by fault points that the
# programs of this test have (user/lib/fault.h): four nodes die at four different steps of the same
# run, come back, and that run ends done, with the right bytes, dpkg content, network, and nothing to
# do for a second apply; sent plainly and in mode swarm. Uninstalling likewise. FULL=1 takes the last
# time of every step as well.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
NODES=4
again=
FAULTY=$BUILD/selftests/cluster
for i in sluice-agent sluice-cluster; do [ -x "$FAULTY/$i" ] || skip "$FAULTY/$i is not built"; done
cluster_lab $NODES
make_keys
# A package that kills who works on it, once: dpkg, or with "apt" what started dpkg.
killer='for what in dpkg apt; do
	[ -e /var/kill-$what-$0 ] || continue
	rm /var/kill-$what-$0
	pid=$PPID
	[ $what = dpkg ] || pid=$(sed -n "s/^PPid:[[:space:]]*//p" /proc/$PPID/status)
	kill -KILL $pid
	exit 1
done'
make_deb clt-base 1.0 100 '' "set -- postinst; ${killer//\$0/postinst}"
make_deb clt-app 1.0 300 clt-base
# dpkg runs preinst while it unpacks
dpkg-deb -R "$LAB/debs/clt-app_1.0_all.deb" "$LAB/app"
printf '#!/bin/sh\n%s\n' "${killer//\$0/preinst}" >"$LAB/app/DEBIAN/preinst"
printf '#!/bin/sh\n%s\n' "${killer//\$0/prerm}" >"$LAB/app/DEBIAN/prerm"
chmod 755 "$LAB/app/DEBIAN/preinst" "$LAB/app/DEBIAN/prerm"
dpkg-deb -Znone --root-owner-group -b "$LAB/app" "$LAB/debs/clt-app_1.0_all.deb" >/dev/null
mkdir "$LAB/tool"
head -c 100000 /dev/urandom >"$LAB/tool/run"
tar -C "$LAB/tool" -cf "$LAB/tool.tar" .
write_bundle <<-YAML
	  - name: app
	    role: component
	    packages: [clt-app]
	    variables:
	      - name: node
	    configs:
	      - path: /etc/clt-app.conf
	        text: |
	          node=\${node}
	    health:
	      - run: grep -q "\$node" /etc/clt-app.conf && test -s /usr/share/clt-app/data
	    uninstall:
	      - run: test -e /etc/clt-app.conf
	  - name: tool
	    role: software
	    tarball: $LAB/tool.tar
	    target: /opt/clt-tool
	    version: "1"
YAML
make_bundle 1
make_ns far
for ((i = 1; i <= NODES; i++)); do
	make_link far "far$i" "n$i" eth1
	printf '    network:\n      - {interface: eth1, mtu: 1400, addresses: [10.10.0.%s/24]}\n' "$i" >"$LAB/n$i.yaml"
	printf '    storage:\n      - {path: /srv/plain, mode: "0750"}\n' >>"$LAB/n$i.yaml"
done
write_cluster $NODES 'components: [app]
software: [tool]'
cluster_init

want=$(for name in base app; do
	dpkg-deb --fsys-tarfile "$LAB/debs/clt-${name}_1.0_all.deb" | tar -xO "./usr/share/clt-$name/data" | sha256sum | cut -d ' ' -f 1
done; sha256sum <"$LAB/tool/run" | cut -d ' ' -f 1)
got() { on "$1" sh -c 'sha256sum </usr/share/clt-base/data; sha256sum </usr/share/clt-app/data; sha256sum </opt/clt-tool/run' | cut -d ' ' -f 1; }

# supervised NAME PREFIX… -- COMMAND…: again without the fault after it was killed, as systemd would
SUPERVISE='
dead=$1 fault=$2
shift 2
status=0
SLUICE_FAULT=$fault "$@" || status=$?
while [ $status = 137 ]; do
	echo "$fault" >>"$dead"
	status=0
	"$@" || status=$?
done
exit $status'
# agent_begin N FAULT
agent_begin() {
	local pid
	pid=$(children_of "$(pid_of "node-n$1")")
	start "agent-n$1" nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- env SLUICE_FAULT_LOG="${STEPS_LOG:-}" \
		bash -c "$SUPERVISE" bash /var/dead "$2" "$FAULTY/sluice-agent" cluster run --wait 10
}
# The supervisor and the agent below it, who finishes what it is at.
agent_end() {
	local pid child
	pid=$(pid_of "agent-n$1")
	for child in $(children_of "$(children_of "$pid")"); do kill -TERM "$child" 2>/dev/null || true; done
	wait "$pid" || fail "the agent of n$1 does not end in order: $?"
	forget "agent-n$1"
}
apply() { ctl apply --bundle "$LAB/1.sluice" --wait 30 --json "${@:2}" >"$LAB/apply.json" || fail "$1: apply: $(jq -c '[.problems, .plan.problems, (.nodes[]? | {name, state, why})]' "$LAB/apply.json")"; }
uninstall() { ctl uninstall --wait 30 --json >"$LAB/uninstall.json" || fail "$1: uninstall: $(jq -c '[.nodes[]? | {name, state, why}]' "$LAB/uninstall.json")"; }

# network N: MTU and IPv4 addresses of its eth1
network() { on "$1" ip -j address show dev eth1 | jq -r '.[0] | [.mtu, (.addr_info[] | select(.family == "inet").local)] | join(" ")'; }
# whole N WHAT: everything is as it should be
whole() {
	expect_eq "$(got "$1")" "$want" "$2: bytes on n$1"
	expect_eq "$(on "$1" dpkg --audit)" '' "$2: what dpkg has to complain of on n$1"
	expect_eq "$(on "$1" cat /etc/clt-app.conf)" "node=n$1" "$2: configuration of n$1"
	expect_eq "$(on "$1" stat -c %a /srv/plain)" 750 "$2: the directory of n$1"
	expect_eq "$(network "$1")" "1400 10.10.0.$1" "$2: the network of n$1"
}
# gone N WHAT: nothing is left
gone() {
	selections "$1" | diff "$LAB/before$1" - >&2 || fail "$2: selections of n$1"
	expect_eq "$(on "$1" sh -c 'ls -d /opt/clt-tool* /etc/clt-app.conf /usr/share/clt-app 2>/dev/null || true')" '' "$2: left on n$1"
	expect_eq "$(on "$1" dpkg --audit)" '' "$2: what dpkg has to complain of on n$1"
	expect_eq "$(network "$1")" 1500 "$2: the network of n$1"
	expect_eq "$(on "$1" find /etc/systemd/network -name '10-sluice-*')" '' "$2: files of the network's scheme on n$1"
}

# Which steps there are: a life without a fault, of n1 plainly, of the others in mode swarm.
for ((i = 1; i <= NODES; i++)); do
	enrol "$i"
	selections "$i" >"$LAB/before$i"
done
for ((i = 1; i <= NODES; i++)); do STEPS_LOG=/var/steps agent_begin "$i" none:1; done
apply "no fault" --mode parallel n1
whole 1 "no fault"
apply "no fault" --mode swarm n2 n3 n4
whole 2 "no fault"
for i in 1 2; do on $i sh -c 'cp /var/steps /var/steps-apply; : >/var/steps'; done
uninstall "no fault"
gone 1 "no fault"
times() { on "$1" sort "$2" | uniq -c | awk -v full="${FULL:-}" '{ print $2 ":1"; if (full && $1 > 1) print $2 ":" $1 }'; }
# What is of plain sending first, what is of mode swarm alone last.
mapfile -t applied < <(times 1 /var/steps-apply | grep '^blob-' && times 2 /var/steps-apply | grep -v '^piece' && times 2 /var/steps-apply | grep '^piece')
mapfile -t removed < <(times 1 /var/steps | grep -v '^\(told\|follow\|followed\):')
expect_ge ${#applied[@]} 27 "steps of installing"
expect_ge ${#removed[@]} 10 "steps of taking away"
say "installing: ${applied[*]}; taking away: ${removed[*]}"

while [ ${#applied[@]} -gt 0 ] || [ ${#removed[@]} -gt 0 ]; do
	round="${applied[*]:0:NODES}, then ${removed[*]:0:NODES}"
	mode=swarm
	case $round in *blob-*) mode=parallel ;; esac
	say "$SECONDS s, $mode: $round"
	for ((i = 1; i <= NODES; i++)); do
		agent_end "$i"
		on "$i" rm -rf /var/dead /var/lib/sluice-node/bundle
		agent_begin "$i" "${applied[i - 1]:-none:1}"
	done
	apply "$round" --mode $mode
	for ((i = 1; i <= NODES; i++)); do
		whole "$i" "killed at ${applied[i - 1]:-nothing}"
		[ -z "${applied[i - 1]:-}" ] || [ -n "$(on "$i" cat /var/dead 2>/dev/null)" ] || fail "n$i was not killed at ${applied[i - 1]}"
	done
	[ -n "$again" ] || { apply "again"; again=1; expect_eq "$(jq -r '[.nodes[].items[].action] | unique | join(" ")' "$LAB/apply.json")" keep "a second apply"; }
	for ((i = 1; i <= NODES; i++)); do
		agent_end "$i"
		on "$i" rm -f /var/dead
		agent_begin "$i" "${removed[i - 1]:-none:1}"
	done
	uninstall "$round"
	for ((i = 1; i <= NODES; i++)); do
		gone "$i" "killed at ${removed[i - 1]:-nothing}"
		[ -z "${removed[i - 1]:-}" ] || [ -n "$(on "$i" cat /var/dead 2>/dev/null)" ] || fail "n$i was not killed at ${removed[i - 1]}"
	done
	applied=("${applied[@]:NODES}")
	removed=("${removed[@]:NODES}")
done
