#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# Something is mounted on /run/netns while sluiced runs, as when containers share it: gateways that
# are made there are found by the sweep, later ones by their events, and are served.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
[ "${1:-}" = apart ] || exec unshare --mount --propagation private "$0" apart
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl
make_management
make_documents 1024
start_nginx nginx
DISCOVER_YAML="- {namespaces: $SL_ID-q-*, interfaces: qr*, tenant: \"t{1}.{interface}\"}"
start_sluiced

state_is() { [ "$(tenant "$1" .state 2>/dev/null)" = "$2" ]; }
mkdir "$LAB/netns"
mount --bind "$LAB/netns" /run/netns
make_tenant q-one
wait_for 45 "a gateway behind the mount" state_is tone.qr0 attached
expect_document q-one 1024 "behind the mount"
make_tenant q-two
wait_for 5 "a second one" state_is ttwo.qr0 attached
for name in q-one q-one-vm q-two q-two-vm; do remove_ns $name; done
umount /run/netns
