#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# A tenant attached by the pid of a process in its namespace, as one does with containers, goes with
# that process: whoever gets the number later is not served in its name, over a crash neither. A
# namespace whose name is a number is not taken for a process.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
make_tenant blue green
# hold TENANT [PID]: a process in the tenant's namespace; with that number, which is free
hold() {
	start holder "$PYTHON" -c '
import ctypes, os, sys
path, number = sys.argv[1], int(sys.argv[2])
if number:
    wanted = ctypes.c_int(number)
    arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(wanted), 1, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    child = libc.syscall(435, arguments, ctypes.sizeof(arguments))
    if child < 0:
        sys.exit("clone3: " + os.strerror(ctypes.get_errno()))
    if child:
        os.waitpid(child, 0)
        sys.exit()
    libc.prctl(1, 9) # it ends with the one above
os.execvp("nsenter", ["nsenter", "--net=" + path, "--", "sleep", "6000"])' "$(ns_path "$1")" "${2:-0}"
}
in_space() { [ "$(readlink "/proc/$1/ns/net" | tr -dc 0-9)" = "$(stat -c %i "$(ns_path "$2")")" ]; }
by_pid() {
	hold blue
	number=$(pid_of holder)
	wait_for 5 "a process in blue" in_space "$number" blue
	sluice tenant attach blue --netns "$number" --interface qr0 >>"$LAB/attach.log" 2>&1 || fail "attach by pid"
	expect_document blue 1024 "a tenant attached by pid"
}
# pass_on: the number is another process's, in a namespace with an interface of the same name
pass_on() {
	stop holder
	hold green "$number"
	wait_for 5 "the number to be given to a process in green" in_space "$number" green
}
gone() { ! sluice tenant show blue; }
untouched() { expect_eq "$(in_ns green tc qdisc show dev qr0)" "$before" "$1"; }
before=$(in_ns green tc qdisc show dev qr0)

start_sluiced
by_pid
kill -STOP "$(pid_of sluiced)"
pass_on
kill -CONT "$(pid_of sluiced)"
ns_ip blue link set qr0 alias looked-at
wait_for 15 "the tenant to go with its process" gone
untouched "what another process's interface carries"
stop holder

by_pid
kill_sluiced all
pass_on
start_sluiced
wait_for 15 "the tenant to be gone after a crash" gone
untouched "what another process's interface carries after a crash"
stop holder

digits=1${SL_ID//[!0-9]/}
digits=${digits:0:9}
ip netns add "$digits"
NAMESPACES+=("$digits")
expect_exit 2 "a name that may be a pid" sluice tenant attach red --netns "$digits" --interface qr0
expect_has "$(cat "$LAB/expect.out")" "--netns /run/netns/$digits or /proc/$digits/ns/net" "how to say it"
