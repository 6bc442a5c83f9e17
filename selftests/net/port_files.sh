#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# Where port bindings come from and what they outlive: a watched file (renamed, written, wrong,
# empty, gone), "port set" above it, expiry; reload, restart, upgrade and the crash of the daemon,
# none of which lets a spoofed machine in for a moment or cuts an owner's download.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need curl jq
make_management
start_oddorigin mgmt
start_nginx nginx
mkdir -p "$LAB/docs"
# For downloads that are still under way whenever a test ends them.
truncate -s 1G "$LAB/docs/endless"
# shellcheck disable=SC2086 # a list of words
make_tenant $BRIDGES
FILE=$LAB/bindings
STORE=$LAB/store
LOG=$LAB/sluiced.log
RELAY_YAML="drain_timeout: 30000"
SERVICES_YAML="- {name: told, identity: sluice, origins: [{address: \"tcp:$MGMT_IP:8081\"}]}"
ROUTES_YAML='- {path: /new/headers, service: told}'
for bridge in $BRIDGES; do
	TENANTS_YAML+="- {name: $bridge, netns: $(ns_path "$bridge"), interface: qr0, bridge: $bridge}"$'\n'
done
# sluice_yaml of the lab has no such section.
eval "lab_$(declare -f sluice_yaml)"
sluice_yaml() {
	lab_sluice_yaml
	section bindings "file: $FILE"$'\n'"store: $STORE"
}

line() { # TENANT INSTANCE ADDRESS [MORE]
	printf '{"tenant":"%s","mac":"%s","addresses":["%s"],"instance":"%s","project":"p"%s}\n' \
		"$1" "$(mac_of "$1-vm" eth0)" "$3" "$2" "${4:-}"
}
# lines INSTANCE [ADDRESS]: of every tenant's VM
lines() {
	local bridge
	for bridge in $BRIDGES; do line "$bridge" "$1" "${2:-$VM_IP}"; done
}
# replace: as a tool should, by rename
replace() {
	cat >"$FILE.new"
	mv "$FILE.new" "$FILE"
}
instance_of() {
	in_ns "$1-vm" curl -sS --max-time $((10 * PATIENCE)) $META/new/headers 2>/dev/null | tr -d '\r' |
		sed -n 's/^X-Sluice-Instance: //Ip'
}
is() { # INSTANCE: every VM is known as that
	local bridge
	for bridge in $BRIDGES; do [ "$(instance_of "$bridge")" = "$1" ] || return 1; done
}
state() { sluice status --json | jq -r ".bindings.$1"; }
state_is() { [ "$(state "$1")" = "$2" ]; }
problem_has() { case $(state problem) in *"$1"*) ;; *) return 1 ;; esac; }
upgraded() { [ "$(sluice status --json | jq .upgrades)" = 1 ]; }
download() {
	start "slow-$1" nsenter --net="$(ns_path "$1-vm")" curl -sS --limit-rate 1M -o /dev/null \
		"$META/endless"
	wait_for 10 "the download of $1 to run" established "$1"
}
established() { in_ns "$1-vm" ss -Htn state established dst 169.254.169.254 | grep -q .; }

# ---- the file -------------------------------------------------------------------------------

lines vm-1 >"$FILE"
start_sluiced inline
wait_for 5 "the file to be in force" is vm-1
expect_eq "$(state state)" ok "the file's state"
lines vm-2 | replace
wait_for 5 "a renamed file to be in force" is vm-2
lines vm-3 >"$FILE"
wait_for 5 "a written file to be in force" is vm-3
{ lines vm-4; echo '{"tenant":'; } | replace
wait_for 5 "the mistake to be seen" state_is state wrong
expect_has "$(state problem)" "$FILE:$(($(wc -w <<<"$BRIDGES") + 1)): column" "the mistake has a line"
grep -q "those read before stay in force" "$LOG" || fail "the log does not say it"
is vm-3 || fail "a wrong file changed the bindings"
: | replace
wait_for 5 "the empty file to be seen" problem_has 'it is empty'
is vm-3 || fail "an empty file changed the bindings"
rm "$FILE"
wait_for 5 "the file to be missed" state_is state missing
is vm-3 || fail "a file that went changed the bindings"

# ---- what it outlives -----------------------------------------------------------------------

# With the file gone: a restart, an upgrade and a crash go on with its last good content.
stop_sluiced
start_sluiced inline
wait_for 5 "the last good file to be in force after a restart" is vm-3
expect_eq "$(state state)" missing "the file's state after a restart"
lines vm-5 | replace
wait_for 5 "the file that came back" is vm-5
for bridge in $BRIDGES; do
	sluice port set "$bridge" --mac "$(mac_of "$bridge-vm" eth0)" --address $VM_IP --instance-id said \
		--project-id p >/dev/null
done
is said || fail "what was said is not above the file"
sluice reload
is said || fail "a reload forgot what was said"
for bridge in $BRIDGES; do download "$bridge"; done
sluice upgrade >/dev/null
wait_for 10 "the upgrade" upgraded
is said || fail "an upgrade forgot what was said"
kill_sluiced
expect_eq "$(bpf_map bindings | jq length)" $((2 * $(wc -w <<<"$BRIDGES"))) "entries in the guard's map without the daemon"
# Workers that drain keep the downloads; start_sluiced would wait for their end.
start "$SLUICED" "$BUILD/sluiced" --config "$LAB/$SLUICED.yaml" --instance "$INSTANCE"
wait_for 15 "the next daemon" sluice status
wait_for 5 "what was said to be in force after a crash" is said
for bridge in $BRIDGES; do
	established "$bridge" || fail "the download of $bridge was cut by upgrade or crash"
	stop "slow-$bridge"
done
stop_sluiced
start_sluiced inline
wait_for 5 "what was said to be in force after a restart" is said
expect_eq "$(bpf_map bindings | jq length)" $((2 * $(wc -w <<<"$BRIDGES"))) "entries in the guard's map"

# ---- expiry ---------------------------------------------------------------------------------

# What expires has to be looked at before; where that is too late, it is set again.
in_time() { [ "$(date +%s)" -lt $((begun + 7)) ]; }
for _ in $(seq 20); do
	begun=$(date +%s)
	for bridge in $BRIDGES; do
		sluice port set "$bridge" --mac "$(mac_of "$bridge-vm" eth0)" --address $VM_IP --instance-id short \
			--project-id p --expires +8 >/dev/null
	done
	! is short || break
	! in_time || fail "it is not in force before it expires"
done
wait_for 20 "the file's to be in force again when that has expired" is vm-5
expect_eq "$(sluice port list --json | jq -r '[.[].source] | unique | join(" ")')" file "port list"
[ ! -e "$STORE/ports" ] || fail "the store still has what has expired"
expect_fails "taking a binding of the file away by command" sluice port del "${BRIDGES%% *}" --mac "$(mac_of "${BRIDGES%% *}-vm" eth0)"
for _ in $(seq 20); do
	begun=$(date +%s) seen=
	lines vm-6 "$VM_IP" | sed "s/}$/,\"expires\":$((begun + 8))}/" | replace
	while in_time && [ -z "$seen" ]; do ! is vm-6 || seen=1; done
	[ -z "$seen" ] || break
done
expect_eq "$seen" 1 "the file with a time in force before it is over"
# The last binding gone: not bound, and served as such.
wait_for 20 "the file's to expire" is ''
expect_eq "$(sluice port list --json | jq -r '[.[].state] | unique | join(" ")')" expired "port list"
expect_eq "$(bpf_map bindings | jq length)" 0 "entries left in the guard's map"
stop_sluiced
