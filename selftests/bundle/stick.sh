#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# module: vfat
#
# A bundle on a stick: its parts on a real FAT file system, which holds no larger files.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
need mkfs.vfat mount losetup
grep -qw vfat /proc/filesystems || modprobe -q vfat || skip "vfat in this kernel; vm/cluster_media has one"
APP_SIZE=6000000 bundle_begin
end() {
	local status=$?
	set +e
	trap - ERR
	umount "$LAB/fat" 2>/dev/null
	(exit $status)
	lab_end
}
trap end EXIT
"$BUNDLE" create --key ops.key --split 2 -o parts.sluice bundle.yaml >create.out 2>&1 || fail "create: $(cat create.out)"
truncate -s 40M fat.img
mkfs.vfat fat.img >/dev/null
mkdir fat
mount -o loop fat.img fat
cp parts.sluice.00? fat/
umount fat
mount -o loop,ro fat.img fat
"$BUNDLE" pull --keys ops.pub fat/parts.sluice store >/dev/null
umount fat
verify store >/dev/null
