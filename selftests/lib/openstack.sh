# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Neutron's metadata agent, nova's metadata API and cloud-init, as Debian packages them. The packages
# and what they need beyond this machine's are fetched through apt, with lists of its own below
# build/openstack, unpacked there and never installed. Source it after lib.sh.

OPENSTACK_DIR=$TOP/build/openstack
export OPENSTACK_ROOT=$OPENSTACK_DIR/root
OPENSTACK_PACKAGES="python3-neutron python3-nova nova-common cloud-init"
SECRET="open sesame"

openstack_apt() {
	apt-get -qq -y -o "Dir::State=$OPENSTACK_DIR/state" -o Dir::State::status=/var/lib/dpkg/status \
		-o "Dir::Cache=$OPENSTACK_DIR/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1 \
		-o Acquire::Languages=none -o Acquire::http::Timeout=20 -o Acquire::Retries=2 \
		"$@" >"$LAB/apt.log" 2>&1 || skip "$OPENSTACK_PACKAGES: $(tail -n 1 "$LAB/apt.log")"
}

openstack_fetch() {
	local package fresh=$OPENSTACK_DIR/fresh
	mkdir -p "$OPENSTACK_DIR"/{state/lists,cache/archives}/partial
	openstack_apt update
	# shellcheck disable=SC2086 # a list of words
	openstack_apt install --reinstall --no-install-recommends --download-only $OPENSTACK_PACKAGES
	rm -rf "$fresh" "$OPENSTACK_ROOT"
	mkdir "$fresh"
	# Modules, libraries and settings, no more: nothing of it is run but by the tests.
	for package in "$OPENSTACK_DIR"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -C "$fresh" -x --wildcards --ignore-failed-read \
			--exclude '*/neutron/tests/*' --exclude '*/nova/tests/*' './usr/lib/python3*' \
			'./usr/lib/*-linux-gnu*' './usr/share/nova-common/*' './etc/cloud*' 2>/dev/null || true
	done
	[ -d "$fresh/usr/lib/python3/dist-packages/nova/api" ] || fail "nova is not in what was fetched: $OPENSTACK_DIR"
	rm -rf "$OPENSTACK_DIR"/{state,cache}
	mv "$fresh" "$OPENSTACK_ROOT"
}

# openstack_get: what was fetched once is used from then on
openstack_get() {
	mkdir -p "$OPENSTACK_DIR"
	exec 9>"$OPENSTACK_DIR/lock"
	flock 9
	[ -d "$OPENSTACK_ROOT" ] || openstack_fetch
	exec 9>&-
}

# Before a command: with those modules and libraries
OPENSTACK=(env "PYTHONPATH=$OPENSTACK_ROOT/usr/lib/python3/dist-packages"
	"LD_LIBRARY_PATH=$OPENSTACK_ROOT/usr/lib/$(gcc -print-multiarch)" "$PYTHON")

# uuid N: one that no other run uses
uuid() { printf '%08x-0000-4000-8000-%012d\n' "$(cksum <<<"$SL_ID" | cut -d ' ' -f 1)" "$1"; }

# make_gateway TENANT NUMBER NAMESPACE INTERFACE: a tenant's gateway as neutron names them, and its VM,
# which is instance NUMBER
make_gateway() {
	local tenant=$1 number=$2 name=$3 interface=$4 server
	make_tenant "$tenant"
	ns_ip "$tenant" link set qr0 down
	ns_ip "$tenant" link set qr0 name "$interface"
	ns_ip "$tenant" link set "$interface" up
	ns_ip "$tenant-vm" link set eth0 down
	ns_ip "$tenant-vm" link set eth0 address "$(instance_mac "$number")" addrgenmode eui64
	ns_ip "$tenant-vm" link set eth0 up
	ns_ip "$tenant-vm" route replace default via "$GATEWAY_IP"
	# No name server is there, which cloud-init learns at once: it would wait for each of its names.
	while read -r server; do
		ns_ip "$tenant-vm" route add unreachable "$server"
	done < <(sed -n 's/^nameserver[[:space:]]*\([0-9a-f.:]*\).*/\1/p' /etc/resolv.conf | grep -v '^127\.\|^::1$')
	touch "/run/netns/$name"
	mount --bind "$(ns_path "$tenant")" "/run/netns/$name"
	NAMESPACES+=("$name")
}

instance_mac() { printf 'fa:16:3e:00:00:%02x\n' "$1"; }

