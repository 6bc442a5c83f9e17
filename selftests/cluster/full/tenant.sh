#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 1200
# alone: it boots two virtual machines
#
# An isolated tenant's virtual machines: the control machine pulls the bundle from sluice-repod by
# 169.254.169.254, over native XDP, the steer program and the relay; the other machine, bare, gets the
# agent from a stick that "bootstrap --write" filled in the first, and all else from the control
# machine. It has no route to anywhere, and the gateway forwards nothing.
# shellcheck source-path=SCRIPTDIR source=../../repo/lib/repo.sh disable=SC2031
. "$(dirname "$0")/../../repo/lib/repo.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source-path=SCRIPTDIR source=../../vm/lib/kernel.sh
. "$TOP/selftests/vm/lib/kernel.sh"
# shellcheck source-path=SCRIPTDIR source=../../vm/lib/image.sh
. "$TOP/selftests/vm/lib/image.sh"
# shellcheck source-path=SCRIPTDIR source=../../vm/lib/machine.sh
. "$TOP/selftests/vm/lib/machine.sh"
need qemu-system-x86_64 cpio depmod mkfs.vfat dpkg jq bpftool
repo_begin
kernel_get bookworm

# Management: the bundle, for this tenant.
make_keys
mkdir -p "$LAB/agent/DEBIAN" "$LAB/agent/usr/sbin" "$LAB/tool"
cp "$AGENT" "$LAB/agent/usr/sbin/"
printf 'Package: sluice-agent\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Test <test@example.org>\nDescription: agent\n' \
	>"$LAB/agent/DEBIAN/control"
mkdir -p "$LAB/debs"
dpkg-deb -Znone --root-owner-group -b "$LAB/agent" "$LAB/debs/sluice-agent_1.0_amd64.deb" >/dev/null
head -c 5000000 /dev/urandom >"$LAB/tool/data"
tar -C "$LAB/tool" -cf "$LAB/tool.tar" .
cat >"$LAB/bundle.yaml" <<-YAML
	name: edge
	version: @VERSION@
	os: debian 12
	architecture: amd64
	status: empty
	debs: [$LAB/debs]
	items:
	  - name: sluice-agent
	    role: component
	    packages: [sluice-agent]
	  - name: tool
	    role: software
	    version: "1.0"
	    tarball: $LAB/tool.tar
	    target: /opt/tool
YAML
make_bundle 1
mv "$LAB/1.sluice" "$LAB/edge-1.sluice"
"$REPO" upload --visible blue "$LAB/edge-1.sluice" >"$LAB/upload.log"

# The tenant: a hypervisor's bridge with two taps, and the gateway.
make_management
make_ns fabric blue
ns_ip fabric link add br0 type bridge
ns_ip fabric link set br0 up
for tap in vmc vmn; do
	ns_ip fabric tuntap add $tap mode tap
	ns_ip fabric link set $tap master br0 up
done
make_link fabric pgw blue qr0
ns_ip fabric link set pgw master br0
ns_ip blue address add 10.9.0.254/24 dev qr0
# shellcheck disable=SC2034 # sluice_yaml uses both
SERVICES_YAML="- name: repo
  identity: sluice
  secret_file: $LAB/secret
  origins: [{address: \"unix:$LAB/tenants.sock\"}]"
# shellcheck disable=SC2034
ROUTES_YAML="- {path: /repo, service: repo}"
start_sluiced
attach blue --guard xdp-native
expect_eq "$(tenant blue .guard.active)" xdp-native "the guard of the tenant"

image_begin "$LAB/image"
image_programs bash sh mount umount mkfs.vfat ip jq curl dpkg dpkg-deb dpkg-split dpkg-query tar gzip rm cp mv mkdir \
	stat chown chmod cat ln insmod ldconfig start-stop-daemon dirname sync sleep tail grep sed diff sha256sum
image_modules virtio_ring virtio virtio_pci virtio_blk virtio_net virtio_rng vfat nls_cp437 nls_ascii nls_utf8
cp "$BUNDLE" "$CLUSTER" "$IMAGE/usr/bin/"
image_libraries "$BUNDLE" "$CLUSTER" "$AGENT"
mkdir -p "$IMAGE"/var/lib/dpkg/{info,updates,triggers}
: >"$IMAGE/var/lib/dpkg/status"
cp /etc/os-release "$LAB/ops.pub" "$IMAGE/etc/"
cp "$TOP/selftests/vm/lib/tenant_init" "$IMAGE/init"
image_end "$LAB/initramfs"
truncate -s 32M "$LAB/stick-control"

# vm NAME TAP MAC
vm() {
	MACHINE_NS=fabric machine_start "$1" "$LAB/initramfs" 768 "role=$1" -smp 1 -device virtio-rng-pci \
		-drive "file=$LAB/stick-$1,format=raw,if=virtio" \
		-netdev "tap,id=net,ifname=$2,script=no,downscript=no" \
		-device "virtio-net-pci,netdev=net,mac=52:54:00:12:34:$3,romfile="
}
got() { console "$1" | sed -n "s/^got $2: //p" | tail -n 1; }
written() {
	! console control | grep '^FAIL' >&2 || fail "the control machine"
	[ "$(got control stick)" = written ]
}
vm control vmc 01
wait_for 400 "the control machine to fill the stick" written
# Two machines may not have one disk at a time: it is pulled out of the first.
cp "$LAB/stick-control" "$LAB/stick-node"
vm node vmn 02
machine_end control
machine_end node
for name in control node; do
	console $name | grep -E '^(got|FAIL)' | sed "s/^/$name /"
	console $name | grep -q '^vm: done$' || {
		console $name | tail -n 60 >&2
		fail "$name did not come to its end"
	}
done
sum=$(sha256sum <"$LAB/tool/data" | cut -d ' ' -f 1)
expect_eq "$(got control pulled)" "edge 1" "the bundle that came through the opening"
expect_eq "$(got control apply)" 0 "status of apply"
expect_eq "$(got control node)" "n1 done" "the node, as the control machine has it"
expect_eq "$(got node bare)" yes "a machine without an agent"
expect_eq "$(got node way)" none "the node's way out"
expect_eq "$(got node tool)" "$sum" "SHA-256 of what was installed on the node"
expect_ge "$(bpf_verdict blue established)" 10 "packets that were steered"
stop_sluiced
