#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What sluiced owes systemd: units that systemd reads without a complaint, READY=1 when it serves,
# WATCHDOG=1 as long as its loop turns and not when it hangs, STOPPING=1; workers that outlive a
# killed parent; and that no right is missing under the capabilities that the unit leaves it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq openssl setpriv systemd-analyze
unit=$TOP/scripts/sluiced.service

say "units"
DESTDIR=$LAB/root UNITDIR=/units BUILD=$BUILD "$TOP/scripts/install.sh" install
# The programs are looked for where the unit says; they are in the scratch directory.
sed -i "s|/usr/\(s\?bin\)/sluice|$LAB/root/usr/\1/sluice|g" "$LAB"/root/units/*.service
for name in sluiced sluice-repod; do
	systemd-analyze --man=no verify "$LAB/root/units/$name.service" >"$LAB/verify.log" 2>&1 ||
		fail "$name.service: $(cat "$LAB/verify.log")"
	complaint=$(grep "$name" "$LAB/verify.log" || true)
	expect_eq "$complaint" "" "what systemd says of $name.service"
done

say "under the unit's capabilities"
make_management
make_tenant blue
make_documents 1024
start_nginx nginx
TENANTS_YAML="- {name: blue, netns: $(ns_name blue), interface: qr0}"
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
start manager "$PYTHON" -u -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode())' "$LAB/notify"
wait_for 5 "the manager to listen" test -S "$LAB/notify"
caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr '\n' ' ')
bound=-all
for cap in $caps; do bound=$bound,+${cap#CAP_}; done
start sluiced env NOTIFY_SOCKET="$LAB/notify" WATCHDOG_USEC=600000 \
	setpriv --bounding-set "${bound,,}" --no-new-privs \
	"$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
expect_document blue 1024 "under the unit's capabilities"
expect_eq "$(head -n 1 "$LAB/manager.log")" READY=1 "the first word to systemd"

beats() { grep -c '^WATCHDOG=1$' "$LAB/manager.log" || true; }
beaten() { [ "$(beats)" -ge "$1" ]; }
wait_for 10 "5 beats" beaten 5
say "a loop that hangs is silent"
kill -STOP "$(pid_of sluiced)"
# What was said before may still be on its way: it comes before what is said now.
stopped() { grep -q '^State:.T' "/proc/$(pid_of sluiced)/status"; }
wait_for 5 "the process to be stopped" stopped
"$PYTHON" -c 'import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"MARK=1", sys.argv[1])' "$LAB/notify"
wait_for 5 "all that was said before" grep -q '^MARK=1$' "$LAB/manager.log"
before=$(beats)
sleep 1
expect_eq "$(beats)" "$before" "beats of a stopped process"
kill -CONT "$(pid_of sluiced)"
wait_for 5 "beats to go on" beaten $((before + 1))
stop_sluiced
expect_eq "$(tail -n 1 "$LAB/manager.log")" STOPPING=1 "the last word to systemd"

say "an upgrade takes its time between two beats of its own"
before=$(wc -l <"$LAB/manager.log")
start sluiced env NOTIFY_SOCKET="$LAB/notify" WATCHDOG_USEC=3600000000 \
	"$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
wait_sluiced
sluice upgrade >"$LAB/upgrade.log" || fail "upgrade"
words() { tail -n +$((before + 1)) "$LAB/manager.log" | tr '\n' ' '; }
said() { [ "$(words)" = "READY=1 WATCHDOG=1 WATCHDOG=1 WATCHDOG=1 READY=1 WATCHDOG=1 " ]; }
wait_for 5 "READY=1 and a beat, a beat before and one after the exec, and again both" said
wait_sluiced
stop_sluiced

say "workers outlive their parent, and --clean ends them"
start_sluiced
mapfile -t workers < <(worker_pids)
kill_sluiced
for worker in "${workers[@]}"; do
	alive "$worker" || fail "worker $worker died with its parent"
done
"$BUILD/sluiced" --clean --config "$LAB/sluiced.yaml" --instance "$INSTANCE" 2>"$LAB/clean.log" ||
	fail "sluiced --clean"
for worker in "${workers[@]}"; do
	! alive "$worker" || fail "worker $worker outlived --clean"
done
expect_eq "$(find "/run/sluice/$INSTANCE" "/sys/fs/bpf/sluice/$INSTANCE" 2>/dev/null || true)" "" "what --clean leaves"
"$BUILD/sluiced" --clean --config "$LAB/sluiced.yaml" --instance "$INSTANCE" 2>>"$LAB/clean.log" ||
	fail "sluiced --clean, where there is nothing"
start_sluiced
expect_exit 1 "--clean beside a daemon that serves" "$BUILD/sluiced" --clean --config "$LAB/sluiced.yaml" \
	--instance "$INSTANCE"
expect_document blue 1024 "after a refused --clean"
stop_sluiced
