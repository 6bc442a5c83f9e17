#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Below the oldest kernel that is served, sluiced says so and ends; it leaves nothing behind. The
# kernel pretends to be an old one to a process that asks for that.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need setarch
expect_has "$(setarch --uname-2.6 uname -r)" 2.6. "what the kernel pretends to be"
make_management
sluice_yaml | sed '/^ *$/d' >"$LAB/old.yaml"
status=0
timeout $((10 * PATIENCE)) setarch --uname-2.6 "$BUILD/sluiced" --config "$LAB/old.yaml" --instance "$INSTANCE" \
	>"$LAB/old.log" 2>&1 || status=$?
expect_has "$(cat "$LAB/old.log")" "is too old: sluice needs 6.1" "what it says"
expect_ne $status 0 "exit status"
expect_ne $status 124 "exit status"
[ ! -e "/sys/fs/bpf/sluice/$INSTANCE" ] || fail "it left pins"
[ ! -e "/run/sluice/$INSTANCE/control.sock" ] || fail "it left its control socket"
