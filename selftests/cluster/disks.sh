#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# Disks that are full and bundles with a flipped bit: said, nothing half there is called done, and
# mended by the next run. Beyond max_failed nothing more is released; a clock that is off is refused
# before anything is touched.
# shellcheck source-path=SCRIPTDIR source=lib/faults.sh disable=SC2016
. "$(dirname "$0")/lib/faults.sh"

# The agent's own disk: too small by what is known before, full so that not even the journal grows.
agent_stop 2
on 2 sh -c 'cp -a /var/lib/sluice-node /var/keep && mount -t tmpfs -o size=6m tmpfs /var/lib/sluice-node && cp -a /var/keep/. /var/lib/sluice-node/'
agent_start 2
fails "a disk that is too small" "MiB are needed"
on 2 sh -c 'dd if=/dev/zero of=/var/lib/sluice-node/filler bs=4k 2>/dev/null || true'
fails "a disk that is full" "0 MiB are free"
on 2 sh -c 'rm /var/lib/sluice-node/filler; mount -o remount,size=100m /var/lib/sluice-node'
mended "a full disk"
fresh "a full /usr"
on 2 sh -c 'mkdir -p /usr/share/clt-app && mount -t tmpfs -o size=1m tmpfs /usr/share/clt-app'
fails "dpkg has no room" "No space left on device"
on 2 umount /usr/share/clt-app
mended "dpkg has no room"

# A flipped bit in the control machine's bundle: named at once, and nothing is installed of it.
fresh "a flipped bit"
cp "$LAB/1.sluice" "$LAB/good.sluice"
digest=$(sha256sum "$LAB/debs/clt-soft_1.0_all.deb" | cut -d ' ' -f 1)
at=$("$PYTHON" -c 'import sys, tarfile
print(tarfile.open(sys.argv[1]).getmember("blobs/sha256/" + sys.argv[2]).offset_data + 9000)' "$LAB/1.sluice" "$digest")
printf '\377' | dd of="$LAB/1.sluice" bs=1 seek="$at" conv=notrunc status=none
expect_exit 3 "a flipped bit" apply
expect_has "$(jq -r '[.nodes[].why] | join(" ")' "$LAB/expect.out")" "blob $digest arrives with other bytes: on the control machine, sluice-bundle verify" "what is said"
expect_eq "$(version_on 1 clt-soft)" none "nothing of it"
expect_has "$("$BUNDLE" verify --keys "$LAB/ops.pub" "$LAB/1.sluice" 2>&1 || true)" "$digest" "verify names the same"
cp "$LAB/good.sluice" "$LAB/1.sluice"
mended "a flipped bit"

# Beyond max_failed nothing more is released: what comes after the component goes nowhere.
settings 0
fresh "max_failed: 0"
on 2 sh -c 'echo kill dpkg >/var/order-postinst'
expect_exit 3 "max_failed: 0" apply
expect_eq "$(version_on 1 clt-soft)" none "what comes after a component that failed elsewhere"

# A clock that is off is refused before anything is touched.
[ -z "${SANITIZE:-}" ] && command -v faketime >/dev/null || exit 0
agent_stop 2
pid=$(children_of "$(pid_of node-n2)")
start agent-n2 nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- env FAKETIME_DONT_FAKE_MONOTONIC=1 "${WITH_CLOCK[@]}" '+2h' "$AGENT" cluster run --wait 5
expect_exit 4 "a clock that is two hours ahead" apply
expect_has "$(cat "$LAB/expect.out")" "its clock is 7" "what is said of it"
