#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Pipes run out: bodies are copied, counted, and right. Descriptors run out in a worker and in the
# parent: some requests fail, in words or by waiting; nothing ends, and all is well afterwards.
# Memory runs out: a worker, which allocates nothing once it serves, does not notice; the parent may
# fail at what it is asked, and lives. A worker can be started also where its listeners are more than the parent
# could copy. What a worker is told meanwhile (a listener, port bindings) reaches it
# afterwards.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((4 * MIB)) $((16 * MIB))
for bridge in $BRIDGES; do make_tenant "$bridge-late"; done
WORKERS=1
BINDINGS_YAML="store: $LAB/bindings.d"
RELAY_YAML=$'pipes_small: 1\npipes_large: 1'
# without_pipes ENGINE BRIDGE: eight bodies for two pipes, more than sockets hold: each waits for its client
without_pipes() {
	local engine=$1 bridge=$2 i
	for i in 1 2 3 4 5 6 7 8; do
		start "many-$i" in_ns "$bridge-vm" curl -qsS --fail --noproxy '*' --limit-rate 8M \
			-o "$LAB/many-$i" "$META/$((16 * MIB))"
	done
	for i in 1 2 3 4 5 6 7 8; do
		collect "many-$i" || fail "body $i without pipes ($engine, $bridge)"
		expect_eq "$(sha256sum <"$LAB/many-$i" | cut -d ' ' -f 1)" "${SUM[$((16 * MIB))]}" \
			"body $i without pipes ($engine, $bridge)"
	done
	[ "$engine" = copy ] || wait_for 5 "shortages of $bridge to be counted ($engine)" short_of_pipes "$bridge"
}
short_of_pipes() { [ "$(tenant "$1" .relay.pipe_shortage)" -ge 1 ]; }
each_path without_pipes

start_sluiced inline
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
done

# limit PID WHAT SOFT:HARD: as the process's own user, which needs no CAP_SYS_RESOURCE
limit() {
	local uid
	uid=$(awk '/^Uid:/ { print $2 }' "/proc/$1/status")
	setpriv --reuid "$uid" --regid "$uid" --clear-groups prlimit --pid "$1" "--$2=$3"
}

# short PID COMMAND…: with no descriptor to be had in that process
short() {
	local pid=$1 used=0 was
	shift
	while [ -e "/proc/$pid/fd/$used" ]; do used=$((used + 1)); done
	was=$(awk '/Max open files/ { print $4 ":" $5 }' "/proc/$pid/limits")
	limit "$pid" nofile "$used:${was#*:}"
	"$@"
	limit "$pid" nofile "$was"
}

