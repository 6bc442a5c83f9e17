#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 400
#
# What of a cluster's ways needs more than a machine's own kernel may have, on Debian's: a bundle on
# FAT, in parts; the agent from a stick that "bootstrap --write" filled, on a machine without one; LVM,
# XFS and ext4 on blank disks, a volume of another group and one cut short half-way; a VLAN. One machine
# that is its own control machine, without a network to anywhere.
# shellcheck source-path=SCRIPTDIR source=../bundle/lib/bundle.sh
. "$(dirname "$0")/../bundle/lib/bundle.sh"
# shellcheck source-path=SCRIPTDIR source=lib/kernel.sh
. "$TOP/selftests/vm/lib/kernel.sh"
# shellcheck source-path=SCRIPTDIR source=lib/image.sh
. "$TOP/selftests/vm/lib/image.sh"
# shellcheck source-path=SCRIPTDIR source=lib/machine.sh
. "$TOP/selftests/vm/lib/machine.sh"
need qemu-system-x86_64 cpio depmod mkfs.vfat mkfs.xfs mkfs.ext4 pvcreate dpkg
bundle_begin
kernel_get bookworm

head -c 2000000 /dev/urandom >tool/data
tar czf tool.tar.gz -C tool .
mkdir -p agent/DEBIAN agent/usr/sbin
cp "$BUILD/sluice-agent" agent/usr/sbin/
printf 'Package: sluice-agent\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Test <test@example.org>\nDescription: agent\n' \
	>agent/DEBIAN/control
dpkg-deb -Znone --root-owner-group -b agent "debs/sluice-agent_1.0_amd64.deb" >/dev/null
cat >bundle.yaml <<-YAML
	name: edge
	version: 1
	os: debian 12
	architecture: amd64
	status: empty
	debs: [debs]
	items:
	  - name: sluice-agent
	    role: component
	    packages: [sluice-agent]
	  - name: tool
	    role: software
	    version: "1.0"
	    tarball: tool.tar.gz
	    target: /opt/tool
YAML
"$BUNDLE" create --key ops.key --split 1 -o edge.sluice bundle.yaml >create.out 2>&1 || fail "create: $(cat create.out)"

image_begin "$LAB/image"
image_programs bash sh mount umount blkid findmnt mkfs.vfat mkfs.xfs mkfs.ext4 pvcreate pvs vgcreate vgs \
	lvcreate lvchange lvs vgremove ip jq curl dpkg dpkg-deb dpkg-split dpkg-query tar gzip rm cp mv mkdir stat chown \
	chmod cat ln insmod ldconfig start-stop-daemon dirname sync sleep tail grep sed diff losetup
image_modules virtio_ring virtio virtio_pci virtio_blk virtio_rng dm_mod xfs vfat nls_cp437 nls_ascii nls_utf8 dummy 8021q
cp "$BUNDLE" "$BUILD/sluice-cluster" "$IMAGE/usr/bin/"
image_libraries "$BUILD/sluice-bundle" "$BUILD/sluice-cluster" "$BUILD/sluice-agent"
mkdir -p "$IMAGE"/var/lib/dpkg/{info,updates,triggers} "$IMAGE/etc/lvm" "$IMAGE/media"
: >"$IMAGE/var/lib/dpkg/status"
cp /etc/os-release "$IMAGE/etc/"
# No udev makes the nodes here: LVM does it itself.
printf 'activation { udev_sync = 0 udev_rules = 0 }\ndevices { obtain_device_list_from_udev = 0 }\n' >"$IMAGE/etc/lvm/lvm.conf"
cp edge.sluice.00? ops.pub "$IMAGE/media/"
cp "$TOP/selftests/vm/lib/cluster_init" "$IMAGE/init"
image_end "$LAB/initramfs"

drives=()
for size in 16M 400M 600M 32M; do
	truncate -s $size "disk$size"
	drives+=(-drive "file=$LAB/disk$size,format=raw,if=virtio")
done
machine_start media "$LAB/initramfs" 1024 '' -smp 2 "${drives[@]}" -device virtio-rng-pci
machine_end media
got() { console media | sed -n "s/^got $1: //p" | tail -n 1; }
console media | grep -E '^(got|FAIL)' || true
console media | grep -q '^vm: done$' || {
	console media | tail -n 80 >&2
	fail "the machine did not come to its end"
}
expect_eq "$(got stick)" vfat "file system of the stick"
expect_eq "$(got pulled)" "edge 1" "the bundle that came from its parts on FAT"
expect_eq "$(got bare)" yes "a machine without an agent"
expect_eq "$(got agent)" /usr/sbin/sluice-agent "the agent from the stick"
expect_eq "$(got apply)" 0 "status of apply"
expect_eq "$(got xfs)" "/dev/vdb xfs" "what is mounted on /srv/xfs"
expect_eq "$(got lv1)" "/dev/mapper/vg0-one ext4" "what is mounted on /srv/one"
expect_eq "$(got lv2)" "/dev/mapper/vg0-two xfs" "what is mounted on /srv/two"
expect_eq "$(got size)" 64 "MiB of the first volume"
expect_eq "$(got fstab)" 3 "lines in fstab"
expect_eq "$(got vlan)" "7 10.11.0.1/24" "the VLAN"
expect_eq "$(got again)" 0 "changes of a second plan"
expect_eq "$(got kept)" kept "a file on a volume, after uninstalling and installing again"
expect_eq "$(got after)" 0 "lines in fstab after uninstalling"
expect_has "$(got foreign)" "is of the volume group vg0, not vg9; nothing was changed" "a disk of another group"
expect_eq "$(got half)" "/dev/mapper/vg1-three ext4" "a volume after a kill between pvcreate and vgcreate"
