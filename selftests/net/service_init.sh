#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# /etc/init.d/sluiced on a host without systemd, after "make install" there: every verb, with the
# exit codes that the LSB gives them; a wrong configuration is refused with the next step and ends
# nothing; a VM fetches; after a crash everything is cleaned up; logrotate loses no line.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

lab_begin
need nginx curl jq openssl start-stop-daemon logrotate systemd-sysusers
make_management
make_tenant blue
make_documents 1024
start_nginx nginx
make_host

DESTDIR=$LAB/stage UNITDIR=/usr/lib/systemd/system BUILD=$BUILD "$TOP/scripts/install.sh" install
host_outside cp -a "$LAB/stage/." "$HOST/root/"
host systemd-sysusers /usr/lib/sysusers.d/sluice.conf
host_write /etc/default/sluiced <<<"INSTANCE=$INSTANCE"
TENANTS_YAML="- {name: blue, netns: $(ns_name blue), interface: qr0}"
LOG_YAML='access: /var/log/sluice/access.log'

service() { host /etc/init.d/sluiced "$@"; }
# expect_service CODE VERB WHAT [PART]: PART is in what it says
expect_service() {
	expect_exit "$1" "$2: $3" service "$2"
	[ -z "${4:-}" ] || expect_has "$(cat "$LAB/expect.out")" "$4" "$2: $3"
}
pid_there() { host cat "/run/sluiced.$INSTANCE.pid"; }
qdiscs() { in_ns blue tc qdisc show dev qr0 | grep -c clsact || true; }

say "before the first start"
before=$(qdiscs)
expect_service 2 fly "no such verb" usage
expect_service 3 status "not running"
expect_service 7 reload "not running"
expect_service 7 upgrade "not running"
expect_service 0 stop "not running"
expect_service 0 try-restart "not running"

say "a wrong configuration"
printf 'servces: []\n' | host_write /etc/sluice/sluice.yaml
expect_service 6 start "a wrong configuration" "sluice.yaml:1:"
expect_has "$(cat "$LAB/expect.out")" "init.d/sluiced start" "the next step"
expect_service 3 status "not started"

say "start"
host_yaml
expect_service 0 start "the first one"
pid=$(pid_there)
expect_service 0 status "running" "process $pid"
expect_service 0 start "running already" "already"
expect_eq "$(pid_there)" "$pid" "the process, after a second start"
expect_document blue 1024 "through a daemon that init started"
worker=$(worker_pids | head -n 1)
expect_eq "$(host stat -c %U "/proc/$worker")" sluice "whom a worker runs as"

say "reload and restart"
ROUTES_YAML='- {path: /more, service: web}'
host_yaml
expect_service 0 reload "a route more"
expect_service 0 force-reload "the same"
printf 'servces: []\n' | host_write /etc/sluice/sluice.yaml
expect_service 1 reload "a wrong configuration" "sluice.yaml"
expect_service 6 restart "a wrong configuration" "sluice.yaml:1:"
expect_eq "$(pid_there)" "$pid" "the process, after a refused restart"
expect_document blue 1024 "after a refused restart"
host_yaml
expect_service 0 restart "a good one"
expect_ne "$(pid_there)" "$pid" "the process, after a restart"
expect_document blue 1024 "after a restart"

say "upgrade"
pid=$(pid_there)
host cp /usr/sbin/sluiced /usr/sbin/sluiced.new
host mv /usr/sbin/sluiced.new /usr/sbin/sluiced
expect_service 0 upgrade "to a program of the same name"
expect_eq "$(pid_there)" "$pid" "the process, after an upgrade"
expect_eq "$(host stat -Lc %i "/proc/$pid/exe")" "$(host stat -c %i /usr/sbin/sluiced)" "the program, after an upgrade"
expect_service 0 status "upgraded" "process $pid"
expect_document blue 1024 "after an upgrade"

say "logrotate"
lines() { host sh -c 'cat /var/log/sluice/access.log* | wc -l'; }
all_logged() { [ "$(lines)" -eq "$1" ]; }
wait_for 5 "a line for each of 4 requests" all_logged 4
host logrotate --force /etc/logrotate.d/sluice 2>"$LAB/logrotate.log" || fail "logrotate"
expect_document blue 1024 "after logrotate"
wait_for 5 "all 5 lines in both files" all_logged 5
expect_eq "$(host sh -c 'wc -l </var/log/sluice/access.log')" 1 "lines of the new file"

say "a crash"
pid=$(pid_there)
mapfile -t workers < <(children_of "$pid")
STRAYS+=("${workers[@]}")
kill -KILL "$pid"
gone() { ! alive "$1"; }
wait_for 5 "the daemon to be gone" gone "$pid"
expect_service 1 status "dead" "dead"
expect_service 0 stop "what a dead one left"
for worker in "${workers[@]}"; do
	alive "$worker" && fail "worker $worker outlived stop"
done
expect_service 3 status "after stop"
expect_eq "$(qdiscs)" "$before" "qdiscs on the tenant's interface"
expect_fails "pins are left" host test -e "/sys/fs/bpf/sluice/$INSTANCE"

say "after a crash, start alone"
expect_service 0 start "to crash again"
pid=$(pid_there)
mapfile -t workers < <(children_of "$pid")
STRAYS+=("${workers[@]}")
kill -KILL "$pid"
wait_for 5 "the daemon to be gone" gone "$pid"
expect_service 0 start "over a dead one"
expect_document blue 1024 "after a crash"
pid=$(pid_there)
mapfile -t workers < <(children_of "$pid")
STRAYS+=("${workers[@]}")
printf 'servces: []\n' | host_write /etc/sluice/sluice.yaml
kill -KILL "$pid"
wait_for 5 "the daemon to be gone" gone "$pid"
expect_service 0 start "over a dead one, with a wrong configuration"
expect_document blue 1024 "after a crash, with a wrong configuration"
host grep -q "going on with the configuration in force" /var/log/sluice/sluiced.log || fail "no word of what it goes on with"
host_yaml
expect_service 0 reload "a right configuration"

say "stop"
expect_service 0 stop "in order"
expect_service 3 status "after stop"
expect_eq "$(qdiscs)" "$before" "qdiscs on the tenant's interface"
expect_eq "$(host find /run/sluice /sys/fs/bpf -name "$INSTANCE")" "" "what is left"
host rm /usr/sbin/sluiced
expect_service 5 start "removed, not purged"
expect_service 0 stop "removed, not purged"
