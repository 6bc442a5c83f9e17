#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Whatever is done to a bundle on its way is noticed, and the blob is named: a flipped bit in every
# blob and in the head, cuts at every boundary, and containers that tar would read but should not.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
bundle_begin
make_bundle good.sluice
size=$(stat -c %s good.sluice)

# flip FILE OFFSET: one bit
flip() {
	"$PYTHON" -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(-1, 1); f.write(bytes([b ^ 16]))' "$1" "$2"
}

# refused FILE WHAT [TEXT]: status 3, and the sentence
refused() {
	expect_exit 3 "$2" "$BUNDLE" verify --keys ops.pub "$1"
	[ -z "${3:-}" ] || said "$3" "$2"
}

# Every blob: a bit somewhere in it; found, and named.
"$PYTHON" -c 'import tarfile
for i in tarfile.open("good.sluice"): print(i.name, i.offset_data, i.size)' >entries
while read -r name offset length; do
	cp good.sluice bad.sluice
	flip bad.sluice $((offset + RANDOM % length))
	case $name in
	blobs/*) refused bad.sluice "a bit in $name" "${name##*/}" ;;
	*) refused bad.sluice "a bit in $name" ;;
	esac
done <entries
expect_eq "$(wc -l <entries)" 12 "entries of the bundle"
# Headers are covered by their sums.
while read -r name offset _; do
	cp good.sluice bad.sluice
	flip bad.sluice $((offset - 512 + RANDOM % 257))
	refused bad.sluice "a bit in the header of $name"
done <entries
# JSON says it too.
cp good.sluice bad.sluice
read -r name offset _ < <(tail -n 1 entries)
flip bad.sluice "$offset"
"$BUNDLE" verify --json --keys ops.pub bad.sluice >out.json 2>/dev/null && fail "a flipped bit passed"
expect_eq "$(jq -r '.good, .bad[0].blob' out.json | xargs)" "false ${name##*/}" "verify --json"
expect_exit 3 "pull of a damaged bundle" "$BUNDLE" pull --keys ops.pub bad.sluice pulled
said "blob ${name##*/}: is damaged" "pull names the blob"
[ ! -e pulled/index.json ] || fail "a damaged bundle was pulled"
expect_exit 3 "unpack of a damaged bundle" "$BUNDLE" unpack --keys ops.pub bad.sluice unpacked
[ ! -e unpacked/tarballs/tool/tool.tar.gz ] || fail "a damaged tarball was unpacked"

# Cut anywhere.
for at in 0 1 511 512 1000 1536 4000 $((size / 2)) $((size - 1025)) $((size - 1024)) $((size - 512)) $((size - 1)); do
	head -c "$at" good.sluice >bad.sluice
	expect_fails "cut at $at" "$BUNDLE" verify --keys ops.pub bad.sluice
done
head -c $((size / 2)) good.sluice >bad.sluice
refused bad.sluice "cut in the middle" "is truncated"
# Something behind the end.
cat good.sluice bundle.yaml >bad.sluice
refused bad.sluice "something behind the end" "follows its end"

# Containers another tar program might take.
odd() {
	rewrite good.sluice bad.sluice "$2"
	refused bad.sluice "$1" "${3:-}"
}
odd "another file" 'entries.append(add("extra", b"x"))' "does not belong"
odd "a path that leads out" 'entries.append(add("../../etc/passwd", b"x"))' "does not belong"
odd "an absolute path" 'entries.append(add("/etc/passwd", b"x"))' "does not belong"
odd "a symbolic link" 'entries.append(add("blobs/sha256/" + "a" * 64, type=tarfile.SYMTYPE, linkname="/etc/shadow"))' "no plain file"
odd "a hard link" 'entries.append(add("blobs/sha256/" + "a" * 64, type=tarfile.LNKTYPE, linkname="oci-layout"))' "no plain file"
odd "a device" 'entries.append(add("blobs/sha256/" + "a" * 64, type=tarfile.CHRTYPE))' "no plain file"
odd "a directory" 'entries.insert(2, add("blobs/", type=tarfile.DIRTYPE))' "no plain file"
odd "a blob twice" 'entries.append(entries[-1])' "is there twice"
odd "a blob nobody lists" 'entries.append(add("blobs/sha256/" + "0" * 64, b"x"))' "not in the manifest"
odd "another order" 'entries[-1], entries[-2] = entries[-2], entries[-1]' "not in this place"
odd "the index twice" 'entries.insert(2, entries[1])'
odd "no index" 'del entries[1]' "is not index.json"
odd "pax headers" 'format = tarfile.PAX_FORMAT; entries[3][0].pax_headers = {"path": "x"}' "no plain file"
odd "a GNU archive" 'format = tarfile.GNU_FORMAT' "no plain file"
odd "a blob that is longer than it says" 'entries[-1] = (entries[-1][0], entries[-1][1] + b"x")' "another size"
odd "a blob missing" 'del entries[-1]' "is missing"
odd "an index that says more" 'i = json.loads(entries[1][1]); i["manifests"].append(i["manifests"][0]); entries[1] = (entries[1][0], json.dumps(i, separators=(",", ":")).encode())' "not what follows"
odd "an index that never ends" 'entries[1] = (entries[1][0], b"[" * 300000)' "too large"
odd "deep JSON" 'entries[1] = (entries[1][0], b"[" * 200000)' "no JSON"
# A header that promises eight gigabytes costs nothing.
"$PYTHON" - <<'PY'
import tarfile
with open("good.sluice", "rb") as f:
    data = bytearray(f.read())
info = tarfile.open("good.sluice").getmembers()[-1]
at = info.offset_data - 512
data[at + 124:at + 136] = b"77777777777\0"
data[at + 148:at + 156] = b" " * 8
data[at + 148:at + 156] = b"%06o\0 " % sum(data[at:at + 512])
open("bad.sluice", "wb").write(data)
PY
refused bad.sluice "an absurd size" "is truncated"
gzip -k good.sluice
refused good.sluice.gz "compressed"
# The name of a file on somebody's stick.
expect_fails "a name that speaks to the terminal" "$BUNDLE" verify --keys ops.pub $'\e]0;owned\a.sluice'
expect_has "$(cat "$LAB/expect.out")" "?]0;owned?.sluice" "what is left of it"
: >empty.sluice
expect_fails "an empty file" "$BUNDLE" verify --keys ops.pub empty.sluice
mkfifo pipe
expect_fails "a pipe" timeout 10 "$BUNDLE" verify --keys ops.pub pipe
expect_fails "a directory without a bundle" "$BUNDLE" verify --keys ops.pub tool
