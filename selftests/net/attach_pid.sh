#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# A tenant attached by the pid of a process in its namespace, as one does with containers, goes with
# that process: whoever gets the number later is not served in its name, over a crash neither, whether
# it was attached then or not. Who is in the configuration is served by whoever has the number at a
# reload. A namespace whose name is a number is not taken for a process.
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

by_pid
ns_ip blue link set qr0 down
ns_ip blue link set qr0 name was0
failed() { saved_state | jq -e '.tenants[] | select(.want.name == "blue" and .gate == null)'; }
wait_for 15 "an interface that is gone to be saved" failed
kill_sluiced all
pass_on
start_sluiced
wait_for 15 "a tenant without a gate to be gone after a crash" gone
untouched "what another process's interface carries after that"
stop_sluiced
stop holder
ns_ip blue link set was0 name qr0
ns_ip blue link set qr0 up
ns_ip blue-vm route replace default via "$GATEWAY_IP"

hold blue
number=$(pid_of holder)
wait_for 5 "a process in blue" in_space "$number" blue
TENANTS_YAML="- {name: blue, netns: /proc/$number/ns/net, interface: qr0}"
start_sluiced
expect_document blue 1024 "a process of the configuration"
pass_on
ns_ip blue link set qr0 alias looked-again
another() { tenant blue '"\(.state) \(.reason)"' | grep -q "failed .*another process"; }
wait_for 15 "its end to be noticed" another
untouched "what another process's interface carries before a reload"
sluice reload >"$LAB/reload.log" || fail "reload"
expect_eq "$(tenant blue .state)" attached "after a reload, of whoever has the number"
expect_document green 1024 "after a reload, of whoever has the number"
# Before anybody has looked: the reload does.
kill -STOP "$(pid_of sluiced)"
stop holder
ended() { [ ! -e "/proc/$number" ]; }
wait_for 5 "the process with the number to end" ended
hold blue "$number"
wait_for 5 "the number to be given to a process in blue" in_space "$number" blue
start reload "$BUILD/sluice" --instance "$INSTANCE" reload
kill -CONT "$(pid_of sluiced)"
collect reload || fail "reload with a process of which nobody knows"
expect_eq "$(tenant blue .state)" attached "after a reload that was the first to look"
expect_document blue 1024 "after a reload that was the first to look"
stop_sluiced
untouched "what is left in green"
stop holder
TENANTS_YAML=''
start_sluiced

digits=1${SL_ID//[!0-9]/}
digits=${digits:0:9}
ip netns add "$digits"
NAMESPACES+=("$digits")
expect_exit 2 "a name that may be a pid" sluice tenant attach red --netns "$digits" --interface qr0
expect_has "$(cat "$LAB/expect.out")" "--netns /run/netns/$digits or /proc/$digits/ns/net" "how to say it"