# starved PID COMMAND…: with no memory to be had from the kernel beyond what the process has
starved() {
	local pid=$1 size
	shift
	size=$(awk '/^VmSize:/ { print $2 * 1024 }' "/proc/$pid/status")
	limit "$pid" as "$size:unlimited"
	"$@"
	limit "$pid" as unlimited:unlimited
}
many_fail() {
	local pids=()
	for _ in $(seq 20); do
		in_ns "$1-vm" curl -qs --noproxy '*' --max-time 1 -o /dev/null "$META/1024" &
		pids+=($!)
	done
	wait "${pids[@]}" || true
}
many_succeed() {
	local i
	for i in 1 2 3 4 5 6 7 8; do
		expect_document "$1" $((i % 2 ? 1024 : 4 * MIB)) "body $i without memory to be had ($1)"
	done
}
served() { (expect_document "$1" 1024) 2>/dev/null; }
reminders() { grep -c "worker .* (pid $1) has not taken the port bindings" "$LAB/sluiced.log"; }
# told_late TENANT BRIDGE: a gate, and who its VM is
told_late() {
	attach "$1" --bridge "$2"
	start "binds-$2" "$BUILD/sluice" --instance "$INSTANCE" port set "$1" --mac "$(mac_of "$1-vm" eth0)" \
		--address "$VM_IP" --instance-id "i-$2" --project-id p
	wait_for 15 "the worker's shortage to be told ($2)" reminders "$worker"
}
bound() { sluice port list "$1" --json | jq -e '[.. | .state? | values] | length > 0 and all(. == "in-force")'; }
pid=$(pid_of sluiced)
for bridge in $BRIDGES; do
	role=both
	[ "$bridge" = fd ] || role=front
	worker=$(sluice status --json | jq --arg role $role '.workers[] | select(.role == $role) | .pid')
	short "$worker" many_fail "$bridge"
	alive "$worker" || fail "worker $worker ended for want of descriptors ($bridge)"
	wait_for 10 "$bridge to be served after its worker's shortage" served "$bridge"

	short "$worker" told_late "$bridge-late" "$bridge"
	wait_for 15 "the port binding of $bridge-late to be in force" bound "$bridge-late"
	collect "binds-$bridge" || fail "port set of $bridge-late"
	wait_for 10 "$bridge-late to be served" served "$bridge-late"
	alive "$worker" || fail "worker $worker ended for what it could not be told ($bridge)"
	sluice port del "$bridge-late" --mac "$(mac_of "$bridge-late-vm" eth0)" >>"$LAB/port.log"
	detach "$bridge-late"

	# The sanitizers' own memory would be counted, too.
	if [ -z "${SANITIZE:-}" ]; then
		starved "$worker" many_succeed "$bridge"
		starved "$pid" many_fail "$bridge"
		alive "$pid" || fail "sluiced ended for want of memory ($bridge)"
		wait_for 10 "$bridge to be served after a shortage of memory" served "$bridge"
	fi

	kill -KILL "$worker"
	wait_for 15 "$bridge to be served after a restart" served "$bridge"
	short "$pid" many_fail "$bridge"
	alive "$pid" || fail "sluiced ended for want of descriptors ($bridge)"
	wait_for 10 "$bridge to be served after the parent's shortage" served "$bridge"
done
if grep 'rests for.*Too many' "$LAB/sluiced.log"; then fail "an origin rests for the parent's shortage"; fi

# Whoever asks the parent meanwhile waits, and it does not turn in vain.
told() { grep -q 'control socket: Too many open files' "$LAB/sluiced.log"; }
asked() {
	start asker "$BUILD/sluice" --instance "$INSTANCE" status
	wait_for 5 "the shortage to be told" told
}
short "$pid" asked
collect asker || fail "who asked during a shortage was not answered after it"
expect_eq "$(pid_of sluiced)" "$(sluice status --json | jq .pid)" "the process"

# Far more listeners than its socket takes at once, or the parent has descriptors for.
make_ns crowd
for i in $(seq 40); do
	ns_ip crowd link add "q$i" type veth peer name "p$i"
	ns_ip crowd link set "q$i" up
	sluice tenant attach "crowd-$i" --netns "$(ns_name crowd)" --interface "q$i" --port 80 --port 81 --port 82 \
		--port 83 --port 84 --port 85 --port 86 --port 87 >>"$LAB/attach.log" || fail "attach of crowd-$i"
done
worker_of_fd() { sluice status --json | jq '.workers[] | select(.role == "both" and .state == "serving") | .pid'; }
victim=$(worker_of_fd)
highest=$(find "/proc/$pid/fd" -mindepth 1 -printf '%f\n' | sort -n | tail -n 1)
was=$(awk '/Max open files/ { print $4 ":" $5 }' "/proc/$pid/limits")
limit "$pid" nofile "$((highest + 100)):${was#*:}"
kill -KILL "$victim"
again() { [ -n "$(worker_of_fd)" ] && [ "$(worker_of_fd)" != "$victim" ] && served "${BRIDGES%% *}"; }
wait_for 15 "a worker for all of them" again
limit "$pid" nofile "$was"
if grep 'is killed: Too many open files' "$LAB/sluiced.log"; then fail "a worker was killed for what its parent is short of"; fi
