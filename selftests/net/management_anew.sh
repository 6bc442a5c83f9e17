#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The management namespace is deleted and made anew under its name, as an operator or a network manager
# would: connections to services are made from the new one, without a word from anybody.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
WORKERS=1
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	expect_document "$bridge" 1024 "before"
done

inode() { stat -Lc %i "$(ns_path mgw)"; }
before=$(inode)
ns_ip mgw link del mg0
remove_ns mgw
make_ns mgw
make_link mgw mg0 mgmt eth0
ns_ip mgw addr add "$MGMT_SOURCE/24" dev mg0
ns_ip mgmt addr add "$MGMT_IP/24" dev eth0
expect_ne "$(inode)" "$before" "the new namespace"

# A request that comes before this is seen takes a connection that leads nowhere; later ones do not.
seen() { grep -q 'management namespace .* was made anew' "$LAB/sluiced.log"; }
renewed() { sluice status --json | jq -e '.workers | all(.generation == 2 and .state == "serving")'; }
wait_for 10 "the new namespace to be seen" seen
wait_for 20 "new workers" renewed
for bridge in $BRIDGES; do
	expect_document "$bridge" 1024 "through the new one"
done
held() { find "/proc/$(pid_of sluiced)/fd" -lname "*$before*" | grep -q .; }
! held || fail "sluiced holds the old namespace"
