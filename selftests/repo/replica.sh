#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 200
#
# More than one machine: what is published goes to a second node by rsync and is served there by a
# real nginx, as another origin of the same service. VMs install through both; one that is cut off
# its origin in mid-package goes on from the other; with the repository down they install from the
# replica, uploads say so and go on when it is back; a publish during replication breaks nobody.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need rsync nginx apt-get dpkg
[ -x "$BUILD/sluiced" ] || skip "$BUILD/sluiced is not built"
repo_begin
make_key
"$REPO" upload "$(make_deb one 1.0)" "$(make_deb large 1.0 6000000)" >/dev/null
publish

make_management
make_tenant blue
# As docs/repository.md has it: links kept, what "current" leads to before "current" itself.
replicate() {
	rsync -aH --exclude=/current --exclude='/.*' "$STATE/published/public/" "$LAB/replica/" &&
		rsync -aH --delete-after --exclude='/.*' "$STATE/published/public/" "$LAB/replica/"
}
mkdir -p "$LAB/replica" "$LAB/mirror"
replicate
# The tree holds hard links to blobs, readable by all; the directories above it are the lab's.
cat >"$LAB/mirror/conf" <<-CONF
	daemon off;
	user root;
	worker_processes 1;
	pid $LAB/mirror/pid;
	error_log $LAB/mirror-error.log warn;
	events { }
	http {
		access_log $LAB/mirror/access;
		client_body_temp_path $LAB/mirror/body;
		proxy_temp_path $LAB/mirror/proxy;
		server {
			listen 80;
			location /repo/apt/ { alias $LAB/replica/current/apt/; }
			location /repo/rpm/ { alias $LAB/replica/current/rpm/; }
		}
	}
CONF
start mirror in_ns mgmt nginx -e "$LAB/mirror-error.log" -c "$LAB/mirror/conf"
wait_for 5 "nginx" in_ns mgmt curl -sf -o /dev/null http://127.0.0.1/repo/apt/dists/stable/InRelease
# shellcheck disable=SC2034 # sluice_yaml uses both
SERVICES_YAML="- name: trees
  identity: sluice
  secret_file: $LAB/secret
  pool_size: 0
  origins: [{address: \"unix:$LAB/tenants.sock\"}, {address: \"tcp:$MGMT_IP:80\"}]
- name: repo
  identity: sluice
  secret_file: $LAB/secret
  origins: [{address: \"unix:$LAB/tenants.sock\"}]"
# shellcheck disable=SC2034
ROUTES_YAML="- {path: /repo, service: repo}
- {path: /repo/apt, service: trees}
- {path: /repo/rpm, service: trees}"
start_sluiced
attach blue
M=http://169.254.169.254
vm() { nsenter --net="$(ns_path blue-vm)" -- "$@"; }
# shellcheck disable=SC2016 # the inner shell expands it
apt_vm() { vm bash -c '. "$0"; LAB=$1; shift; apt_in vm "$@"' "$HERE/repo.sh" "$LAB" "$@"; }
apt_setup vm "$M"
asked_mirror() { wc -l <"$LAB/mirror/access"; }

say "both serve the same"
apt_vm update --error-on=any >"$LAB/update.out" 2>&1 || fail "update: $(cat "$LAB/update.out")"
apt_vm install one >"$LAB/install.out" 2>&1 || fail "install: $(cat "$LAB/install.out")"
pool=$(cd "$STATE/published/public/current" && find apt/pool -name 'large*')
dates() { curl -sSI "$@" | tr -d '\r' | sed -n 's/^Last-Modified: //p'; }
expect_eq "$(in_ns mgmt curl -sSI "http://127.0.0.1/repo/$pool" | tr -d '\r' | sed -n 's/^Last-Modified: //p')" \
	"$(dates "$URL/repo/$pool")" "a package's date on both: If-Range holds across them"
for _ in 1 2 3 4 5 6 7 8; do
	vm curl -sSf -o "$LAB/got" "$M/repo/$pool" || fail "a package"
	cmp "$LAB/got" "$LAB/debs/large_1.0_all.deb"
done

say "the repository goes down in mid-package"
start slow in_ns blue-vm curl -sS --limit-rate 2M -o "$LAB/part" "$M/repo/$pool"
begun() { [ -s "$LAB/part" ]; }
wait_for 10 "the download to begin" begun
repo_kill
collect slow || true # cut, if it came from there
before=$(asked_mirror)
vm curl -sSf -C - -o "$LAB/part" "$M/repo/$pool" || cmp "$LAB/part" "$LAB/debs/large_1.0_all.deb"
cmp "$LAB/part" "$LAB/debs/large_1.0_all.deb" || fail "gone on from the other origin"
rm -rf "$LAB/apt-vm/lists" && mkdir -p "$LAB/apt-vm/lists/partial"
apt_vm update --error-on=any >"$LAB/update.out" 2>&1 || fail "update from the replica: $(cat "$LAB/update.out")"
apt_vm install large >"$LAB/install.out" 2>&1 || fail "install from the replica: $(cat "$LAB/install.out")"
[ "$(asked_mirror)" -gt "$before" ] || fail "the replica was not asked"
expect_fails "an upload while the only writer is down" "$REPO" upload --tries 1 "$(make_deb two 1.0)"
repo_start
"$REPO" upload "$LAB/debs/two_1.0_all.deb" >/dev/null || fail "the upload, when it is back"

say "published here, replicated later"
"$REPO" delete one 1.0 >/dev/null
publish
# A VM may read either tree, older or newer: whole in itself, and what it names can be fetched.
for n in 1 2 3 4; do
	apt_vm update --error-on=any >"$LAB/update.out" 2>&1 || fail "update between the two: $(cat "$LAB/update.out")"
	[ "$n" != 2 ] || replicate
done
apt_vm update --error-on=any >/dev/null 2>&1
apt_vm install two >"$LAB/install.out" 2>&1 || fail "the new package: $(cat "$LAB/install.out")"
gpgv --keyring "$STATE/key.gpg" "$LAB/replica/current/apt/dists/stable/InRelease" >/dev/null 2>&1 || fail "the replica's signature"

say "replicated while it is published"
for n in 1 2 3; do
	"$REPO" upload "$(make_deb "more$n" 1.0)" >/dev/null
	replicate & job=$!
	publish
	wait $job || true # a generation that went away meanwhile: the next run has it
	replicate
	(cd "$LAB/replica/current/apt/dists/stable" && awk '/^SHA256:/ { on = 1; next } /^[^ ]/ { on = 0 } on { print $1 "  " $3 }' Release |
		sha256sum --quiet -c -) || fail "the replica is not whole"
done
stop_sluiced
