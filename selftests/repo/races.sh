#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 480
# alone: many processes at once
#
# Uploads, publishes and deletes race each other and eight installing apt clients. Whatever a
# client has read an index of, it can install; no index and no file is ever half there.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need apt-get dpkg
repo_begin
make_key
SECONDS_RUN=${SECONDS_RUN:-12} CLIENTS=8

"$REPO" upload "$(make_deb steady 1.0 100000)" "$(make_deb moving 1 100000)" >/dev/null
publish
tenant_begin blue
for n in $(seq $CLIENTS); do apt_setup "c$n" "$RELAY"; done
for v in $(seq 2 40); do make_deb moving "$v" 100000 >/dev/null; done
end=$((SECONDS + SECONDS_RUN))
# For that time, and for longer where it takes longer until all have had a turn.
going() { [ $SECONDS -lt $end ] || [ ! -e "$LAB/enough" ]; }
all_had_turns() {
	local n
	for n in $(seq $CLIENTS); do [ -s "$LAB/turns.$n" ] || return; done
	[ "$("$REPO" publish --show --json | jq .generation)" -ge 3 ]
}

uploader() {
	local v=2
	while going && [ $v -le 40 ]; do
		"$REPO" upload "$LAB/debs/moving_${v}_all.deb" >/dev/null || return 1
		v=$((v + 1))
		sleep 0.2
	done
}
publisher() {
	local status
	while going; do
		status=$(curl -sS -o "$LAB/publisher.$1" -w '%{http_code}' --unix-socket "$SOCK" -X POST -d '{}' $B/v1/publish)
		case $status in
		200) ;;
		409) expect_eq "$(jq -r .error.code "$LAB/publisher.$1")" busy "a second publisher" ;;
		*) printf 'publish: %s\n' "$(cat "$LAB/publisher.$1")" >&2; return 1 ;;
		esac
	done
}
# All versions but the newest, again and again.
deleter() {
	local id
	while going; do
		for id in $("$REPO" list moving --json | jq '.[:-1][].id'); do
			"$REPO" delete "$id" >/dev/null || return 1
		done
		sleep 0.3
	done
}
client() {
	local n=$1 turns=0
	while going; do
		apt_update "c$n" >"$LAB/c$n.out" 2>&1 || { cat "$LAB/c$n.out" >&2; return 1; }
		apt_in "c$n" install steady moving >>"$LAB/c$n.out" 2>&1 || { cat "$LAB/c$n.out" >&2; return 1; }
		turns=$((turns + 1))
		echo $turns >"$LAB/turns.$n"
	done
}

jobs_=()
uploader & jobs_+=($!)
publisher 1 & jobs_+=($!)
publisher 2 & jobs_+=($!)
deleter & jobs_+=($!)
for n in $(seq $CLIENTS); do client "$n" & jobs_+=($!); done
wait_for 60 "all racers to have had a turn" all_had_turns
touch "$LAB/enough"
failed=0
for job in "${jobs_[@]}"; do wait "$job" || failed=$((failed + 1)); done
expect_eq $failed 0 "racers that failed"
for n in $(seq $CLIENTS); do
	expect_ge "$(cat "$LAB/turns.$n")" 1 "turns of client $n"
	cmp "$LAB/apt-c$n/root/usr/share/steady/version" <(echo 1.0)
done
expect_ge "$("$REPO" publish --show --json | jq .generation)" 3 "generations"
expect_eq "$("$REPO" fsck --json | jq '.problems | length')" 0 "problems found by fsck"
say "$(cat "$LAB"/turns.* | paste -sd+ | bc 2>/dev/null || true) client turns"

# The one after another: of two publishes that saw the same generation, one is refused.
generation=$("$REPO" publish --show --json | jq .generation)
"$REPO" upload "$(make_deb another 1)" >/dev/null
"$REPO" publish --if-generation "$generation" >/dev/null
expect_eq "$(api_status /v1/publish -X POST -d "{\"if_generation\":$generation}")" 412 "the second one"
