#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# Unmodified apt against what is published: install, upgrade, half-way clients, resumption,
# a flipped byte, a wrong key, a stale signature. Nothing of this machine's apt is touched.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need apt-get dpkg
REPO_CONF="publish: {grace: 600}" repo_begin

expect_eq "$(api_status /v1/publish -X POST -d '{}')" 409 "publish without a key"
make_key
"$REPO" upload "$(make_deb base 1.0)" "$(make_deb app 1.0 200000 'base (>= 1.0)')" >/dev/null
publish
tenant_begin blue
apt_setup vm "$RELAY"

apt_update vm >"$LAB/update.out" 2>&1 || fail "apt-get update: $(cat "$LAB/update.out")"
apt_in vm install app >"$LAB/install.out" 2>&1 || fail "apt-get install: $(cat "$LAB/install.out")"
expect_eq "$(cat "$LAB/apt-vm/root/usr/share/app/version")" 1.0 "installed version"
expect_eq "$(cat "$LAB/apt-vm/root/usr/share/base/version")" 1.0 "installed dependency"

# Nothing changed: nothing is published, and apt hits its cache.
expect_has "$("$REPO" publish)" "nothing changed" "publish again"
apt_update vm >"$LAB/update.out" 2>&1
expect_has "$(cat "$LAB/update.out")" "Hit:1" "second update"

# A client that read the old InRelease finishes after publish and delete.
apt_setup halfway "$RELAY"
apt_update halfway >/dev/null 2>&1
release=$(curl -sS "$RELAY/repo/apt/dists/stable/InRelease")
old_index=$(printf '%s' "$release" | awk '/^SHA256:/ { on = 1; next } /^[^ ]/ { on = 0 } on && /Packages.xz/ { print $1 }')
"$REPO" upload "$(make_deb app 2.0 200000 'base (>= 1.0)')" >/dev/null
"$REPO" delete app 1.0 >/dev/null
publish
expect_eq "$(curl -sS "$RELAY/repo/apt/dists/stable/main/binary-amd64/by-hash/SHA256/$old_index" | sha256sum | cut -c 1-64)" "$old_index" "the old index by its hash"
apt_in halfway install app >"$LAB/halfway.out" 2>&1 || fail "half-way client: $(cat "$LAB/halfway.out")"
expect_eq "$(cat "$LAB/apt-halfway/root/usr/share/app/version")" 1.0 "what a half-way client installs"
apt_update vm >/dev/null 2>&1
apt_in vm upgrade >"$LAB/upgrade.out" 2>&1 || fail "apt-get upgrade: $(cat "$LAB/upgrade.out")"
expect_eq "$(cat "$LAB/apt-vm/root/usr/share/app/version")" 2.0 "upgraded version"

# Every hash listed has its by-hash file.
release=$(curl -sS "$RELAY/repo/apt/dists/stable/InRelease")
expect_has "$release" "Acquire-By-Hash: yes" "InRelease"
case $release in *Valid-Until*) fail "Valid-Until is there" ;; esac
listed=0
while read -r kind hash path; do
	expect_eq "$(status_of "$RELAY/repo/apt/dists/stable/${path%/*}/by-hash/$kind/$hash")" 200 "by-hash $kind $path"
	listed=$((listed + 1))
done < <(printf '%s\n' "$release" | awk '/^SHA[0-9]+:/ { kind = substr($1, 1, length($1) - 1); next } /^[^ ]/ { kind = "" } kind { print kind, $1, $3 }')
expect_ge $listed 6 "hashes listed"
curl -sS "$RELAY/repo/apt/dists/stable/Release" >"$LAB/Release"
curl -sS "$RELAY/repo/apt/dists/stable/Release.gpg" >"$LAB/Release.gpg"
gpgv --keyring "$LAB/apt-vm/key.gpg" "$LAB/Release.gpg" "$LAB/Release" 2>"$LAB/gpgv.out" || fail "Release.gpg: $(cat "$LAB/gpgv.out")"

# Cut in the middle of a package: apt keeps the part and goes on.
"$REPO" upload "$(make_deb large 1.0 3000000)" >/dev/null
publish
apt_setup cut "$RELAY"
sed -i "s,$RELAY/,$RELAY/!cut/1000000/," "$LAB/apt-cut/etc/sources.list"
apt_update cut >/dev/null 2>&1
expect_fails "a cut download" apt_in cut -d install large
expect_eq "$(stat -c %s "$LAB"/apt-cut/cache/archives/partial/*.deb)" 1000000 "what apt kept"
mkdir -p "$LAB/apt-cut/keep" && cp "$LAB"/apt-cut/cache/archives/partial/*.deb "$LAB/apt-cut/keep/"
sed -i "s,/!cut/1000000/,/," "$LAB/apt-cut/etc/sources.list"
apt_update cut >/dev/null 2>&1
apt_in cut install large >"$LAB/resume.out" 2>&1 || fail "apt did not go on: $(cat "$LAB/resume.out")"
expect_eq "$(cat "$LAB/apt-cut/root/usr/share/large/version")" 1.0 "installed after a cut"

# A flipped byte is caught by apt, in a package and in an index.
apt_setup flip "$RELAY"
apt_update flip >/dev/null 2>&1
sed -i "s,$RELAY/,$RELAY/!flip/," "$LAB/apt-flip/etc/sources.list"
expect_fails "update with a flipped byte" apt_update flip
apt_setup flip2 "$RELAY/!flip"
expect_fails "first update with a flipped byte" apt_update flip2

# A key that is not the repository's.
mkdir -m 700 "$LAB/gpg"
gpg --homedir "$LAB/gpg" --batch --passphrase '' --pinentry-mode loopback --quick-gen-key other@example.org rsa3072 sign never >/dev/null 2>&1
gpg --homedir "$LAB/gpg" --export other@example.org >"$LAB/other.gpg"
gpgconf --homedir "$LAB/gpg" --kill all
apt_setup stranger "$RELAY"
cp "$LAB/other.gpg" "$LAB/apt-stranger/key.gpg"
expect_fails "update with another key" apt_update stranger

# Rotation: a second key signs as well; who trusts only the first still updates.
"$REPO" key create --name "second key" >/dev/null
publish
apt_update vm >"$LAB/update.out" 2>&1 || fail "after a key was added: $(cat "$LAB/update.out")"
first=$("$REPO" key show | head -n 1)
"$REPO" key retire "$first" >/dev/null
publish
expect_fails "only the new key signs" apt_update vm
curl -sSf "$URL/key.gpg" >"$LAB/apt-vm/key.gpg"
apt_update vm >"$LAB/update.out" 2>&1 || fail "with the new key: $(cat "$LAB/update.out")"

# After the grace period the old ones are gone.
repo_stop
repo_config "publish: {grace: 1}"
repo_start
sleep 1.1
publish
expect_eq "$(status_of "$RELAY/repo/apt/dists/stable/main/binary-amd64/by-hash/SHA256/$old_index")" 404 "the old index after the grace period"
expect_eq "$(find "$STATE/published" -name '*app_1.0*' -path '*current*' | wc -l)" 0 "old packages"
