#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Clocks that are years off: a VM's apt and agent, which still install; and the repository's, whose
# relay it then refuses, saying so. What cannot work says why.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
[ -z "${SANITIZE:-}" ] || skip "libfaketime and the sanitizers exclude each other"
need faketime apt-get dpkg
repo_begin
make_key
"$REPO" instruct-key create
"$REPO" instruct-key show >"$LAB/agent.pub"
"$REPO" upload "$(make_deb app 1.0)" "$(make_deb tool 1.0)" >/dev/null
publish
tenant_begin blue vm-1
apt_setup vm "$RELAY"
dir=$LAB/apt-vm
mkdir -p "$dir/root/var/log"

# apt itself: ahead is no matter, since nothing of ours expires; behind, Release is from the future
# and the signature too.
# shellcheck disable=SC2016 # the inner shell expands it
at() { "${WITH_CLOCK[@]}" "$1" bash -c '. "$0"; LAB=$1; shift; apt_in "$@"' "$HERE/repo.sh" "$LAB" "${@:2}"; }
at '+8y' vm update --error-on=any -o Acquire::Check-Date=true >"$LAB/ahead.out" 2>&1 || fail "apt, 8 years ahead: $(cat "$LAB/ahead.out")"
rm -rf "$dir/lists" && mkdir -p "$dir/lists/partial"
expect_fails "apt, 8 years behind" at '-8y' vm update --error-on=any -o Acquire::Check-Date=true
expect_has "$(cat "$LAB/expect.out")" "not valid yet" "why"

# The agent switches that check off: nothing depends on it that the signature does not decide.
cat >"$LAB/apt.conf" <<-CONF
	Dir::Etc "$dir/etc"; Dir::State "$dir"; Dir::State::lists "$dir/lists";
	Dir::State::status "$dir/root/var/lib/dpkg/status"; Dir::Cache "$dir/cache"; Dir::Log "$dir/log";
	APT::Sandbox::User "root"; APT::Architecture "amd64"; APT::Install-Recommends "false";
	Debug::NoLocking "true"; Acquire::Languages "none"; Acquire::Retries "0"; Acquire::Check-Date "true";
CONF
agent_at() {
	APT_CONFIG=$LAB/apt.conf "${WITH_CLOCK[@]}" "$1" "$BUILD/sluice-agent" --url "$RELAY" --state "$LAB/agent" --instance vm-1 \
		--sources "$dir/etc/sources.list" --root "$dir/root" --key "$LAB/agent.pub" --once >"$LAB/agent.log" 2>&1
}
instruct() { "$REPO" instruct --tenant blue --instance vm-1 "$@" >/dev/null; }
instruct install app
agent_at '-8y' || fail "the agent, 8 years behind: $(cat "$LAB/agent.log")"
expect_eq "$("$REPO" instructions --json | jq -r '.[0] | .state + .message')" "done" "8 years behind"
expect_eq "$(cat "$dir/root/usr/share/app/version")" 1.0 "installed"

# Ahead, each instruction has expired: the operator hears it at once, with what the clock says.
instruct install tool
agent_at '+8y' || fail "the agent, 8 years ahead: $(cat "$LAB/agent.log")"
expect_eq "$("$REPO" instructions --json | jq -r '.[0].state')" failed "8 years ahead"
expect_has "$("$REPO" instructions --json | jq -r '.[0].message')" "this VM's clock is wrong: it says $(date -d '+8 years' +%Y)" "the reason"
instruct install tool
agent_at '+0' || fail "the agent, its clock right again: $(cat "$LAB/agent.log")"
expect_eq "$(cat "$dir/root/usr/share/tool/version")" 1.0 "installed when told again"

# The repository's own clock: signatures of relays are from another time, nothing else suffers.
repo_stop
start repod "${WITH_CLOCK[@]}" '-2h' "$REPOD" --config "$CONF"
wait_for 10 "sluice-repod listens" curl -sf --unix-socket "$SOCK" $B/v1/status
expect_eq "$(status_of "$RELAY/repo/v1/packages")" 403 "a relay whose clock is another"
expect_has "$(cat "$LAB/repod.log")" "the time is more than 60 seconds off" "the reason, in the repository's log"
"$REPO" upload "$(make_deb late 1.0)" >/dev/null || fail "an upload"
publish || fail "publishing with a clock that went back"
