# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The lab that shell tests and the demo are built from; source it. It makes strict
# mode, a scratch directory and names nobody else has, keeps a record of every
# process and namespace, and takes all of it away on any exit, Ctrl-C included.
#
# From the environment: BUILD (where the programs are), SANITIZE (they are slow), SL_SLOW (how many
# times as long everything may take), SL_ID (a prefix for every name, set by selftests/run), V=1
# (talk), ENGINES, BRIDGES.
#
#   lib.sh          scratch, processes, expectations, cleanup
#   lib/net.sh      namespaces, links, tenants
#   lib/origin.sh   documents, nginx, odd origins, fetching
#   lib/sluice.sh   sluiced, attach, counters, maps

set -Eeuo pipefail
shopt -s inherit_errexit

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac
TOOLS=$TOP/selftests/tools
# faketime(1), "${WITH_CLOCK[@]}" OFFSET COMMAND…, with a /dev/shm of its own: what it keeps there is named
# by a pid, which in another pid namespace is another's too, and stays when it is killed.
# shellcheck disable=SC2016,SC2034 # the inner shell expands it; tests use it
WITH_CLOCK=(unshare --mount sh -c 'mount -t tmpfs tmpfs /dev/shm && exec faketime -f "$@"' faketime)
PYTHON=/usr/bin/python3
export SL_ID=${SL_ID:-sl$$}
PATH=$PATH:/usr/sbin:/sbin

LAB=             # scratch directory, with every log
PIDS=()          # what start() started: "NAME PID"
STRAYS=()        # processes that outlive their parent when it is killed
NAMESPACES=()    # full names
MOUNTED_BPFFS=
SLOW=${SL_SLOW:-${SANITIZE:+4}}
SLOW=${SLOW:-1}
# Waits for what will come are limited against hanging alone, and long: where a machine's processors are
# lent to others, nothing may run for seconds.
PATIENCE=$((6 * SLOW))

say() { [ -z "${V:-}" ] || printf '    %s\n' "$*" >&2; }

# fail MESSAGE: ends the test. The logs that matter follow the message.
fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

skip() {
	printf 'SKIP: %s\n' "$*" >&2
	exit 77
}

need() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# ---- expectations --------------------------------------------------------------------------

# expect_eq GOT WANT WHAT
expect_eq() { [ "$1" = "$2" ] || fail "$3: got '$1', want '$2'"; }
expect_ne() { [ "$1" != "$2" ] || fail "$3: got '$1', and that is what it must not be"; }
# expect_ge GOT LEAST WHAT, expect_le GOT MOST WHAT: whole numbers
expect_ge() { [ "$1" -ge "$2" ] || fail "$3: got $1, want at least $2"; }
expect_le() { [ "$1" -le "$2" ] || fail "$3: got $1, want at most $2"; }
# expect_has TEXT PART WHAT
expect_has() { case $1 in *"$2"*) ;; *) fail "$3: '$2' is not in: $1" ;; esac; }

# expect_fails WHAT COMMAND…: the command must end with an error.
expect_fails() {
	local what=$1
	shift
	if "$@" >"$LAB/expect.out" 2>&1; then
		fail "$what: succeeded, and said: $(head -c 300 "$LAB/expect.out")"
	fi
}

