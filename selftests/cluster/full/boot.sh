#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 1800
# alone: it boots four machines
#
# The whole job on machines that boot: four nodes (systemd-nspawn over a Debian 12 base) in network
# namespaces with no route out, bare of any agent until bootstrap comes over SSH; etcd, then
# PostgreSQL with Patroni, and on one of them HAProxy and a container image in containerd, from Debian's
# own packages. One leader, two
# replicas; the leader is killed and the row survives; a second apply changes nothing; a fourth node
# is installed alone; a capture shows no packet outside the plan; uninstalling gives dpkg's
# selections back. The base and the packages are kept in CACHE.
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
need systemd-nspawn mmdebstrap ssh ssh-keygen tcpdump skopeo busybox
CACHE=${CACHE:-/var/cache/sluice-test}
BASE=$CACHE/base-bookworm
MACHINES=()

base() {
	mkdir -p "$CACHE"
	[ ! -e "$BASE.done" ] || return 0
	rm -rf "$BASE"
	mmdebstrap --variant=minbase --mode=root \
		--include=systemd,systemd-sysv,dbus,iproute2,openssh-server,kmod,udev,libpam-systemd,ca-certificates \
		bookworm "$BASE" >"$LAB/mmdebstrap.log" 2>&1 || skip "no base: $(tail -n 1 "$LAB/mmdebstrap.log")"
	touch "$BASE.done"
}

# machine N: boots it in its own namespace
machine() {
	local name=n$1 root=$LAB/n$1
	make_ns "$name"
	make_link sw "p$1" "$name" eth0
	ns_ip sw link set "p$1" master br0
	mkdir -p "$root"
	mount -t tmpfs tmpfs "$root"
	mkdir "$root/up" "$root/work" "$root/root"
	mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$root/up,workdir=$root/work" "$root/root"
	MACHINES+=("$name")
	printf '%s\n' "$name" >"$root/root/etc/hostname"
	printf '[Match]\nName=eth0\n[Network]\nAddress=%s/24\n' "$(node_ip "$1")" >"$root/root/etc/systemd/network/10-eth0.network"
	ln -sf /lib/systemd/system/systemd-networkd.service "$root/root/etc/systemd/system/multi-user.target.wants/"
	mkdir -p "$root/root/root/.ssh"
	cp "$LAB/ssh.pub" "$root/root/root/.ssh/authorized_keys"
	start "machine-$name" systemd-nspawn --boot --quiet --directory="$root/root" --network-namespace-path="$(ns_path "$name")" \
		--register=no --keep-unit --machine="$SL_ID-$name" --link-journal=no --capability=CAP_NET_ADMIN
}

machines_end() {
	local name
	for name in "${MACHINES[@]}"; do
		end_pid "$(pid_of "machine-$name")" 20 2>/dev/null || true
		forget "machine-$name"
		umount "$LAB/$name/root" "$LAB/$name" 2>/dev/null || umount -l "$LAB/$name/root" "$LAB/$name"
	done
	MACHINES=()
}
full_end() {
	local status=$?
	trap - ERR
	set +e
	machines_end
	(exit $status)
	lab_end
}

# node N COMMAND: over SSH, as an operator would
node() {
	local n=$1
	shift
	in_ns c ssh -q -i "$LAB/ssh" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile="$LAB/known" \
		-o ConnectTimeout=5 "root@$(node_ip "$n")" "$@"
}
wait_node() { wait_for 60 "n$1 answers" node "$1" true; }

lab_begin
trap full_end EXIT
base
make_ns sw c
ns_ip sw link add br0 type bridge
ns_ip sw link set br0 up
make_link sw pc c eth0
ns_ip sw link set pc master br0
ns_ip c address add $CONTROL_IP/24 dev eth0
ssh-keygen -q -t ed25519 -N '' -f "$LAB/ssh"
make_keys
start tcpdump in_ns sw tcpdump -i br0 -w "$LAB/all.pcap" -U

# What holds the libraries that a program names
depends() {
	objdump -p "$1" | awk '$1 == "NEEDED" { print "*x86_64-linux-gnu/" $2 }' | xargs dpkg-query -S | sed 's/:.*//' | sort -u | paste -sd ,
}
# The agent's own package, as it is built from this tree.
mkdir "$LAB/debs"
mkdir -p "$LAB/agent/DEBIAN" "$LAB/agent/usr/sbin" "$LAB/agent/lib/systemd/system"
cp "$AGENT" "$LAB/agent/usr/sbin/"
cp "$TOP/scripts/sluice-node.service" "$LAB/agent/lib/systemd/system/"
printf 'Package: sluice-agent\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Test <test@example.org>\nDescription: agent\nDepends: %s\n' \
	"$(depends "$AGENT")" >"$LAB/agent/DEBIAN/control"
