#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# The daemon is upgraded in place under load, twice: the process stays, the program is another
# one, nothing is refused or cut, counters go on. A program that cannot take over is not executed.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/load.sh
. "$TOP/selftests/lib/load.sh"

path_lab 1024 $LOAD_BIG
RELAY_YAML='drain_timeout: 300000'
# Executed by its path, so that "installing" is renaming another file there.
mkdir "$LAB/bin"
cp "$BUILD/sluiced" "$LAB/bin/sluiced"
chmod 755 "$LAB/bin"
start_sluiced inline "$LAB/bin/sluiced"
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	expect_document "$bridge" 1024 "before"
done
pid=$(pid_of sluiced)
requests() { tenant "$1" .relay.requests; }
before=$(requests "${BRIDGES%% *}")

install_program() {
	cp "$1" "$LAB/bin/new"
	chmod 755 "$LAB/bin/new"
	mv "$LAB/bin/new" "$LAB/bin/sluiced"
}
program() { stat -L -c %i "/proc/$pid/exe"; }

printf '#!/bin/sh\necho another layout >&2\nexit 1\n' >"$LAB/refusing"
install_program "$LAB/refusing"
expect_fails "an upgrade to a program that refuses" sluice upgrade
expect_has "$(cat "$LAB/expect.out")" "another layout" "why it was refused"
printf 'not a program\n' >"$LAB/broken"
install_program "$LAB/broken"
expect_fails "an upgrade to what is no program" sluice upgrade
cp "$LAB/sluiced.yaml" "$LAB/good.yaml"
install_program "$BUILD/sluiced"
echo 'no_such_key: 1' >>"$LAB/sluiced.yaml"
expect_fails "an upgrade with a wrong configuration" sluice upgrade
expect_has "$(cat "$LAB/expect.out")" no_such_key "why it was refused"
cp "$LAB/good.yaml" "$LAB/sluiced.yaml"
expect_eq "$(sluice status --json | jq .upgrades)" 0 "upgrades so far"

# shellcheck disable=SC2086 # a list of words
load_begin $BRIDGES
old=$(program)
install_program "$BUILD/sluiced"
sluice upgrade >>"$LAB/upgrade.log" || fail "upgrade: $(cat "$LAB/upgrade.log")"
expect_ne "$(program)" "$old" "the program"
expect_eq "$(sluice status --json | jq .pid)" "$pid" "the process"
old=$(program)
install_program "$BUILD/sluiced"
kill -USR2 "$pid"
again() { [ "$(sluice status --json | jq .upgrades)" = 2 ]; }
wait_for 20 "the second upgrade" again
expect_ne "$(program)" "$old" "the program of the second upgrade"
load_end "two upgrades"

young() { sluice status --json | jq -e '.workers | all(.generation == 3 and .state == "serving")'; }
wait_for 20 "workers of the new program alone" young
for bridge in $BRIDGES; do
	expect_eq "$(tenant "$bridge" '.relay | .closed_shutdown + .closed_origin + .closed_timeout')" 0 \
		"connections of $bridge that were cut"
	expect_document "$bridge" 1024 "afterwards"
done
expect_ge "$(requests "${BRIDGES%% *}")" $((before + 40)) "requests counted over all three programs"
