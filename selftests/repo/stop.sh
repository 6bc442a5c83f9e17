#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# SIGTERM ends the daemon whatever is under way: what waits for its turn and who connects are refused,
# tools are ended, what takes longer is broken off; after the next start all is in order.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
FAULTY=$BUILD/selftests/repo/sluice-repod
[ -x "$FAULTY" ] || skip "$FAULTY is not built"
repo_begin
make_key
"$REPO" upload "$(make_deb hello 1.0)" >/dev/null

# begin: with a log of its own
begin() {
	: >"$LAB/repod.log"
	repo_start
}
broken_off() { grep -q "broken off" "$LAB/repod.log"; }

# terminate: SIGTERM, until it has gone
terminate() {
	local pid status=0
	pid=$(pid_of repod)
	kill -TERM "$pid"
	wait_for 10 "it to accept nothing more" grep -q stopping "$LAB/repod.log"
	expect_exit 7 "who connects now" curl -sS -m 300 "$URL/v1/status"
	gone() { ! alive "$pid"; }
	wait_for 15 "the daemon to end" gone
	wait "$pid" || status=$?
	forget repod
	expect_eq "$status" 0 "exit status of sluice-repod after SIGTERM"
	[ ! -e "$SOCK" ] || fail "its socket is still there"
}

say "a publish whose tool takes long"
repo_stop
mkdir "$LAB/bin"
printf '#!/bin/sh\necho $$ >%s\nexec sleep 100000\n' "$LAB/tool.pid" >"$LAB/bin/apt-ftparchive"
chmod 755 "$LAB/bin/apt-ftparchive"
PATH=$LAB/bin:$PATH begin
api /v1/publish -X POST -d '{}' >"$LAB/published" & publishing=$!
wait_for 10 "the tool to run" test -s "$LAB/tool.pid"
terminate
# Where the machine lets it have its time, it clears up and answers.
if wait $publishing; then
	expect_has "$(jq -r .error.message "$LAB/published")" "apt-ftparchive: was ended" "what it was told"
else
	broken_off || fail "the publish was not answered"
fi
! alive "$(cat "$LAB/tool.pid")" || fail "the tool still runs"

say "uploads that are being finished, and one that waits for its turn"
export SLUICE_FAULT_WAIT=upload-sync:$LAB/never SLUICE_FAULT_LOG=$LAB/steps
REPOD=$FAULTY begin
uploads=()
for n in 1 2 3 4 5; do
	echo "$n" >"$LAB/file$n"
	api "/v1/files/file$n" -T "$LAB/file$n" -o /dev/null -w '%{http_code} ' >>"$LAB/uploads" 2>&1 &
	uploads+=($!)
done
finishing() { [ "$(grep -cx upload-sync "$LAB/steps")" -ge 4 ]; }
wait_for 20 "four uploads that are being finished" finishing
all_here() { [ "$(find "$STATE/uploads" -type f -size +0 | wc -l)" -eq 5 ]; }
wait_for 20 "the fifth one's bytes" all_here
terminate
broken_off || fail "the uploads were not broken off"
for job in "${uploads[@]}"; do wait "$job" || true; done
expect_eq "$(grep -o '503' "$LAB/uploads" | wc -l)" 1 "uploads that were refused: $(cat "$LAB/uploads")"
unset SLUICE_FAULT_WAIT SLUICE_FAULT_LOG

say "after the next start"
repo_start
"$REPO" upload "$LAB"/file[1-5] >/dev/null
publish
expect_has "$(curl -sS "$URL/repo/apt/dists/stable/main/binary-amd64/Packages")" "Package: hello" "what is published"
expect_eq "$("$REPO" fsck --json | jq '.problems | length')" 0 "problems found by fsck"
repo_stop