dpkg-deb --root-owner-group -b "$LAB/agent" "$LAB/debs/sluice-agent_1.0_amd64.deb" >/dev/null
cat >"$LAB/bundle.yaml" <<-YAML
	name: edge
	version: @VERSION@
	os: debian 12
	architecture: amd64
	status: $BASE/var/lib/dpkg/status
	machine_sources: true
	debs: [$LAB/debs]
	items:
	  - name: sluice-agent
	    role: component
	    packages: [sluice-agent]
	  - name: etcd
	    role: component
	    packages: [etcd-server, etcd-client]
	    ports:
	      - port: 2379
	      - port: 2380
	    variables:
	      - name: node
	      - name: address
	      - name: members
	      - name: etcd_state
	        value: new
	    configs:
	      - path: /etc/default/etcd
	        when: before
	        text: |
	          ETCD_NAME="\${node}"
	          ETCD_DATA_DIR="/var/lib/etcd/default"
	          ETCD_LISTEN_PEER_URLS="http://\${address}:2380"
	          ETCD_LISTEN_CLIENT_URLS="http://\${address}:2379,http://127.0.0.1:2379"
	          ETCD_INITIAL_ADVERTISE_PEER_URLS="http://\${address}:2380"
	          ETCD_ADVERTISE_CLIENT_URLS="http://\${address}:2379"
	          ETCD_INITIAL_CLUSTER="\${members}"
	          ETCD_INITIAL_CLUSTER_STATE="\${etcd_state}"
	          ETCD_INITIAL_CLUSTER_TOKEN="edge"
	    install:
	      - run: systemctl enable etcd && systemctl restart --no-block etcd
	    health:
	      - run: ETCDCTL_API=3 etcdctl --endpoints=http://127.0.0.1:2379 endpoint health
	        tries: 60
	        interval: 2
	        timeout: 20
	  - name: postgres
	    role: software
	    packages: [postgresql-15, patroni, python3-etcd]
	    requires: [etcd]
	    variables:
	      - name: node
	      - name: address
	      - name: hosts
	    prepare:
	      - run: mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
	    configs:
	      - path: /etc/patroni/config.yml
	        when: after
	        owner: postgres
	        group: postgres
	        mode: "0600"
	        text: |
	          scope: edge
	          name: \${node}
	          restapi: {listen: "\${address}:8008", connect_address: "\${address}:8008"}
	          etcd3: {hosts: "\${hosts}"}
	          bootstrap:
	            dcs: {ttl: 20, loop_wait: 5, retry_timeout: 5, postgresql: {use_pg_rewind: true, parameters: {max_connections: 20, shared_buffers: 16MB}}}
	            initdb: [{encoding: UTF8}, data-checksums]
	            pg_hba: ["host replication replicator 10.9.0.0/24 md5", "host all all 10.9.0.0/24 md5"]
	          postgresql:
	            listen: "\${address}:5432"
	            connect_address: "\${address}:5432"
	            data_dir: /var/lib/postgresql/edge
	            bin_dir: /usr/lib/postgresql/15/bin
	            authentication:
	              superuser: {username: postgres, password: secret1}
	              replication: {username: replicator, password: secret2}
	    install:
	      - run: systemctl enable patroni && systemctl restart patroni
	    health:
	      - run: python3 -c 'import urllib.request, os; urllib.request.urlopen("http://" + os.environ["address"] + ":8008/health", timeout=5)'
	        tries: 90
	        interval: 2
	        timeout: 20
	    uninstall:
	      - run: systemctl stop patroni; rm -rf /var/lib/postgresql/edge
	  - name: haproxy
	    role: software
	    packages: [haproxy]
	    variables:
	      - name: hosts
	  - name: containerd
	    role: software
	    packages: [containerd]
	    prepare:
	      - run: mkdir -p /var/lib/containerd && { mountpoint -q /var/lib/containerd || mount -t tmpfs tmpfs /var/lib/containerd; }
	    health:
	      - run: ctr version
	        tries: 20
	        interval: 1
	        timeout: 20
	    uninstall:
	      - run: systemctl stop containerd; umount /var/lib/containerd
	  - name: hello
	    role: software
	    version: "1"
	    image: docker-archive:$LAB/hello.tar
	    reference: registry.example/hello:1
	    requires: [containerd]
	    health:
	      - run: ctr images check -q | grep -qx registry.example/hello:1
YAML
make_image "$LAB/hello.tar" "hello from the bundle"
mkdir -p "$CACHE"
# Made once for this definition and this agent: resolving and fetching take a minute.
stamp=$(sed "s,$LAB,," "$LAB/bundle.yaml" | cat - "$AGENT" | sha256sum)
if [ "$(cat "$CACHE/edge.stamp" 2>/dev/null)" = "$stamp" ]; then
	cp "$CACHE/edge.sluice" "$LAB/1.sluice"
	cp "$CACHE/edge.pub" "$LAB/ops.pub"
else
	make_bundle 1
	cp "$LAB/1.sluice" "$CACHE/edge.sluice"
	cp "$LAB/ops.pub" "$CACHE/edge.pub"
	printf '%s\n' "$stamp" >"$CACHE/edge.stamp"
fi
lines='components: [sluice-agent, etcd]
software: [postgres]
variables:
  - {name: hosts, value: "10.9.0.11:2379,10.9.0.12:2379,10.9.0.13:2379"}
  - {name: members, value: "n1=http://10.9.0.11:2380,n2=http://10.9.0.12:2380,n3=http://10.9.0.13:2380"}'
