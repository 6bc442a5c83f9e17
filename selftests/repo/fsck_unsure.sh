#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fsck drops nothing for what it could not look at: an error is not an absence.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need sqlite3
repo_begin
make_key
"$REPO" upload "$(make_deb hello 1.0)" >/dev/null
publish
hello=$(sha256sum "$LAB/debs/hello_1.0_all.deb" | cut -c 1-64)
blob=$STATE/blobs/${hello:0:2}/$hello
offline() { expect_exit "$1" "an offline repair" "$REPOD" --config "$CONF" --fsck --repair; }
what() { jq -r '.problems[] | .what + "|" + (.repaired // "-")' "$LAB/expect.out"; }
packages() { sqlite3 "$STATE/repo.db" "SELECT count(*) FROM packages"; }

say "the file is gone, and its link in the tree cannot be read"
repo_stop
link=$(find "$STATE/published" -path "*/$hello/*")
mv "$blob" "$LAB/whole"
# shellcheck disable=SC2016
expect_exit 1 "a repair on a failing disk" unshare --mount sh -c \
	'mount --bind "/proc/$$/mem" "$1" && shift && exec "$@"' sh "$link" "$REPOD" --config "$CONF" --fsck --repair
expect_eq "$(what)" "the file is missing: Input/output error|-" "what is said"
expect_eq "$(packages)" 1 "packages"
offline 0
expect_eq "$(what)" "the file is missing|taken back from a published tree" "when it can be read again"

say "what is in the file's place cannot be read"
rm "$blob"
mkdir "$blob"
offline 1
expect_eq "$(what)" "the file cannot be read: Is a directory|-" "what is said"
[ -d "$blob" ] || fail "it was taken away"
rmdir "$blob"
offline 0

say "a link can never be made"
repo_start
mv "${blob%/*}" "$LAB/away"
expect_exit 1 "a repair without the directory" timeout 300 "$REPO" fsck --repair --json
expect_eq "$(what)" "the file is missing: it changes all the time|-
a directory of blobs/ is missing: start sluice-repod again|-" "what is said"
expect_eq "$(api_status /v1/files/hello.deb -T "$LAB/debs/hello_1.0_all.deb")" 500 "an upload without the directory"
expect_has "$(jq -r .error.message "$LAB/body")" "a directory of blobs/ is missing" "what is said"
mv "$LAB/away" "${blob%/*}"
expect_exit 0 "fsck with the directory" "$REPO" fsck

say "a directory cannot be read, after a package was removed"
"$REPO" upload "$(make_deb lost 1.0)" >/dev/null
lost=$(sha256sum "$LAB/debs/lost_1.0_all.deb" | cut -c 1-64)
rm "$STATE/blobs/${lost:0:2}/$lost"
for dir in 00 01 02; do [ "$dir" = "${hello:0:2}" ] || [ "$dir" = "${lost:0:2}" ] || break; done
mv "$STATE/blobs/$dir" "$LAB/away"
: >"$STATE/blobs/$dir"
echo stray >"$STATE/blobs/fe/stray"
expect_exit 1 "a repair without one directory" "$REPO" fsck --repair --json
expect_eq "$(what)" "the file is missing|the package was removed: upload it again
a directory of blobs/ cannot be read: Not a directory|-
a file that does not belong into blobs/|moved to quarantine/" "what is said"
expect_eq "$(api '/v1/log?limit=1' | jq -r '.entries[0] | .action + "|" + .subject')" "fsck|repair" "the log"
rm "$STATE/blobs/$dir"
mv "$LAB/away" "$STATE/blobs/$dir"
"$REPO" fsck --repair >/dev/null || fail "something is left"

say "a file whose name is no text"
: >"$STATE/blobs/00/$(printf '\377')"
expect_exit 1 "fsck of a strange name" "$REPO" fsck --json
expect_has "$(what)" "does not belong into blobs/" "what is said"
"$REPO" fsck --repair >/dev/null || fail "it was not repaired"

say "two files of one name"
echo a >"$STATE/blobs/00/junk"
echo b >"$STATE/blobs/01/junk"
"$REPO" fsck --repair >/dev/null || fail "they were not taken away"
expect_eq "$(cat "$STATE"/quarantine/junk* | sort | tr -d '\n')" ab "what quarantine/ has"

say "the database's index lost the package"
repo_stop
sqlite3 "$STATE/repo.db" ".dbconfig defensive off" \
	"CREATE TABLE hollow (x); CREATE INDEX hollow_x ON hollow (x); PRAGMA writable_schema = ON;
	UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'hollow_x')
	WHERE name = 'packages_sha256'" >/dev/null
repairs() { sqlite3 "$STATE/repo.db" "SELECT count(*) FROM audit WHERE action = 'fsck'"; }
before=$(repairs)
offline 1
expect_eq "$(repairs)" "$before" "what is written to a damaged database"
expect_has "$(what)" "the database is damaged: restore a backup|-" "what is said"
[ -f "$blob" ] || fail "the file of a package was taken away"
