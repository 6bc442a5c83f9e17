#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Uploading: whole, in parts, cut and gone on with, refused; nothing refused leaves a trace.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
repo_begin

deb=$(make_deb hello 1.0)
sum=$(sha256sum "$deb" | cut -c 1-64)

# In one request, with a length and chunked.
expect_eq "$(api_status /v1/files/hello.deb -T "$deb")" 201 "PUT"
expect_eq "$(jq -r '[.name, .version, .arch, .filename, .sha256] | join(" ")' "$LAB/body")" \
	"hello 1.0 all hello_1.0_all.deb $sum" "what the package says of itself"
expect_eq "$(api_status /v1/files/x.deb -T - <"$deb")" 200 "the same again, chunked"
other=$(make_deb hello 1.0)
expect_eq "$(api_status /v1/files/hello.deb -T "$other")" 409 "same name, other content"
expect_eq "$(error_code)" exists "code"

# In parts: PATCH with Upload-Offset, PUT with Content-Range, a gap, an overlap, too much.
head -c 300000 /dev/urandom >"$LAB/part.bin"
size=300000 digest=$(sha256sum "$LAB/part.bin" | cut -c 1-64)
# piece FROM COUNT: bytes of part.bin
piece() { dd if="$LAB/part.bin" iflag=skip_bytes,count_bytes bs=64K skip="$1" count="$2" status=none; }
new_session() { post /v1/uploads "{\"filename\":\"$1\",\"size\":$2,\"sha256\":\"$3\"}" | jq -r .id; }
id=$(new_session part.bin $size "$digest")
expect_eq "$(piece 0 100000 | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' --data-binary @-)" 200 "first part"
expect_eq "$(jq .offset "$LAB/body")" 100000 "offset after it"
expect_has "$(api "/v1/uploads/$id" -I)" "Upload-Offset: 100000" "HEAD"
expect_eq "$(piece 200000 100000 | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 200000' --data-binary @-)" 409 "a gap"
expect_eq "$(error_code)" offset "code of a gap"
expect_eq "$(piece 0 100000 | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' --data-binary @-)" 409 "an overlap"
expect_eq "$(piece 100000 100000 | api_status "/v1/uploads/$id" -X PUT -H "Content-Range: bytes 100000-199999/$size" --data-binary @-)" 200 "second part by range"
for range in "bytes 200000-299999/7" "bytes 200000-299999/*" "bytes x" "bytes 299999-200000/$size" "200000-299999/$size"; do
	expect_eq "$(echo x | api_status "/v1/uploads/$id" -X PUT -H "Content-Range: $range" --data-binary @-)" 400 "range '$range'"
done
expect_eq "$(piece 200000 100000 | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 200000' -H 'Transfer-Encoding: chunked' -T -)" 201 "last part, chunked"
expect_eq "$(jq -r .sha256 "$LAB/body")" "$digest" "digest"
expect_eq "$(api_status "/v1/uploads/$id")" 404 "the session is over"

id=$(new_session long.bin 10 "$digest")
expect_eq "$(piece 0 100 | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' --data-binary @-)" 413 "more than announced"
id=$(new_session bad.bin 100 "$digest")
expect_eq "$(piece 0 100 | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' --data-binary @-)" 422 "another digest"
expect_eq "$(api "/v1/uploads/$id" | jq .offset)" 0 "it may be sent again"
expect_eq "$(api_status "/v1/uploads/$id" -X DELETE)" 200 "given up"

# The command line: cut in the middle, again and again, it goes on; run again, it goes on too.
head -c 100000000 /dev/urandom >"$LAB/big.bin"
"$REPO" upload "$LAB/big.bin" >"$LAB/cli.out" 2>&1 &
cli=$!
arriving() { find "$STATE/uploads" -type f -size +1M | grep -q .; }
wait_for 10 "the upload has begun" arriving
for _ in 1 2 3; do
	sleep 0.15
	repo_kill
	repo_start
