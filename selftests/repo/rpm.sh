#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# dnf installs from the rpm tree with the repository's signature checked; a tenant's package is
# the tenant's; a wrong key and a flipped byte are refused.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need dnf rpmbuild rpm
repo_begin
make_key

"$REPO" upload "$(make_rpm widget 1.0)" >/dev/null
"$REPO" upload --visible blue "$(make_rpm gadget 2.0)" >/dev/null
expect_eq "$("$REPO" list widget --json | jq -r '.[0] | [.version, .arch, .kind, .filename] | join(" ")')" \
	"1.0-1 noarch rpm widget-1.0-1.noarch.rpm" "what the package says of itself"
publish
tenant_begin blue
blue=$RELAY
tenant_begin red
red=$RELAY

# dnf_in NAME URL ARGUMENTS…
dnf_in() {
	local dir=$LAB/dnf-$1 url=$2
	shift 2
	mkdir -p "$dir"/{root,cache,log,vars,repos}
	[ -e "$dir/key.asc" ] || curl -sSf "$URL/key.asc" >"$dir/key.asc"
	printf '[main]\nreposdir=%s/repos\ncachedir=%s/cache\nlogdir=%s/log\nvarsdir=%s/vars\nplugins=0\nmodule_platform_id=platform:el9\n' \
		"$dir" "$dir" "$dir" "$dir" >"$dir/dnf.conf"
	printf '[sluice]\nname=sluice\nbaseurl=%s/repo/rpm/\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://%s/key.asc\nmetadata_expire=1\n' \
		"$url" "$dir" >"$dir/repos/sluice.repo"
	HOME=$dir dnf -q -y --config "$dir/dnf.conf" --installroot "$dir/root" --releasever 9 --forcearch x86_64 "$@"
}

dnf_in blue "$blue" install widget gadget >"$LAB/dnf.out" 2>&1 || fail "dnf: $(tail -n 20 "$LAB/dnf.out")"
expect_eq "$(cat "$LAB/dnf-blue/root/usr/share/widget/version")" 1.0 "installed"
expect_eq "$(cat "$LAB/dnf-blue/root/usr/share/gadget/version")" 2.0 "the tenant's own, installed"
dnf_in red "$red" install widget >"$LAB/dnf.out" 2>&1 || fail "dnf: $(tail -n 20 "$LAB/dnf.out")"
expect_fails "red installs blue's package" dnf_in red "$red" install gadget

# A new version, after which the old one is gone from the index.
"$REPO" upload "$(make_rpm widget 1.1)" >/dev/null
"$REPO" delete widget 1.0-1 >/dev/null
publish
sleep 1.1
dnf_in blue "$blue" upgrade widget >"$LAB/dnf.out" 2>&1 || fail "upgrade: $(tail -n 20 "$LAB/dnf.out")"
expect_eq "$(cat "$LAB/dnf-blue/root/usr/share/widget/version")" 1.1 "upgraded"
rpm=$(cd "$STATE/published/public/current" && find rpm/packages -name 'widget-1.0*')
expect_eq "$(status_of "$red/repo/$rpm")" 200 "the old package, for clients half-way"

# What red has read the index of is there when its first own package has been published.
primary=rpm/$(curl -sS "$red/repo/rpm/repodata/repomd.xml" | grep -o 'repodata/[^"]*-primary.xml[^"]*')
"$REPO" upload --visible red "$(make_rpm sprocket 1.0)" >/dev/null
publish
[ ! -e "$STATE/published/tenant-red/current/$primary" ] || fail "red's index is the public one"
expect_eq "$(status_of "$red/repo/$primary")" 200 "the public index by its hash"

mkdir -p "$LAB/dnf-stranger"
mkdir -m 700 "$LAB/gpg"
gpg --homedir "$LAB/gpg" --batch --passphrase '' --pinentry-mode loopback --quick-gen-key other@example.org rsa3072 sign never >/dev/null 2>&1
gpg --homedir "$LAB/gpg" --armor --export other@example.org >"$LAB/dnf-stranger/key.asc"
gpgconf --homedir "$LAB/gpg" --kill all
expect_fails "dnf with another key" dnf_in stranger "$red" install widget
