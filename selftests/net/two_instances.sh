#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Two daemons on one machine, told apart by --instance: each serves its tenants, neither knows the
# other's, and one's end does not touch the other.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
start_sluiced
attach fd

INSTANCE=$SL_ID-b SLUICED=sluiced-b
start_sluiced
attach stream
expect_eq "$(sluice tenant list --json | jq -c '[.[].name]')" '["stream"]' "tenants of the second"
expect_document stream 1024 "by the second"
INSTANCE=$SL_ID SLUICED=sluiced
expect_eq "$(sluice tenant list --json | jq -c '[.[].name]')" '["fd"]' "tenants of the first"
expect_document fd 1024 "by the first"
INSTANCE=$SL_ID-b SLUICED=sluiced-b
stop_sluiced
INSTANCE=$SL_ID SLUICED=sluiced
expect_document fd 1024 "by the first, when the second has ended"
expect_fails "a second daemon under the same name" \
	timeout 5 "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
expect_document fd 1024 "by the first, after somebody tried its name"
