#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 900
#
# kill -9 and power loss at every step of starting, uploading, publishing and deleting. The state
# lies on an ext4 on a loop device; at the kill, the device's file is copied as it is, without
# what the kernel had not written yet: that is what a power loss leaves. In both, the killed and
# the cut-off state, everything that was acknowledged must be there, and work must go on.
# A last run without fsync shows that the test would notice.

# Mounts are made where nobody else sees them.
if [ -z "${DISK:-}" ]; then
	SL_ID=${SL_ID:-sl$$}
	DISK=$(mktemp -d "${TMPDIR:-/tmp}/$SL_ID.disk.XXXXXX")
	export DISK SL_ID
	status=0
	unshare --mount --propagation private "$0" || status=$?
	rm -rf --one-file-system "$DISK"
	exit $status
fi
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need mkfs.ext4 losetup
mkdir -p "$DISK/mnt"
STATE=$DISK/mnt/state
FAULTY=$BUILD/selftests/repo/sluice-repod
[ -x "$FAULTY" ] || skip "$FAULTY is not built"

image_mount() { mount -o loop,commit=300 "$1" "$DISK/mnt"; }
image_umount() {
	[ ! -d "$STATE/gnupg" ] || gpgconf --homedir "$STATE/gnupg" --kill all 2>/dev/null || true
	wait_for 15 "nobody to use the image any more" umount "$DISK/mnt"
}

# The template: a state with a key, one published and one old package.
truncate -s 96M "$DISK/template"
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$DISK/template" || skip "no ext4"
image_mount "$DISK/template" || skip "a loop device cannot be mounted"
repo_begin
make_key
"$REPO" upload "$(make_deb old 1.0)" "$(make_deb kept 1.0)" >/dev/null
publish
repo_stop
image_umount

one=$(make_deb one 1.0 20000) two=$(make_deb two 1.0 20000)
declare -A digest
for name in old kept one two; do digest[$name]=$(sha256sum "$LAB/debs/${name}_1.0_all.deb" | cut -c 1-64); done

# life: does one thing after the other until the daemon is dead; writes what was acknowledged
life() {
	local id
	: >"$LAB/acks"
	[ "$(api_status /v1/files/one.deb -T "$one" 2>/dev/null)" = 201 ] || return 0
	echo "has one" >>"$LAB/acks"
	id=$(post /v1/uploads "{\"filename\":\"two.deb\",\"size\":$(stat -c %s "$two"),\"sha256\":\"${digest[two]}\"}" 2>/dev/null | jq -r .id) || true
	[ ${#id} = 32 ] || return 0
	echo "session $id" >>"$LAB/acks"
	[ "$(head -c 5000 "$two" | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' --data-binary @- 2>/dev/null)" = 200 ] || return 0
	[ "$(dd if="$two" bs=5000 skip=1 status=none | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 5000' --data-binary @- 2>/dev/null)" = 201 ] || return 0
	sed -i '/^session/d' "$LAB/acks"
	echo "has two" >>"$LAB/acks"
	[ "$(api_status /v1/publish -X POST -d '{}' 2>/dev/null)" = 200 ] || return 0
	echo "published one" >>"$LAB/acks"
	[ "$(api_status "/v1/packages/1" -X DELETE 2>/dev/null)" = 200 ] || return 0
	echo "gone old" >>"$LAB/acks"
}

tree_names() { curl -sS "$URL/repo/apt/dists/stable/main/binary-amd64/Packages" | sed -n 's/^Package: //p' | sort | tr '\n' ' '; }

# check WHERE: a whole daemon on the state that is mounted; every acknowledged thing holds
check() {
	local what name names problems
	REPOD=$BUILD/sluice-repod
	repo_start
	while read -r what name; do
		case $what in
		has) expect_eq "$(api "/files/${name}_1.0_all.deb" | sha256sum | cut -c 1-64)" "${digest[$name]}" "$1: the acknowledged upload of $name" ;;
		gone) expect_eq "$(api_status "/files/${name}_1.0_all.deb")" 404 "$1: the acknowledged deletion of $name" ;;
		session) case $(api_status "/v1/uploads/$name") in 200) ;; *) expect_eq "$(api_status /files/two_1.0_all.deb)" 200 "$1: the session" ;; esac ;;
		published) expect_has "$(tree_names)" "$name" "$1: what was published" ;;
		esac
	done <"$LAB/acks"
	expect_eq "$(api /files/kept_1.0_all.deb | sha256sum | cut -c 1-64)" "${digest[kept]}" "$1: an older package"
	# What is published is one whole tree, old or new.
	curl -sS "$URL/repo/apt/dists/stable/InRelease" | gpgv --keyring "$STATE/key.gpg" >/dev/null 2>&1 || fail "$1: the tree is not signed"
	names=$(tree_names)
	case $names in "kept old " | "kept old one two ") ;; *) fail "$1: the tree holds '$names'" ;; esac
	problems=$("$REPO" fsck --json | jq -r '.problems[].what' | grep -v 'no package has this file' || true)
	expect_eq "$problems" "" "$1: problems found by fsck"
	# And all goes on.
	"$REPO" upload "$one" "$two" >/dev/null || fail "$1: uploading again"
	"$REPO" publish >/dev/null || fail "$1: publishing again"
	case $(tree_names) in "kept one two " | "kept old one two ") ;; *) fail "$1: after going on the tree holds '$(tree_names)'" ;; esac
	repo_stop
}

