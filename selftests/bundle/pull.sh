#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# A bundle on its way: over HTTP with the server gone in the middle, killed anywhere, parts on a
# stick, deltas, full disks. What has arrived is kept, and verified before it counts.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
need curl mount
APP_SIZE=6000000 bundle_begin
end() {
	local status=$?
	set +e
	trap - ERR
	umount "$LAB/small" 2>/dev/null
	(exit $status)
	lab_end
}
trap end EXIT
make_bundle one.sluice
mkdir web && cp one.sluice web/
size=$(stat -c %s one.sluice)

pull() { "$BUNDLE" pull --keys ops.pub "$@"; }
# served FIRST: bytes the server sent since the line FIRST of its log
served() { tail -n "+$1" web/served | awk '{ n += $1 } END { print n + 0 }'; }

# The server gives up half-way; the next pull goes on and fetches no more than the rest.
serve half web 3000000
expect_exit 1 "a server that gives up" "$BUNDLE" pull --keys ops.pub --tries 1 "$WEB/one.sluice" store
said "pull again" "what to do"
[ ! -e store/index.json ] || fail "half a bundle counts as one"
[ "$(find store/partial -type f -size +0 | wc -l)" = 1 ] || fail "nothing was kept"
before=$(wc -l <web/served)
serve whole web
pull "$WEB/one.sluice" store >/dev/null
expect_le "$(served $((before + 1)))" $((size - 2000000)) "bytes fetched by the second pull"
verify store >/dev/null
expect_eq "$(find store/partial -type f | wc -l)" 0 "left in partial/"
"$BUNDLE" join store -o joined.sluice >/dev/null
cmp one.sluice joined.sluice || fail "what was pulled is not what was there"

# What is there is not fetched again, and not believed either.
before=$(wc -l <web/served)
pull "$WEB/one.sluice" store >/dev/null
expect_le "$(served $((before + 1)))" 1500000 "bytes fetched when all is there"
blob=$(find store/blobs -type f -size +5M)
printf '\377' | dd of="$blob" bs=1 seek=1000 conv=notrunc status=none
pull --json "$WEB/one.sluice" store >out.json
expect_eq "$(jq .blobs_fetched out.json)" 1 "blobs fetched again after one was damaged"
verify store >/dev/null

# A partial file with garbage in it costs one more round, not the pull.
name=$(basename "$blob")
rm "$blob"
head -c 100000 /dev/urandom >"store/partial/$name"
pull "$WEB/one.sluice" store >/dev/null
verify store >/dev/null

# Killed anywhere, it goes on.
for i in 1 2 3 4 5; do
	rm -rf killed.new
	start "kill$i" "$BUNDLE" pull --keys ops.pub "$WEB/one.sluice" killed
	pid=$(pid_of "kill$i")
	sleep "0.0$((i * 2))"
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	forget "kill$i"
	[ ! -e killed/index.json ] || verify killed >/dev/null || fail "killed, and not what it says"
done
pull "$WEB/one.sluice" killed >/dev/null
verify killed >/dev/null

# The file changes meanwhile: refused or whole, never mixed.
expect_fails "a file that is not there" "$BUNDLE" pull --keys ops.pub --tries 1 "$WEB/nothing" store2
[ ! -e store2 ] || fail "a pull of nothing left something"

# A stick: FAT's largest file, in small.
"$BUNDLE" split one.sluice --size 2 >/dev/null
expect_eq "$(find . -maxdepth 1 -name 'one.sluice.0*' | wc -l)" 3 "parts"
mkdir stick && mv one.sluice.00? stick/
cat stick/* | cmp - one.sluice || fail "cat does not join the parts"
verify stick/one.sluice >/dev/null
verify stick/one.sluice.001 >/dev/null
pull stick/one.sluice fromstick >/dev/null
verify fromstick >/dev/null
mv stick/one.sluice.002 kept
expect_exit 1 "a part missing" "$BUNDLE" verify --keys ops.pub stick/one.sluice
said "one.sluice.002 is missing" "the part is named"
head -c 1000000 kept >stick/one.sluice.002
expect_exit 3 "a part cut" "$BUNDLE" verify --keys ops.pub stick/one.sluice
said "one.sluice.002 is not as large" "the part is named"
mv kept stick/one.sluice.002
mv stick/one.sluice.003 kept
expect_exit 3 "the last part missing" "$BUNDLE" verify --keys ops.pub stick/one.sluice
said "truncated" "the last part"
"$BUNDLE" create --key ops.key --split 2 -o parts.sluice bundle.yaml >/dev/null
cat parts.sluice.00? | cmp - one.sluice || fail "create --split made another bundle"

# A delta: small, useless alone, whole with what was there before.
sed 's/^version: 1/version: 2/; s/packages: \[lib\]/packages: [lib, other]/' bundle.yaml >two.yaml
make_bundle two.sluice two.yaml
"$BUNDLE" diff --json one.sluice two.sluice >diff.json
expect_eq "$(jq -r '[.items[] | .name + " " + .change] | join(",")' diff.json)" "store changed" "diff: items"
"$BUNDLE" delta one.sluice two.sluice -o delta.sluice >/dev/null
expect_le "$(stat -c %s delta.sluice)" 100000 "size of the delta"
expect_exit 3 "a delta alone" "$BUNDLE" verify --keys ops.pub delta.sluice
expect_exit 3 "a delta into nothing" "$BUNDLE" pull --keys ops.pub delta.sluice nothing
said "delta needs" "what it needs"
verify --base one.sluice delta.sluice >/dev/null
"$BUNDLE" join --base one.sluice delta.sluice -o joined.sluice >/dev/null
cmp joined.sluice two.sluice || fail "base and delta are not the new bundle"
pull delta.sluice store >/dev/null
expect_has "$(verify store)" "version 2" "after the delta"
expect_eq "$(find store/blobs -type f | wc -l)" "$(tar tf two.sluice | grep -c blobs/)" "blobs kept: those of version 2"

# Full disks: said before anything is written where that can be known, and nothing half is left.
mkdir small && mount -t tmpfs -o size=3m sluice-test small
status=0
"$BUNDLE" pull --keys ops.pub one.sluice small/store >out 2>&1 || status=$?
expect_eq "$status" 1 "pull to a full disk"
expect_has "$(cat out)" "MiB are free" "why it was refused"
"$BUNDLE" join one.sluice -o small/copy >out 2>&1 && fail "join to a full disk"
cp ops.* small/
(cd small && "$BUNDLE" create --key ops.key -o x.sluice "$LAB/bundle.yaml") >out 2>&1 && fail "create on a full disk"
ls small/*.sluice* small/*.partial >left 2>/dev/null && fail "left on the full disk: $(cat left)"
umount small
# A disk that is full only later: nothing half, and a pull that goes on.
(ulimit -f 3000 && "$BUNDLE" join one.sluice -o late.sluice) >out 2>&1 && fail "join beyond the limit"
expect_has "$(cat out)" "late.sluice: File too large" "why join stopped"
[ -z "$(ls -d late.sluice* 2>/dev/null)" ] || fail "half a bundle stayed"
(ulimit -f 3000 && pull one.sluice late) >out 2>&1 && fail "pull beyond the limit"
expect_has "$(cat out)" "File too large" "why pull stopped"
[ ! -e late/index.json ] || fail "half a pull counts"
expect_ge "$(pull --json one.sluice late | jq .bytes_resumed)" 3000000 "bytes gone on with"
verify late >/dev/null