printf '    software: [postgres, haproxy, containerd, hello]\n' >"$LAB/n1.yaml"
write_cluster 3 "$lines"
cluster_init
for i in 1 2 3; do machine $i; done
for i in 1 2 3; do
	wait_node $i
	node $i dpkg --get-selections >"$LAB/before$i"
	expect_fails "n$i is bare" node $i test -e /usr/sbin/sluice-agent
	expect_fails "n$i has no route out" node $i ip route get 192.0.2.1
done

for i in 1 2 3; do
	ctl bootstrap --bundle "$LAB/1.sluice" --identity "$LAB/ssh" --known-hosts "$LAB/known" "n$i" || fail "bootstrap of n$i"
	node $i dpkg --get-selections >"$LAB/bootstrapped$i"
done
ctl apply --bundle "$LAB/1.sluice" --wait 30 || fail "apply: $(node 1 journalctl -n 30 -u etcd -u patroni --no-pager)"

# One leader, two replicas, a row on all of them.
roles() { for i in "$@"; do node "$i" "python3 - <<'PY'
import json, urllib.request
print(json.load(urllib.request.urlopen('http://$(node_ip "$i"):8008/patroni', timeout=5))['role'])
PY"; done | sort | tr '\n' ' '; }
three() { [ "$(roles 1 2 3)" = "master replica replica " ]; }
wait_for 120 "one leader and two replicas" three
sql() { node "$1" "PGPASSWORD=secret1 psql -h $(node_ip "$1") -U postgres -At -c \"$2\" postgres"; }
leader() { for i in 1 2 3; do [ "$(sql "$i" 'select pg_is_in_recovery()' 2>/dev/null)" != f ] || { echo "$i"; return; }; done; return 1; }
first=$(leader)
sql "$first" "create table t (x int); insert into t values (42)" >/dev/null
everywhere() { for i in 1 2 3; do [ "$(sql $i 'select x from t')" = 42 ] || return 1; done; }
wait_for 60 "the row is everywhere" everywhere
node 1 dpkg -s haproxy >/dev/null || fail "haproxy is on n1"
expect_fails "haproxy is on n1 alone" node 2 dpkg -s haproxy
expect_eq "$(node 1 'ctr images mount registry.example/hello:1 /mnt >/dev/null && cat /mnt/etc/hello; ctr images unmount /mnt >/dev/null')" \
	"hello from the bundle" "what is in the container image"

# Again: nothing changes.
log=$(node 2 sha256sum /var/log/dpkg.log)
expect_eq "$(ctl plan --wait 20 --json | jq .changes)" 0 "changes of a second plan"
ctl apply --wait 20 --quiet || fail "a second apply"
expect_eq "$(node 2 sha256sum /var/log/dpkg.log)" "$log" "dpkg's log"

# The leader dies with its machine's PostgreSQL and Patroni: another one leads, the row is there.
# shellcheck disable=SC2016 # the node's shell expands it
node "$first" 'systemctl mask --runtime --quiet patroni; for p in /proc/[0-9]*; do
	[ "$(stat -c %U "$p" 2>/dev/null)" != postgres ] || kill -KILL "${p#/proc/}" 2>/dev/null; done; true'
other() { local now; now=$(leader) && [ "$now" != "$first" ]; }
wait_for 120 "another leader" other
expect_eq "$(sql "$(leader)" 'select x from t')" 42 "the row after the leader's death"
node "$first" 'systemctl unmask --runtime --quiet patroni; systemctl restart patroni'
wait_for 120 "three again" three

# A fourth node: installed alone, everything else untouched.
printf '    components: [sluice-agent]\n    software: [haproxy]\n' >"$LAB/n4.yaml"
write_cluster 4 "$lines"
cp "$LAB/cluster.yaml" "$LAB/state/cluster.yaml"
machine 4
wait_node 4
ctl bootstrap --identity "$LAB/ssh" --known-hosts "$LAB/known" n4
log=$(node 2 sha256sum /var/log/dpkg.log)
ctl apply --wait 30 --json >"$LAB/four.json" || fail "a fourth node: $(jq -c '[.nodes[] | {name, state, why}]' "$LAB/four.json")"
expect_eq "$(jq -r '[.nodes[] | select([.items[].action] | any(. != "keep")) | .name] | join(" ")' "$LAB/four.json")" n4 "who changes"
expect_eq "$(node 2 sha256sum /var/log/dpkg.log)" "$log" "n2 is left alone"

# Away again: selections and images as after the bootstrap.
ctl uninstall --wait 20 --quiet n1 n2 n3 || fail "uninstall: $(ctl report)"
for i in 1 2 3; do
	node $i dpkg --get-selections | diff "$LAB/bootstrapped$i" - >&2 || fail "selections of n$i"
done
stop tcpdump
outside=$(tcpdump -nr "$LAB/all.pcap" 'ip and not (src net 10.9.0.0/24 and dst net 10.9.0.0/24) and not net 224.0.0.0/4 and not host 255.255.255.255 and not src 0.0.0.0' 2>/dev/null)
expect_eq "$outside" '' "packets outside the plan"
