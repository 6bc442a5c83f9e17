#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# The whole way for a bare VM, with real packages and through the BPF programs and the relay: user
# data brings keys and nothing else; the agent and what it depends on come from the signed tree by the
# VM's own apt; its service starts by itself, follows instructions, installs and removes a Debian
# package, upgrades itself without being cut, and removes itself. A neighbour that plays the
# repository gets nowhere.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/guest.sh
. "$(dirname "$0")/../lib/guest.sh"
[ -z "${SANITIZE:-}" ] || skip "packages are not made of sanitized programs"
need nginx dh fakeroot apt-get
repo_begin
version=$(cat "$TOP/VERSION")

say "packages"
debian_packages hello hello libjansson4
OUT=$LAB/deb PREBUILT=$BUILD "$TOP/scripts/make_deb" >"$LAB/deb.log" || fail "make_deb"
agent=$LAB/deb/sluice-agent_${version}_$(dpkg --print-architecture).deb
dpkg-deb -R "$agent" "$LAB/next"
sed -i "s/^Version: .*/Version: $version+next/" "$LAB/next/DEBIAN/control"
dpkg-deb --root-owner-group -b "$LAB/next" "$LAB/sluice-agent-next.deb" >/dev/null
make_key
"$REPO" instruct-key create
"$REPO" upload "${DEBS[@]}" "$agent" >/dev/null
publish

say "a bare VM"
make_management
make_tenant blue
# shellcheck disable=SC2034 # sluice_yaml uses both
SERVICES_YAML="- name: repo
  identity: sluice
  secret_file: $LAB/secret
  origins: [{address: \"unix:$LAB/tenants.sock\"}]"
# shellcheck disable=SC2034
ROUTES_YAML="- {path: /repo, service: repo}
- {path: /sluice, service: repo, methods: [GET, HEAD, POST]}"
bind_instance blue vm-1
start_sluiced
attach blue
make_guest blue
guest_lacks hello libjansson4 sluice-agent
guest sh -c 'rm -f /usr/bin/hello /usr/lib/*/libjansson.so.4*'

# few_tries N: of user data on standard input; whoever tests does not wait five minutes
few_tries() { sed "s/tries -lt 30/tries -lt $1/"; }

say "a neighbour that plays the repository"
# Its tree is signed, but by another key: what the VM has got from its user data decides.
"$REPO" user-data --tenant blue --instance vm-1 >"$LAB/user-data"
mkdir -m 700 "$LAB/gpg"
gpg --homedir "$LAB/gpg" --batch --passphrase '' --pinentry-mode loopback --quick-gen-key other@example.org rsa3072 sign never >/dev/null 2>&1
gpg --homedir "$LAB/gpg" --armor --export other@example.org >"$LAB/other.asc"
gpgconf --homedir "$LAB/gpg" --kill all
awk -v other="$LAB/other.asc" '/BEGIN PGP/ { while ((getline line <other) > 0) print line; skip = 1 }
	!skip { print } /END PGP/ { skip = 0 }' "$LAB/user-data" |
	few_tries 1 | guest_write /root/other-data
expect_fails "user data with another key" guest sh /root/other-data
expect_has "$(cat "$LAB/expect.out")" "NO_PUBKEY" "why"
guest test ! -e /usr/sbin/sluice-agent || fail "an agent was installed all the same"

say "user data"
few_tries 2 <"$LAB/user-data" | guest_write /root/user-data
guest sh /root/user-data >"$LAB/user-data.log" 2>&1 || fail "user data: $(tail -n 20 "$LAB/user-data.log")"
pid() { guest cat /run/sluice-agent.pid; }
online() { [ "$("$REPO" instructions --json --limit 1 2>/dev/null | jq -r '.[0].online')" = true ]; }
instruct() { "$REPO" instruct --tenant blue --instance vm-1 "$@"; }
# shellcheck disable=SC2016 # dpkg-query expands it
guest_version() { guest dpkg-query -W -f '${Version}' "$1"; }
# shellcheck disable=SC2016
guest_state() { guest dpkg-query -W -f '${db:Status-Status}' "$1"; }
agent_log() { host cat /var/log/sluice-agent.log 2>/dev/null | tail -n 20; }
told() { instruct --watch --timeout 120 "$@" >"$LAB/watch.out" 2>&1 || fail "$*: $(cat "$LAB/watch.out"); $(agent_log)"; }
alive "$(pid)" || fail "the agent's service did not start: $(agent_log)"
told install hello
expect_eq "$(guest hello)" "Hello, world!" "what was installed"
grep -q '^running [0-9]* %' "$LAB/watch.out" || fail "no percentage was seen: $(cat "$LAB/watch.out")"
told remove hello
guest test ! -e /usr/bin/hello || fail "it is still there"

say "the agent upgrades itself"
before=$(pid)
"$REPO" upload "$LAB/sluice-agent-next.deb" >/dev/null
publish
told upgrade
expect_eq "$(guest_version sluice-agent)" "$version+next" "the agent's version"
expect_eq "$(pid)" "$before" "its process"
became() { [ "$(host readlink "/proc/$before/exe")" = /usr/sbin/sluice-agent ]; }
wait_for 10 "the new program to run" became
told install hello

say "the agent removes itself"
told remove sluice-agent
gone() { ! alive "$before"; }
wait_for 20 "the agent to end" gone
expect_eq "$(guest_state sluice-agent)" config-files "the package"
expect_eq "$("$REPO" report --tenant blue --json | jq -c '.instances[] | [.instance, .done, .failed, .pending]')" \
	'["vm-1",5,0,0]' "the report"
stop_sluiced
