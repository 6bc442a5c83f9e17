#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A disk that fills up: said before the bytes are sent when that can be known, said when it
# happens otherwise; nothing acknowledged is lost, and after space is made all goes on.
# The disk is a small tmpfs, mounted where nobody else sees it.
if [ -z "${DISK:-}" ]; then
	SL_ID=${SL_ID:-sl$$}
	DISK=$(mktemp -d "${TMPDIR:-/tmp}/$SL_ID.disk.XXXXXX")
	export DISK SL_ID
	status=0
	unshare --mount --propagation private "$0" || status=$?
	rmdir "$DISK"
	exit $status
fi
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
mount -t tmpfs -o size=24m tmpfs "$DISK" || skip "a tmpfs cannot be mounted"
STATE=$DISK/state
REPO_CONF="limits: {keep_free: 1}" repo_begin
make_key

head -c 8000000 /dev/urandom >"$LAB/a.bin"
head -c 30000000 /dev/urandom >"$LAB/b.bin"
"$REPO" upload "$LAB/a.bin" >/dev/null
expect_eq "$(api_status /v1/files/b.bin -T "$LAB/b.bin")" 507 "more than there is, by its length"
expect_eq "$(error_code)" disk-full "code"
expect_has "$(jq -r .error.message "$LAB/body")" "bytes are needed" "what is said"
expect_fails "the command line" "$REPO" upload "$LAB/b.bin"
expect_has "$(cat "$LAB/expect.out")" "free space or delete packages" "what the command line says"
got=$(api_status /v1/files/b.bin -T - <"$LAB/b.bin" || true)
case $got in 507 | 000) ;; *) fail "filling up while streaming got $got" ;; esac
uploads_gone() { [ -z "$(ls -A "$STATE/uploads")" ]; }
wait_for 5 "the broken upload is cleared away" uploads_gone
expect_eq "$(api /files/a.bin | sha256sum)" "$(sha256sum <"$LAB/a.bin")" "what was there before"

# A session that is ended gives its space back at once, also while somebody writes to it and goes on.
session() { api_status /v1/uploads -X POST -d "{\"filename\":\"$1\",\"size\":10000000}"; }
expect_eq "$(session held.bin)" 201 "a session that holds more than half of what is free"
id=$(jq -r .id "$LAB/body")
{
	head -c 1000000 /dev/zero
	until [ -e "$LAB/go-on" ]; do sleep 0.05; done
	printf x
} | api "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' -H 'Transfer-Encoding: chunked' -T - -o "$LAB/held.body" \
	-w '%{http_code}' >"$LAB/held.out" &
writer=$!
arrived() { [ "$(api "/v1/uploads/$id" | jq .offset)" -ge 1000000 ]; }
wait_for 10 "its first bytes" arrived
expect_eq "$(session next.bin)" 507 "another one"
expect_eq "$(api_status "/v1/uploads/$id" -X DELETE)" 200 "its end"
expect_eq "$(session next.bin)" 201 "another one, after it"
expect_eq "$(cat "$LAB/held.out")" "" "the answer to what is still being sent"
touch "$LAB/go-on"
wait $writer
expect_eq "$(cat "$LAB/held.out")$(jq -r .error.code "$LAB/held.body")" 404no-upload "the bytes after its end"
expect_eq "$(api_status "/v1/uploads/$(api /v1/uploads | jq -r '.uploads[0].id')" -X DELETE)" 200 "the end of the other"
wait_for 5 "their files are gone" uploads_gone

# Fill the rest: neither row nor tree can be written, and that is said.
"$REPO" upload "$(make_deb hello 1.0)" >/dev/null
publish
dd if=/dev/zero of="$DISK/filler" bs=64K 2>/dev/null || true
deb=$(make_deb hello 2.0)
got=$(api_status /v1/files/hello.deb -T "$deb")
expect_eq "$got" 507 "an upload to a full disk"
expect_fails "publish on a full disk" "$REPO" publish --if-generation 99
code=$(api_status /v1/tokens -X POST -d '{"name":"x","role":"reader"}')
case $code in 201 | 507) ;; *) fail "a token on a full disk got $code" ;; esac
expect_eq "$(curl -sS "$URL/repo/apt/dists/stable/InRelease" | head -n 1)" "-----BEGIN PGP SIGNED MESSAGE-----" "the tree is still served"
rm "$DISK/filler"
"$REPO" upload "$deb" >/dev/null
publish
case $(curl -sS "$URL/repo/apt/dists/stable/main/binary-amd64/Packages") in *"Version: 2.0"*) ;; *) fail "not published after space was made" ;; esac
"$REPO" upload "$(make_deb hello 3.0)" >/dev/null
dd if=/dev/zero of="$DISK/filler" bs=64K 2>/dev/null || true
expect_fails "publish on a full disk" "$REPO" publish
case $(curl -sS "$URL/repo/apt/dists/stable/main/binary-amd64/Packages") in *"Version: 2.0"*) ;; *) fail "a failed publish changed the tree" ;; esac
rm "$DISK/filler"
repo_stop
repo_start
publish || true
expect_eq "$("$REPO" fsck --json | jq '.problems | length')" 0 "problems found by fsck"
repo_stop