done
wait $cli || fail "upload did not survive restarts: $(cat "$LAB/cli.out")"
"$REPO" get big.bin -o "$LAB/back.bin" >/dev/null
cmp "$LAB/big.bin" "$LAB/back.bin"
digest=$(sha256sum "$LAB/back.bin" | cut -c 1-64)
head -c 5000000 /dev/urandom >"$LAB/again.bin"
digest=$(sha256sum "$LAB/again.bin" | cut -c 1-64)
id=$(new_session again.bin 5000000 "$digest")
head -c 3000000 "$LAB/again.bin" | api "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' --data-binary @- >/dev/null
expect_eq "$(new_session again.bin 5000000 "$digest")" "$id" "the session is found again"
repo_stop
repo_start
expect_eq "$(api "/v1/uploads/$id" | jq .offset)" 3000000 "it outlives the daemon"
"$REPO" upload "$LAB/again.bin" >/dev/null
expect_eq "$(api_status "/v1/uploads/$id")" 404 "the command used it"

# Two writers on one session: the second is told, nothing is mixed.
id=$(new_session two.bin 3000000 "$(head -c 3000000 "$LAB/again.bin" | sha256sum | cut -c 1-64)")
(
	head -c 1000000 "$LAB/again.bin"
	until [ -e "$LAB/go-on" ]; do sleep 0.05; done
	dd if="$LAB/again.bin" bs=1000000 skip=1 count=2 status=none
) |
	api "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' -H 'Transfer-Encoding: chunked' -T - >"$LAB/two.out" &
writer=$!
writing() { [ "$(api "/v1/uploads/$id" | jq .offset)" -gt 0 ]; }
wait_for 10 "the first writer writes" writing
expect_eq "$(echo x | api_status "/v1/uploads/$id" -X PATCH -H 'Upload-Offset: 0' --data-binary @-)" 409 "a second writer"
touch "$LAB/go-on"
wait $writer
expect_eq "$(jq -r .filename "$LAB/two.out")" two.bin "the first writer's upload"

# Hostile names and paths.
for name in ../evil .hidden -rf 'a%2Fb' 'a%00b' 'a%0Ab' "$(printf 'x%.0s' {1..241})" 'a%22b' 'a%3Cb' '%2e%2e'; do
	got=$(echo x | api_status "/v1/files/$name" -T - --path-as-is)
	case $got in 400 | 404 | 405) ;; *) fail "the name '$name' got $got" ;; esac
done
for target in /../etc/passwd /apt/../../repo.db /apt/..%2f..%2frepo.db //apt/x /apt//x /files/./x /apt/%2e%2e/x; do
	got=$(status_of "$URL$target" --path-as-is)
	case $got in 400 | 404) ;; *) fail "the path $target got $got" ;; esac
done
for visibility in 'blue,../x' 'a b' public,blue ','; do
	got=$(echo x | api_status "/v1/files/vis.bin?visibility=$(jq -rn --arg v "$visibility" '$v | @uri')" -T -)
	expect_eq "$got" 400 "visibility '$visibility'"
done

# Broken packages.
head -c 20 "$deb" >"$LAB/short.deb"
expect_eq "$(api_status /v1/files/short.deb -T "$LAB/short.deb")" 422 "a short .deb"
head -c 5000 /dev/urandom >"$LAB/noise.rpm"
expect_eq "$(api_status /v1/files/noise.rpm -T "$LAB/noise.rpm")" 422 "noise as .rpm"
mkdir -p "$LAB/evil/DEBIAN"
printf 'Package: ../../evil\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' >"$LAB/evil/control"
(cd "$LAB/evil" && tar cf control.tar ./control && tar cf data.tar --files-from /dev/null &&
	printf '2.0\n' >debian-binary && ar rc evil.deb debian-binary control.tar data.tar)
expect_eq "$(api_status /v1/files/evil.deb -T "$LAB/evil/evil.deb")" 422 "a package named ../../evil"

