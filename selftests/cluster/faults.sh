#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# What goes wrong on one node of two, what apply says of it, that the other node is done all the same
# (max_failed: 1), that nothing half there is called done, and that the next run mends it: dpkg and apt
# killed, no room for a tarball, a step that hangs, a cut link.
# shellcheck source-path=SCRIPTDIR source=lib/faults.sh disable=SC2016
. "$(dirname "$0")/lib/faults.sh"

# Killed under the agent: in the middle of unpacking, of configuring, of taking away.
on 2 sh -c 'echo kill dpkg >/var/order-preinst'
fails "dpkg killed while it unpacks" "app: "
mended "dpkg killed while it unpacks"
on 2 sh -c 'echo kill dpkg >/var/order-prerm'
expect_exit 3 "dpkg killed while it purges" ctl uninstall --wait 30
expect_has "$(cat "$LAB/expect.out")" "app: dpkg --purge" "what uninstall says"
fresh "dpkg killed while it purges"
on 2 sh -c 'echo kill apt >/var/order-postinst'
fails "apt killed while dpkg configures" "apt-get was killed"
mended "apt killed while dpkg configures"
fresh "no room for a tarball"
on 2 sh -c 'mount -t tmpfs -o size=40k tmpfs /opt; rm -rf /var/lib/sluice-node/apt'
fails "no room for a tarball" "run: Write failed: No space left on device"
expect_fails "no half of a tree" on 2 test -e /opt/clt-tool
on 2 umount /opt
mended "no room for a tarball"
fresh "a hanging step"

# A step that leads to nothing has a deadline; what it was at is found done later.
settings 1 'step_deadline: 30'
on 2 sh -c 'echo hang here >/var/order-postinst'
fails "a hanging step" "for 30 s, and no progress"
on 2 touch /var/go-on
settled() { [ "$(item_state 2 app)" = healthy ]; }
wait_for 60 "the step ends after all" settled
settings 1
apply >"$LAB/mended.json" || fail "after the step ended"
whole 2 "a hanging step"
fresh "a link"

# The link goes while a blob is on its way.
settings 1 'deadline: 20'
tc -n "$SL_ID-sw" qdisc add dev p2 root tbf rate 4mbit burst 32k latency 200ms
start cut bash -c 'until nsenter -t "$1" --mount --root -- sh -c "[ -n \"\$(find /var/lib/sluice-node/bundle/blobs/sha256 -name \*.partial -size +50k 2>/dev/null)\" ]"; do sleep 0.1; done
	ip -n "$2" link set p2 down' bash "$(children_of "$(pid_of node-n2)")" "$SL_ID-sw"
fails "a cut link" "nothing was heard of it for 20 s"
tc -n "$SL_ID-sw" qdisc del dev p2 root
ns_ip sw link set p2 up
collect cut
settings 1
mended "a cut link"
