#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# Many tenants with packages of their own: publishing one public package costs each of their trees
# its own indices and signature, not every public package once more. What apt and dnf read there is
# public and own, in one index, and public packages come though the tenant's tree does not hold them.
# TENANTS=200 V=1 selftests/repo/publish_many.sh prints figures.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need apt-get dpkg
TENANTS=${TENANTS:-12} PUBLIC=${PUBLIC:-40}
repo_begin
make_key

for n in $(seq "$PUBLIC"); do make_deb "common$n" 1.0 2000 >/dev/null; done
"$REPO" upload --quiet "$LAB"/debs/common*.deb >/dev/null
for n in $(seq "$TENANTS"); do
	"$REPO" upload --quiet --visible "t$n" "$(make_deb "own$n" 1.0)" >/dev/null
done
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b - a }'; }
begin=$EPOCHREALTIME
publish
say "first publish of $TENANTS tenants, $PUBLIC public packages: $(seconds "$begin" "$EPOCHREALTIME") s"
"$REPO" upload --quiet "$(make_deb one 1.0)" >/dev/null
begin=$EPOCHREALTIME
publish
say "one more public package: $(seconds "$begin" "$EPOCHREALTIME") s"
expect_le "$(find -L "$STATE/published/tenant-t1/current/" -name '*.deb' | wc -l)" 1 "packages in a tenant's tree"

# Public and own, through the tenant's own tree.
tenant_begin t1
apt_setup t1 "$RELAY"
apt_update t1 >"$LAB/update.out" 2>&1 || fail "update: $(cat "$LAB/update.out")"
apt_in t1 install own1 one common3 >"$LAB/install.out" 2>&1 || fail "install: $(cat "$LAB/install.out")"
for name in own1 one common3; do
	expect_eq "$(cat "$LAB/apt-t1/root/usr/share/$name/version")" 1.0 "$name"
done
expect_fails "another tenant's" apt_in t1 install own2
at=$RELAY/repo/apt/dists/stable/main/binary-amd64
curl -sS -o "$LAB/index" "$at/Packages"
expect_eq "$(grep -c '^Package: ' "$LAB/index")" $((PUBLIC + 2)) "packages in the index"
curl -sS "$at/Packages.gz" | gzip -d | cmp - "$LAB/index" || fail "the compressed index is another"

# A publish touches those who see something else than before, and makes no own part twice.
generations() { "$REPO" publish --show --json | jq -r '.views[] | "\(.view) \(.generation)"' | sort; }
inode() { stat -c %i "$STATE/published/tenant-$1/current/$2"; }
generations >"$LAB/before"
"$REPO" upload --quiet --visible t5 "$(make_deb another 1.0)" >/dev/null
begin=$EPOCHREALTIME
publish
say "one tenant's package: $(seconds "$begin" "$EPOCHREALTIME") s"
expect_eq "$(generations | comm -13 "$LAB/before" - | cut -d ' ' -f 1)" tenant-t5 "views that a tenant's package changed"
part=$(inode t6 own-amd64)
"$REPO" upload --quiet "$(make_deb two 1.0)" >/dev/null
publish
expect_eq "$(inode t6 own-amd64)" "$part" "a tenant's own part, after a public package came"
expect_eq "$(curl -sS "$RELAY/repo/apt/dists/stable/main/binary-amd64/Packages" | sed -n 's/^Package: //p' | grep -cx 'two\|own1')" 2 \
	"the public package and its own in a tenant's index"

# Who sees the same shares the files of it, but not what one of them saw before.
for n in 3 4; do
	"$REPO" visibility "own$n" none >/dev/null
	"$REPO" upload --quiet --visible "t$n" "$(make_deb "only-t$n" 1.0)" >/dev/null
done
publish
"$REPO" upload --quiet --visible t3,t4 "$(make_deb shared 1.0)" >/dev/null
for n in 3 4; do "$REPO" delete "only-t$n" 1.0 >/dev/null; done
publish
release=apt/dists/stable/InRelease
expect_eq "$(inode t3 $release)" "$(inode t4 $release)" "the index of two that see the same"
expect_ne "$(inode t5 $release)" "$(inode t6 $release)" "the index of two that do not"
gpgv --keyring "$STATE/key.gpg" "$STATE/published/tenant-t4/current/$release" >/dev/null 2>&1 || fail "the shared index's signature"
for n in 3 4; do
	tree=$STATE/published/tenant-t$n/current
	(cd "$tree/apt/dists/stable" && awk '/^SHA256:/ { on = 1; next } /^[^ ]/ { on = 0 } on { print $1 "  " $3 }' Release |
		sha256sum --quiet -c -) || fail "the index of t$n is not whole"
	grep -rqs "^Package: only-t$n\$" "$tree/apt/dists" || fail "clients of t$n that are half-way find their index no more"
	! grep -rqs "only-t$((7 - n))" "$tree" || fail "t$n reads what only t$((7 - n)) could see"
done

# gpg works beside the building of views: when it fails, nothing is switched, and nothing is left.
generations >"$LAB/before"
"$REPO" upload --quiet "$(make_deb three 1.0)" >/dev/null
mv "$STATE/gnupg/private-keys-v1.d" "$LAB/keys-away"
expect_fails "publishing without the secret key" "$REPO" publish
expect_has "$(cat "$LAB/expect.out")" "gpg:" "what is said"
expect_eq "$(generations)" "$(cat "$LAB/before")" "what is published"
expect_eq "$(find "$STATE/published" -mindepth 2 -maxdepth 2 -name .new)" "" "trees left half built"
rm -rf "$STATE/gnupg/private-keys-v1.d"
mv "$LAB/keys-away" "$STATE/gnupg/private-keys-v1.d"
publish
expect_eq "$(generations | comm -12 "$LAB/before" - | wc -l)" 0 "views that are as before, once it works again"

# A public package becomes the tenant's alone, and public again: nobody reads half of it.
"$REPO" visibility common3 t1 >/dev/null
publish
apt_update t1 >/dev/null 2>&1
apt_in t1 --reinstall install common3 >"$LAB/install.out" 2>&1 || fail "its own now: $(cat "$LAB/install.out")"
tenant_begin t2
apt_setup t2 "$RELAY"
apt_update t2 >/dev/null 2>&1
expect_fails "no longer public" apt_in t2 install common3
"$REPO" visibility common3 public >/dev/null
publish
apt_update t2 >/dev/null 2>&1
apt_in t2 install common3 >/dev/null 2>&1 || fail "public again"

# The last of its own goes: the tenant reads the public tree, whose index is another one.
"$REPO" visibility own1 none >/dev/null
publish
apt_update t1 >"$LAB/update.out" 2>&1 || fail "update: $(cat "$LAB/update.out")"
if grep -qs '^Package: own1$' "$LAB"/apt-t1/lists/*Packages*; then
	fail "apt still reads of what it may see no longer"
fi