up_or_dead() { curl -sf --unix-socket "$SOCK" $B/v1/status || ! alive "$(pid_of repod)"; }
# crash STEP N: kills there; leaves $DISK/image (killed) and $DISK/cut (power loss)
crash() {
	cp --sparse=always "$DISK/template" "$DISK/image"
	image_mount "$DISK/image"
	SLUICE_FAULT=$1:$2 start repod env ${PRELOAD:+LD_PRELOAD="$PRELOAD"} "$FAULTY" --config "$CONF"
	: >"$LAB/acks"
	wait_for 20 "the daemon to answer, or to be dead" up_or_dead
	! alive "$(pid_of repod)" || life
	# What it did last failed, so it is dying.
	while [ "$(wc -l <"$LAB/acks")" -lt 4 ] && alive "$(pid_of repod)"; do sleep 0.05; done
	if alive "$(pid_of repod)"; then
		REACHED=
		repo_kill
	else
		REACHED=1
		forget repod
	fi
	cp --sparse=always "$DISK/image" "$DISK/cut"
}

# Which steps there are: a run with a log.
cp --sparse=always "$DISK/template" "$DISK/image"
image_mount "$DISK/image"
SLUICE_FAULT_LOG=$LAB/steps REPOD=$FAULTY repo_start
life
expect_eq "$(wc -l <"$LAB/acks")" 4 "acknowledged without a crash"
repo_stop
image_umount
mapfile -t steps < <(sort "$LAB/steps" | uniq -c | awk '{ print $2, 1; if ($1 > 1) print $2, int(($1 + 1) / 2); if ($1 > 2) print $2, $1 }' | sort -u)
expect_ge ${#steps[@]} 30 "steps to be killed at"
[ -z "${STEPS:-}" ] || mapfile -t steps <<<"$STEPS"

for step in "${steps[@]}"; do
	read -r name n <<<"$step"
	crash "$name" "$n"
	[ -n "$REACHED" ] || say "$step was not reached"
	check "killed at $step"
	image_umount
	image_mount "$DISK/cut"
	check "power lost at $step"
	image_umount
	say "$step: $(tr '\n' ',' <"$LAB/acks")"
done

# Without fsync the same cut must lose something, or this test is blind.
cat >"$LAB/nosync.c" <<-C
	int fsync(int fd) { return fd < 0; }
	int fdatasync(int fd) { return fd < 0; }
	int syncfs(int fd) { return fd < 0; }
C
cc -shared -fPIC -w -o "$LAB/nosync.so" "$LAB/nosync.c"
# The sanitizers' library wants to be the first.
asan=$(ldd "$FAULTY" | awk '/libasan/ { print $3 }')
PRELOAD="${asan:+$asan }$LAB/nosync.so" crash blob-remove 1
expect_eq "$(wc -l <"$LAB/acks")" 3 "acknowledged before the last crash"
image_umount
image_mount "$DISK/cut"
if (trap - EXIT ERR; check "power lost without fsync") >/dev/null 2>&1; then
	fail "power loss without fsync lost nothing: the test does not see losses"
fi
for entry in $(jobs -p); do kill -KILL "$entry" 2>/dev/null || true; done