# expect_exit CODE WHAT COMMAND…
expect_exit() {
	local want=$1 what=$2 got=0
	shift 2
	"$@" >"$LAB/expect.out" 2>&1 || got=$?
	[ "$got" = "$want" ] ||
		fail "$what: exit status $got, want $want; it said: $(head -c 300 "$LAB/expect.out")"
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds; fails when the time, what it should take at
# most, is over PATIENCE times.
wait_for() {
	local deadline=$((SECONDS + $1 * PATIENCE + 1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || fail "waited in vain: $what"
		sleep 0.05
	done
}

# given_ms: milliseconds since boot that the machine had its processors, for the host may lend them away
given_ms() {
	awk -v hz="$(getconf CLK_TCK)" -v cpus="$(nproc)" '
		FILENAME == "/proc/uptime" { up = $1 * 1000 }
		$1 == "cpu" { lent = $9 * 1000 / hz / cpus }
		END { printf "%d\n", up - lent }' /proc/uptime /proc/stat
}

# wait_soon SECONDS WHAT COMMAND…: as wait_for, where the time is what is to be shown: of what was given.
wait_soon() {
	local began limit=$(($1 * 1000 * SLOW)) what=$2
	shift 2
	began=$(given_ms)
	until "$@" >/dev/null 2>&1; do
		[ $(($(given_ms) - began)) -lt $limit ] || fail "not soon: $what"
		sleep 0.05
	done
}

# ---- processes -----------------------------------------------------------------------------

# start NAME COMMAND…: in the background, output in $LAB/NAME.log; "in_ns NS" may go before COMMAND,
# which is a program that does not fork itself away. Its process is known as NAME from then on.
start() {
	local name=$1
	shift
	# The function would stay as a shell above it, and that shell's pid is not the one to signal.
	[ "$1" != in_ns ] || set -- nsenter --net="$(ns_path "$2")" -- "${@:3}"
	"$@" >>"$LAB/$name.log" 2>&1 </dev/null &
	PIDS+=("$name $!")
}

pid_of() {
	local entry
	for entry in "${PIDS[@]}"; do
		[ "${entry% *}" != "$1" ] || { printf '%s\n' "${entry##* }"; return 0; }
	done
	return 1
}

children_of() { tr ' ' '\n' 2>/dev/null <"/proc/$1/task/$1/children" | sed '/^$/d' || true; }
# Not a zombie either: that one only waits to be collected.
alive() { [ -e "/proc/$1/stat" ] && ! grep -q ') Z ' "/proc/$1/stat" 2>/dev/null; }

# end_pid PID [SECONDS]: SIGTERM, and SIGKILL when that is not heard in time. Returns its status.
end_pid() {
	local pid=$1 deadline=$((SECONDS + ${2:-5} * PATIENCE))
	kill -TERM "$pid" 2>/dev/null || true
	while alive "$pid"; do
		if [ $SECONDS -gt $deadline ]; then
			printf 'lab: %s had to be killed\n' "$pid" >&2
			kill -KILL "$pid" 2>/dev/null || true
		fi
		sleep 0.02
	done
	wait "$pid" 2>/dev/null
}

# forget NAME: no longer ours to end
forget() {
	local entry kept=()
	for entry in "${PIDS[@]}"; do
		[ "${entry% *}" = "$1" ] || kept+=("$entry")
	done
	PIDS=(${kept[@]+"${kept[@]}"})
}

# stop NAME: ends what start() started; what it was, succeeded or not, does not matter.
stop() {
	local pid
	pid=$(pid_of "$1")
	end_pid "$pid" || true
	forget "$1"
}

# collect NAME: waits for it to end by itself; returns its exit status.
collect() {
	local pid status=0
	pid=$(pid_of "$1")
	wait "$pid" || status=$?
	forget "$1"
	return $status
}

# ---- begin and end -------------------------------------------------------------------------

lab_begin() {
	[ "$(id -u)" -eq 0 ] || skip "root is needed for namespaces"
	LAB=$(mktemp -d "${TMPDIR:-/tmp}/$SL_ID.XXXXXX")
	chmod 711 "$LAB"
	trap lab_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	trap 'lab_error $? "${BASH_SOURCE[0]##*/}:$LINENO" "$BASH_COMMAND"' ERR
	if ! mountpoint -q /sys/fs/bpf; then
		mount -t bpf bpf /sys/fs/bpf
		MOUNTED_BPFFS=1
	fi
}

lab_error() { printf 'FAIL: %s: status %s from: %s\n' "$2" "$1" "$3" >&2; }

lab_logs() {
	local log
	for log in "$LAB"/*.log; do
		[ -s "$log" ] || continue
		printf -- '---- %s (last lines)\n' "${log##*/}" >&2
		tail -n "${LOG_LINES:-15}" "$log" >&2
	done
}

lab_end() {
	local status=$?
	trap - ERR
	trap '' INT TERM HUP
	set +e
	[ $status -eq 0 ] || [ $status -eq 77 ] || lab_logs
	lab_clear || [ $status -ne 0 ] || status=1
	exit $status
}

# lab_clear: takes everything away. Fails when sluiced does not end in order; a test that ends
# well must not leave it to this to tidy up after a daemon that does not.
lab_clear() {
	local entry i status=0
	[ -n "$LAB" ] || return 0
	if pid_of sluiced >/dev/null; then
		sluiced_end || status=1
	fi
	for entry in $(jobs -p) ${PIDS[@]+"${PIDS[@]##* }"}; do
		mapfile -t -O ${#STRAYS[@]} STRAYS < <(children_of "$entry")
	done
	for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do
		end_pid "${PIDS[i]##* }" 3 2>/dev/null || true
	done
	PIDS=()
	for entry in $(jobs -p); do
		kill -KILL "$entry" 2>/dev/null || true
	done
	lab_end_strays
	for entry in ${NAMESPACES[@]+"${NAMESPACES[@]}"}; do
		ip netns del "$entry" 2>/dev/null || true
	done
	NAMESPACES=()
	rm -rf "/sys/fs/bpf/sluice/$SL_ID" "/sys/fs/bpf/sluice/$SL_ID"-* \
		"/run/sluice/$SL_ID" "/run/sluice/$SL_ID"-* "/var/lib/sluice/$SL_ID" "/var/lib/sluice/$SL_ID"-*
	rmdir /var/lib/sluice 2>/dev/null || true
	rmdir /sys/fs/bpf/sluice 2>/dev/null || true
	if [ -n "$MOUNTED_BPFFS" ] && [ ! -e /sys/fs/bpf/sluice ]; then
		umount /sys/fs/bpf 2>/dev/null || true
	fi
	rm -rf "$LAB"
	LAB=
	return $status
}

# lab_keep: leaves everything as it stands, with a script LAB_REMOVE that removes it. Processes are
# ended only if they are still those that were started, which their start time says.
lab_keep() {
	local i
	LAB_REMOVE=$LAB/remove
	{
		cat <<-'SH'
			#!/bin/sh
			born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
			end() {
				[ "$(born "$1")" = "$2" ] || return 0
				kill -TERM "$1"
				n=0
				while [ "$(born "$1")" = "$2" ] && [ $n -lt 100 ]; do
					sleep 0.1
					n=$((n + 1))
				done
			}
		SH
		for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do
			printf 'end %s %s\n' "${PIDS[i]##* }" \
				"$(sed 's/.*) //' "/proc/${PIDS[i]##* }/stat" | cut -d ' ' -f 20)"
		done
		printf 'ip netns del %s\n' "${NAMESPACES[@]}"
		printf 'rm -rf /sys/fs/bpf/sluice/%s /run/sluice/%s %s\n' "$SL_ID" "$SL_ID" "$LAB"
		printf 'rmdir /sys/fs/bpf/sluice 2>/dev/null\n'
		[ -z "$MOUNTED_BPFFS" ] || printf '[ -e /sys/fs/bpf/sluice ] || umount /sys/fs/bpf\n'
		printf 'true\n'
	} >"$LAB_REMOVE"
	trap - EXIT INT TERM HUP ERR
}

# Everything that carries our SL_ID in its environment, or was seen as a child of ours.
lab_end_strays() {
	local pid environ
	while read -r environ; do
		pid=${environ#/proc/}
		pid=${pid%/environ}
		is_ancestor "$pid" || STRAYS+=("$pid")
	done < <(grep -lzs "^SL_ID=$SL_ID\$" /proc/[0-9]*/environ || true)
	for pid in ${STRAYS[@]+"${STRAYS[@]}"}; do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# Ourselves and what is above us (the runner's timeout has our SL_ID too) stay.
is_ancestor() {
	local pid=$$
	while [ "${pid:-0}" -gt 1 ]; do
		[ "$pid" != "$1" ] || return 0
		pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
	done
	return 1
}

# shellcheck source=selftests/lib/net.sh
. "$TOP/selftests/lib/net.sh"
# shellcheck source=selftests/lib/origin.sh
. "$TOP/selftests/lib/origin.sh"
# shellcheck source=selftests/lib/sluice.sh
. "$TOP/selftests/lib/sluice.sh"
