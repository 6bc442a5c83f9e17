# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A cluster in namespaces for each test; source it.
#
#   cluster_lab N      a switch, the control machine c (10.9.0.1), nodes n1 … nN (10.9.0.11 …), and
#                      no route out; every node has a root of its own over this machine's
#   cluster_net N      the same in a lab that has begun
#   cluster_init       keys, bundle keys, sluice-cluster init; needs $LAB/cluster.yaml
#   ctl WORD…          sluice-cluster on the control machine
#   agent_start N      enrolled before by: enrol N
#   on N COMMAND…      in the node's root and namespaces
#   make_image FILE TEXT  a container image
#   write_bundle       $LAB/bundle.yaml with the items that it reads, over what make_deb made
#   make_bundle VERSION  from that

# shellcheck source-path=SCRIPTDIR source=../../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../../lib/net.sh
. "$TOP/selftests/lib/net.sh"

CONTROL_IP=10.9.0.1
CLUSTER=$BUILD/sluice-cluster
BUNDLE=$BUILD/sluice-bundle
AGENT=$BUILD/sluice-agent

node_ip() { printf '10.9.0.%s\n' $((10 + ${1#n})); }

# Runs as process 1 of a node: a root over this machine's, whose changes are in memory.
# shellcheck disable=SC2016 # the inner shell expands it
NODE_ROOT='
set -e
lab=$1 name=$2
mount -t tmpfs tmpfs "$lab/$name"
mkdir "$lab/$name/up" "$lab/$name/work" "$lab/$name/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$lab/$name/up,workdir=$lab/$name/work" "$lab/$name/root"
cd "$lab/$name/root"
mount -t proc proc "$PWD/proc"
mount -t tmpfs tmpfs "$PWD/tmp"
mount -t tmpfs tmpfs "$PWD/run"
# Last: the programs may lie below /tmp.
mkdir -p "$PWD$BUILD"
for at in /dev /sys "$BUILD"; do mount --rbind "$at" "$PWD$at"; done
# A database of its own, with nothing installed: dpkg reads a big one again and again.
mount -t tmpfs tmpfs "$PWD/var/lib/dpkg"
mkdir var/lib/dpkg/info var/lib/dpkg/updates var/lib/dpkg/triggers var/lib/dpkg/alternatives
: >var/lib/dpkg/status
printf "%s\n" "$name" >etc/hostname
# No service of this machine is started in a node by a package that is installed there.
printf "#!/bin/sh\nexit 101\n" >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
: >"$lab/$name.ready"
exec chroot . sleep infinity
'

node_begin() {
	local name=n$1
	make_ns "$name"
	make_link sw "p$1" "$name" eth0
	ns_ip sw link set "p$1" master br0
	ns_ip "$name" address add "$(node_ip "$1")/24" dev eth0
	mkdir -p "$LAB/$name"
	start "node-$name" in_ns "$name" env BUILD="$BUILD" unshare --mount --pid --fork --kill-child=KILL \
		bash -c "$NODE_ROOT" bash "$LAB" "$name"
	wait_for 20 "the root of $name" test -e "$LAB/$name.ready"
}

# on N COMMAND…
on() {
	local name=n$1 pid
	shift
	pid=$(children_of "$(pid_of "node-$name")")
	nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- "$@"
}

# The nodes go with their first process; unshare itself does not hear a SIGTERM.
nodes_end() {
	local entry
	for entry in ${PIDS[@]+"${PIDS[@]}"}; do
		case $entry in
		node-*)
			# shellcheck disable=SC2046 # one process
			kill -KILL $(children_of "${entry##* }") 2>/dev/null
			wait "${entry##* }" 2>/dev/null
			;;
		esac
	done
	true
}
cluster_end() {
	local status=$?
	trap - ERR
	set +e
	nodes_end
	(exit $status)
	lab_end
}

cluster_lab() {
	lab_begin
	cluster_net "$@"
}

# cluster_net N: the same in a lab that is there already
cluster_net() {
	local i
	need dpkg-deb jq openssl gpg apt-ftparchive unshare curl
	trap cluster_end EXIT
	for i in "$CLUSTER" "$BUNDLE" "$AGENT"; do [ -x "$i" ] || fail "$i is not built"; done
	make_ns sw c
	ns_ip sw link add br0 type bridge
	ns_ip sw link set br0 up
	make_link sw pc c eth0
	ns_ip sw link set pc master br0
	ns_ip c address add $CONTROL_IP/24 dev eth0
	for ((i = 1; i <= $1; i++)); do node_begin "$i"; done
}

# make_deb NAME VERSION [KIB [DEPENDS [POSTINST]]]
make_deb() {
	local dir=$LAB/build/$1
	mkdir -p "$dir/DEBIAN" "$dir/usr/share/$1" "$LAB/debs"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: all\n' "$1" "$2"
		printf 'Maintainer: Test <test@example.org>\nDescription: test package %s\n' "$1"
		[ -z "${4:-}" ] || printf 'Depends: %s\n' "$4"
	} >"$dir/DEBIAN/control"
	[ -z "${5:-}" ] || { printf '#!/bin/sh\n%s\n' "$5" >"$dir/DEBIAN/postinst" && chmod 755 "$dir/DEBIAN/postinst"; }
	head -c "$((${3:-1} * 1024))" /dev/urandom >"$dir/usr/share/$1/data"
	printf '%s\n' "$2" >"$dir/usr/share/$1/version"
	dpkg-deb -Znone --root-owner-group -b "$dir" "$LAB/debs/$1_$2_all.deb" >/dev/null
	rm -r "$dir"
}

# make_image FILE TEXT: a docker archive whose container says TEXT: busybox with its libraries
make_image() {
	local dir=$LAB/build/image layer library
	mkdir -p "$dir/root/bin" "$dir/root/etc"
	cp -L "$(type -P busybox)" "$dir/root/bin/busybox"
	{ ldd "$dir/root/bin/busybox" || true; } 2>/dev/null | grep -o '/[^ ]*' >"$dir/libraries" || true
	while read -r library; do
		mkdir -p "$dir/root$(dirname "$library")"
		cp -L "$library" "$dir/root$library"
	done <"$dir/libraries"
	printf '%s\n' "$2" >"$dir/root/etc/hello"
	tar -C "$dir/root" --owner=0 --group=0 --numeric-owner --mtime=@0 --sort=name -cf "$dir/layer.tar" .
	layer=$(sha256sum <"$dir/layer.tar" | cut -d ' ' -f 1)
	jq -n --arg d "sha256:$layer" '{architecture: "amd64", os: "linux", rootfs: {type: "layers", diff_ids: [$d]},
		config: {Cmd: ["/bin/busybox", "cat", "/etc/hello"]}}' >"$dir/config.json"
	printf '[{"Config": "config.json", "RepoTags": ["hello:latest"], "Layers": ["layer.tar"]}]\n' >"$dir/manifest.json"
	tar -C "$dir" -cf "$1" manifest.json config.json layer.tar
	rm -r "$dir"
}

make_keys() {
	(cd "$LAB" && "$BUNDLE" key new ops >>"$LAB/keys.log" 2>&1)
}

write_bundle() {
	{
		printf 'name: edge\nversion: @VERSION@\nos: debian %s\narchitecture: amd64\nstatus: empty\n' \
			"$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)"
		[ ! -d "$LAB/debs" ] || printf 'debs: [%s]\n' "$LAB/debs"
		printf 'items:\n'
		cat
	} >"$LAB/bundle.yaml"
}

# make_bundle VERSION: $LAB/VERSION.sluice from $LAB/bundle.yaml, where @VERSION@ is the version
make_bundle() {
	sed "s/@VERSION@/$1/" "$LAB/bundle.yaml" >"$LAB/bundle-$1.yaml"
	"$BUNDLE" create --quiet --key "$LAB/ops.key" --output "$LAB/$1.sluice" "$LAB/bundle-$1.yaml" \
		>>"$LAB/bundle.log" 2>&1 || fail "create: $(tail -n 5 "$LAB/bundle.log")"
}

# write_cluster N [LINES]: n1 … nN; LINES go before the nodes
write_cluster() {
	local i
	{
		printf 'cluster: blue\ncontrol:\n  address: %s\n%s\nnodes:\n' "$CONTROL_IP" "${2:-}"
		for ((i = 1; i <= $1; i++)); do
			printf '  - name: n%s\n    address: %s\n' "$i" "$(node_ip "$i")"
			cat "$LAB/n$i.yaml" 2>/dev/null || true
		done
	} >"$LAB/cluster.yaml"
}

ctl() { in_ns c "$CLUSTER" "$1" --state "${CONTROL_STATE:-$LAB/state}" "${@:2}"; }
serve() {
	start serve in_ns c "$CLUSTER" serve --state "${CONTROL_STATE:-$LAB/state}"
	wait_for 10 "the server listens" in_ns c curl -sk "https://$CONTROL_IP:8443/v1/ca"
}
cluster_init() {
	ctl init --keys "$LAB/ops.pub" "$LAB/cluster.yaml" >>"$LAB/init.log"
	serve
}

enrol() {
	local token
	token=$(ctl enrol "n$1" --json | jq -r .token)
	on "$1" "$AGENT" cluster enrol --server $CONTROL_IP:8443 --token "$token" >>"$LAB/enrol.log" 2>&1 ||
		fail "n$1 is not enrolled: $(tail -n 3 "$LAB/enrol.log")"
}

agent_start() {
	local pid
	pid=$(children_of "$(pid_of "node-n$1")")
	start "agent-n$1" nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- "$AGENT" cluster run --wait 10
}
# agent_stop N: in order
agent_stop() {
	local pid child
	pid=$(pid_of "agent-n$1")
	for child in $(children_of "$pid"); do kill -TERM "$child"; done
	wait "$pid" || fail "the agent of n$1 does not end in order: $?"
	forget "agent-n$1"
}
# agent_kill N: SIGKILL to the agent itself; what it started lives on
agent_kill() {
	local pid
	pid=$(pid_of "agent-n$1")
	# shellcheck disable=SC2046 # one process
	kill -KILL $(children_of "$pid")
	wait "$pid" 2>/dev/null || true
	forget "agent-n$1"
}

selections() { on "$1" dpkg --get-selections; }
version_on() { on "$1" cat "/usr/share/$2/version" 2>/dev/null || echo none; }
# item_state N ITEM
item_state() {
	ctl status --json 2>/dev/null | jq -r --arg n "n$1" --arg i "$2" '.nodes[] | select(.name == $n) | .items[] | select(.name == $i) | .state'
}
