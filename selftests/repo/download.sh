#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Downloading: ranges, conditions, HEAD, parallel ranges by aria2, resumption by curl.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need aria2c
repo_begin

head -c 10000000 /dev/urandom >"$LAB/image.bin"
: >"$LAB/empty.bin"
"$REPO" upload "$LAB/image.bin" "$LAB/empty.bin" >/dev/null
sum=$(sha256sum "$LAB/image.bin" | cut -c 1-64)
F=$URL/files/image.bin

expect_eq "$(curl -sS "$F" | sha256sum | cut -c 1-64)" "$sum" "whole"
head=$(curl -sSI "$F")
expect_has "$head" "Content-Length: 10000000" "HEAD"
expect_has "$head" "ETag: \"$sum\"" "HEAD"
expect_has "$head" "Accept-Ranges: bytes" "HEAD"
date=$(printf '%s' "$head" | tr -d '\r' | sed -n 's/^Last-Modified: //p')

slice() { dd if="$LAB/image.bin" bs=1 skip="$1" count="$2" status=none | sha256sum; }
# range HEADER STATUS FIRST COUNT
range() {
	local got
	got=$(curl -sS -o "$LAB/slice" -w '%{http_code}' -H "Range: $1" ${5:+-H "$5"} "$F")
	expect_eq "$got" "$2" "status of $1 ${5:-}"
	[ "$2" != 206 ] || expect_eq "$(sha256sum <"$LAB/slice")" "$(slice "$3" "$4")" "bytes of $1"
	[ "$2" != 200 ] || expect_eq "$(sha256sum <"$LAB/slice" | cut -c 1-64)" "$sum" "bytes of $1"
}
range bytes=0-0 206 0 1
range bytes=100-1099 206 100 1000
range bytes=9999999- 206 9999999 1
range bytes=9999000-99999999999 206 9999000 1000
range bytes=-1000 206 9999000 1000
range bytes=10000000- 416
range bytes=-0 416
range bytes=5-4 200
range bytes=a-b 200
range bytes=0-1,5-6 200
range lines=0-1 200
range bytes=99999999999999999999999- 200
range bytes=100-199 206 100 100 "If-Range: \"$sum\""
range bytes=100-199 206 100 100 "If-Range: $date"
range bytes=100-199 200 0 0 'If-Range: "other"'
range bytes=100-199 200 0 0 "If-Range: W/\"$sum\""
range bytes=100-199 200 0 0 "If-Range: Thu, 01 Jan 1970 00:00:00 GMT"

expect_eq "$(status_of "$F" -H "If-None-Match: \"$sum\"")" 304 "If-None-Match"
expect_eq "$(status_of "$F" -H "If-None-Match: \"x\", W/\"$sum\"")" 304 "If-None-Match, a list"
expect_eq "$(status_of "$F" -H 'If-None-Match: "x"')" 200 "If-None-Match, another"
expect_eq "$(status_of "$F" -H "If-Modified-Since: $date")" 304 "If-Modified-Since"
expect_eq "$(status_of "$F" -H "If-None-Match: \"x\"" -H "If-Modified-Since: $date")" 200 "both: the tag decides"
expect_eq "$(status_of "$F" -H 'If-Match: "x"')" 412 "If-Match"
expect_eq "$(status_of "$F" -H 'If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT')" 412 "If-Unmodified-Since"
expect_eq "$(status_of "$URL/files/empty.bin")" 200 "an empty file"
expect_eq "$(status_of "$URL/files/empty.bin" -r 0-5)" 416 "a range of an empty file"
expect_eq "$(status_of "$URL/files/none.bin")" 404 "no such file"
expect_eq "$(status_of "$F" -X POST)" 405 "POST to a file"

# Both dates stay after a restart: an interrupted download goes on.
repo_stop
repo_start
expect_has "$(curl -sSI "$F")" "Last-Modified: $date" "after a restart"
sleep 1.1
expect_eq "$(api_status /v1/files/image.bin -T "$LAB/image.bin")" 200 "the same bytes again"
expect_has "$(curl -sSI "$F")" "Last-Modified: $date" "after the same bytes came again"
head -c 3000000 "$LAB/image.bin" >"$LAB/resumed"
curl -sS -C - -o "$LAB/resumed" "$F"
cmp "$LAB/image.bin" "$LAB/resumed"
head -c 7000000 "$LAB/image.bin" >"$LAB/cli.bin.part"
"$REPO" get image.bin -o "$LAB/cli.bin" >/dev/null
cmp "$LAB/image.bin" "$LAB/cli.bin"
head -c 10000000 /dev/zero >"$LAB/wrong.bin.part"
expect_fails "what does not match is not handed out" "$REPO" get image.bin -o "$LAB/wrong.bin"
[ ! -e "$LAB/wrong.bin" ] || fail "a wrong file was handed out"

aria2c -q -d "$LAB" -o aria.bin -x 8 -s 8 -k 1M --file-allocation=none \
	--checksum=sha-256="$sum" "$F" || fail "aria2: status $?"
cmp "$LAB/image.bin" "$LAB/aria.bin"
