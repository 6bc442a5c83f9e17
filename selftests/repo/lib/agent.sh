# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A VM for sluice-agent, vm-1 of tenant blue, whose apt-get works in directories of its own: nothing
# of this machine is touched. Source it after repo.sh.
#
#   agent_begin           needs repo_begin, a key, published packages; $AGENT, $agent_args, $dir, $RELAY
#   instruct, states      orders for that VM, and what the operator sees of them
#   installed PACKAGE     the version in the VM's root, or none

agent_begin() {
	need apt-get dpkg
	AGENT=$BUILD/sluice-agent
	[ -x "$AGENT" ] || skip "$AGENT is not built"
	tenant_begin blue vm-1
	apt_setup vm "$RELAY"
	dir=$LAB/apt-vm
	cat >"$LAB/apt.conf" <<-CONF
		Dir::Etc "$dir/etc"; Dir::State "$dir"; Dir::State::lists "$dir/lists";
		Dir::State::status "$dir/root/var/lib/dpkg/status"; Dir::Cache "$dir/cache"; Dir::Log "$dir/log";
		APT::Sandbox::User "root"; APT::Architecture "amd64"; APT::Install-Recommends "false";
		Acquire::Languages "none"; Acquire::Retries "0";
	CONF
	export APT_CONFIG=$LAB/apt.conf
	mkdir -p "$dir/root/var/log"
	# shellcheck disable=SC2034 # for the test
	agent_args=(--url "$RELAY" --state "$LAB/agent" --instance vm-1 --sources "$dir/etc/sources.list"
		--root "$dir/root" --key "$LAB/agent.pub" --wait 20 --verbose)
}

instruct() { "$REPO" instruct --tenant blue --instance vm-1 "$@"; }
states() { "$REPO" instructions --json | jq -r '.[] | [.action, (.packages | join(",")), .state] | join(" ")'; }
installed() { cat "$dir/root/usr/share/$1/version" 2>/dev/null || echo none; }