# A bomb: it is known for one before what it unpacks to ends, here in noise.
truncate -s 400M "$LAB/evil/large"
for pack in "gzip -1" "xz -0" "zstd -1"; do
	command -v "${pack% *}" >/dev/null || continue
	(cd "$LAB/evil" && rm -f control.tar* && tar cf - ./large ./control | $pack -c -q >packed &&
		{ head -c $(($(stat -c %s packed) / 2)) packed; head -c 1000 /dev/urandom; } >control.tar.x &&
		rm -f evil.deb && ar rc evil.deb debian-binary control.tar.x data.tar)
	expect_eq "$(api_status /v1/files/evil.deb -T "$LAB/evil/evil.deb")" 422 "a bomb by $pack"
	expect_has "$(jq -r .error.message "$LAB/body")" "unpacks to more than 64 MiB" "what is said of a bomb by $pack"
done
rm "$LAB/evil/large" "$LAB/evil/control.tar.x"

# A description that is no UTF-8 hides no other package.
printf 'Package: caf\nVersion: 1\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: caf\xe9 \033[2J\n' >"$LAB/evil/control"
(cd "$LAB/evil" && tar cf control.tar ./control && rm -f evil.deb && ar rc evil.deb debian-binary control.tar data.tar)
expect_eq "$(api_status /v1/files/caf.deb -T "$LAB/evil/evil.deb")" 201 "a package with a description in Latin-1"
expect_eq "$(api '/v1/packages?name=caf' | jq -r '.packages[0].summary')" "caf? ?[2J" "its description"

# One token does not hold every session; what it ends makes room.
repo_stop
repo_config "limits: {uploads: 3}"
repo_start
greedy=$("$REPO" token create greedy --role uploader) other=$("$REPO" token create other --role uploader)
# session TOKEN NAME: prints the status
session() {
	status_of "$URL/v1/uploads" -D "$LAB/head" -X POST -H "Authorization: Bearer $1" -d "{\"filename\":\"$2\",\"size\":10}"
}
ids=()
for n in 1 2 3; do
	expect_eq "$(session "$greedy" "greedy$n")" 201 "session $n of three"
	ids[n]=$(jq -r .id "$LAB/body")
done
expect_eq "$(session "$greedy" greedy4)" 429 "a fourth"
expect_eq "$(error_code)" too-many-uploads "code of a fourth"
expect_has "$(tr -d '\r' <"$LAB/head")" "Retry-After: 60" "when to ask again"
expect_eq "$(api /v1/status | jq .uploads_refused)" 1 "refusals counted"
expect_eq "$(session "$other" other1)" 201 "another token's first"
expect_eq "$(status_of "$URL/v1/uploads/$(jq -r .id "$LAB/body")" -X DELETE -H "Authorization: Bearer $other")" 200 "its end"
expect_eq "$(status_of "$URL/v1/files/whole.bin" -H "Authorization: Bearer $greedy" -T "$LAB/part.bin")" 201 "a whole file needs no session"
expect_eq "$(status_of "$URL/v1/uploads/${ids[3]}" -X DELETE -H "Authorization: Bearer $greedy")" 200 "one given up"
expect_eq "$(session "$greedy" greedy4)" 201 "one more, then"
ids[3]=$(jq -r .id "$LAB/body")
for id in "${ids[@]}"; do
	expect_eq "$(api_status "/v1/uploads/$id" -X DELETE)" 200 "an admin ends whose it is"
done

# Too large, at once and while streaming; the daemon says so before the body is sent.
repo_stop
repo_config "limits: {upload_size: 1000000}"
repo_start
expect_eq "$(api_status /v1/files/large.bin -T "$LAB/big.bin")" 413 "too large by its length"
got=$(head -c 1500000 "$LAB/big.bin" | api_status /v1/files/large.bin -T - || true)
case $got in 413 | 000) ;; *) fail "too large while streaming got $got" ;; esac
expect_eq "$(post /v1/uploads '{"filename":"l","size":2000000}' | jq -r .error.code)" too-large "session too large"

expect_eq "$(find "$STATE/uploads" -type f | wc -l)" 1 "unfinished uploads left (the one too long)"
expect_eq "$("$REPO" fsck --json | jq '.problems | length')" 0 "problems found by fsck"
