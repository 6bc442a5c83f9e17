#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# The agent of a VM that has dnf: installs into a root of its own from the signed rpm tree, with
# percent, a reason for what fails, removal and upgrade; killed in the middle, it goes on.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need dnf rpmbuild rpm
repo_begin
make_key
"$REPO" instruct-key create
"$REPO" instruct-key show >"$LAB/agent.pub"
"$REPO" upload "$(make_rpm widget 1.0)" "$(make_rpm gadget 2.0)" >/dev/null
publish
tenant_begin blue vm-1

root=$LAB/root
mkdir -p "$root/etc/yum.repos.d" "$root/etc/dnf"
curl -sSf "$URL/key.asc" >"$root/etc/sluice.asc"
printf '[main]\nmodule_platform_id=platform:el9\nplugins=0\ngpgcheck=0\n' >"$root/etc/dnf/dnf.conf"
repo_file() {
	printf '[sluice]\nname=sluice\nbaseurl=%s/repo/rpm/\ngpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://%s/etc/sluice.asc\n' \
		"$1" "$root" >"$root/etc/yum.repos.d/sluice.repo"
}
repo_file "$RELAY"
# A second repository, which would have to be asked: the agent must not.
printf '[other]\nname=other\nbaseurl=http://127.0.0.1:1/\ngpgcheck=0\nenabled=1\n' >"$root/etc/yum.repos.d/other.repo"
agent_args=(--url "$RELAY" --state "$LAB/agent" --instance vm-1 --root "$root" --manager dnf --key "$LAB/agent.pub" --wait 20)
export HOME=$LAB
start agent "$BUILD/sluice-agent" "${agent_args[@]}"
instruct() { "$REPO" instruct --tenant blue --instance vm-1 --timeout $((90 * PATIENCE)) "$@"; }
told() { instruct --watch "$@" >"$LAB/watch.out" 2>&1 || fail "$*: $(cat "$LAB/watch.out"; "$REPO" instructions --log | tail -n 20)"; }
version_of() { cat "$root/usr/share/$1/version" 2>/dev/null || echo none; }

told install widget gadget
expect_eq "$(version_of widget) $(version_of gadget)" "1.0 2.0" "installed"
# Posted, not watched: two small packages may be done between two looks of --watch.
grep -Eq '^posted .*"percent": ?[1-9][0-9]?[,}]' "$LAB"/relay-*.log || fail "no percentage was posted: $(cat "$LAB"/relay-*.log)"
told install widget
expect_fails "a package that is not there" instruct --watch install no-such-package
expect_has "$("$REPO" instructions --log)" "no-such-package" "the reason"
"$REPO" upload "$(make_rpm widget 1.1)" >/dev/null
publish
told upgrade
expect_eq "$(version_of widget)" 1.1 "upgraded, though dnf had read the older index a moment ago"
told remove gadget
expect_eq "$(version_of gadget)" none "removed"

say "killed in the middle"
repo_file "$RELAY/!slow"
instruct install gadget >/dev/null
running() { [ "$("$REPO" instructions --json | jq -r '.[0].state')" = running ]; }
wait_for 30 "the installation to begin" running
pid=$(pid_of agent)
children=$(children_of "$pid")
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
forget agent
for child in $children; do kill -KILL -- "-$child" 2>/dev/null || true; done
repo_file "$RELAY"
"$BUILD/sluice-agent" "${agent_args[@]}" --once >"$LAB/once.log" 2>&1 || fail "after a kill"
expect_eq "$(version_of gadget)" 2.0 "gone on with"
expect_eq "$("$REPO" instructions --json | jq -r '.[0].state')" "done" "what the operator sees"