# instances NUMBER…: who neutron and nova know: instance NUMBER in network 100+NUMBER, on router
# 200+NUMBER, all with the VMs' one address
instances() {
	local number
	for number in "$@"; do
		jq -n --arg uuid "$(uuid "$number")" --arg name "vm-$number" --arg mac "$(instance_mac "$number")" \
			--arg network "$(uuid $((100 + number)))" --arg router "$(uuid $((200 + number)))" \
			--arg port "$(uuid $((300 + number)))" --arg project "$(uuid $((400 + number)))" --arg address "$VM_IP" \
			'{ $uuid, $name, $mac, $network, $router, $port, project: ($project | gsub("-"; "")), $address }'
	done | jq -s . >"$LAB/instances.json"
}

# start_nova: nova's metadata API in the management network
start_nova() {
	start nova in_ns mgmt "${OPENSTACK[@]}" "$TOOLS/openstack_nova.py" "$LAB" "$MGMT_IP" 8775 "$SECRET"
}

# start_agent: neutron's metadata agent on a unix socket, where nova is reached
AGENT_SOCKET=
start_agent() {
	AGENT_SOCKET=$LAB/metadata_proxy
	start agent in_ns mgw "${OPENSTACK[@]}" "$TOOLS/openstack_agent.py" agent "$LAB" "$AGENT_SOCKET" "$MGMT_IP" "$SECRET"
}

openstack_ready() {
	wait_for 120 "nova to serve" grep -q ^ready "$LAB/nova.log"
	[ -z "$AGENT_SOCKET" ] || wait_for 120 "the metadata agent to serve" test -S "$AGENT_SOCKET"
}

# start_haproxy TENANT [network|router|ovn ID ADDRESS PORT [ADDRESS6 INTERFACE]]: as neutron's agents
# do; without more than a tenant once more
start_haproxy() {
	local tenant=$1
	shift
	[ $# -eq 0 ] || "${OPENSTACK[@]}" "$TOOLS/openstack_agent.py" haproxy "$LAB" "$AGENT_SOCKET" "$@" \
		>"$LAB/haproxy-$tenant.conf"
	start "haproxy-$tenant" in_ns "$tenant" haproxy -db -f "$(cat "$LAB/haproxy-$tenant.conf")"
}

# openstack_block LANGUAGE N: the Nth example of docs/openstack.md in that language
openstack_block() {
	awk -v open="\`\`\`$1" -v want="$2" '$0 == open { on = ++n == want; next } /^```/ { on = 0 } on' \
		"$TOP/docs/openstack.md"
}

# openstack_yaml N: the Nth configuration there, for the namespaces and sockets of this run
openstack_yaml() {
	local run
	run=$(uuid 0)
	openstack_block yaml "$1" | sed "/^bindings:/,/^[^ ]/{/^bindings:/d; /^ /d}
		s,namespaces: \([a-z]*\)-\*,namespaces: \1-${run%%-*}*,
		s,{1},${run%%-*}{1},
		s,/var/lib/neutron/metadata_proxy,$AGENT_SOCKET,
		s,/etc/sluice/nova.secret,$LAB/secret,
		s,tcp:[0-9.]*:8775,tcp:$MGMT_IP:8775,"
	section management "netns: $(ns_name mgw)"
	section relay "{workers: $WORKERS, user: \"64999\", engine: $ENGINE}"
	section bindings "store: $LAB/bindings.d"
	[ ! -e "$LAB/bindings" ] || printf '  file: %s\n' "$LAB/bindings"
}

# openstack_ports: neutron's answer to GET /v2.0/ports, of the instances
openstack_ports() {
	jq '{ ports: (map({ id: .port, network_id: .network, mac_address: .mac, device_owner: "compute:nova",
		device_id: .uuid, project_id: .project, fixed_ips: [{ ip_address: .address }] })
		+ [{ network_id: "other", device_owner: "network:dhcp" }]) }' "$LAB/instances.json"
}

# cloud_init_as TENANT DATASOURCE BRAND [URL…]: its own crawl in the tenant's VM, whose /sys it reads
cloud_init_as() {
	ip netns exec "$(ns_name "$1-vm")" "${OPENSTACK[@]}" "$TOOLS/openstack_cloud_init.py" "$LAB/cloud-init" "${@:2}" \
		2>"$LAB/cloud-init.log"
}

# cloud_init_words JSON: what it read, on a line
cloud_init_words() {
	jq -r '"\(.host | split(".")[0]) \(.user | split("\n") | join(" "))\(.keys[0] | split(" ")[0])"' <<<"$1"
}

# crawl TENANT BASE ROOT…
crawl() {
	in_ns "$1-vm" "$PYTHON" "$TOOLS/openstack_crawl.py" "${@:2}"
}
