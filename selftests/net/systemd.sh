#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# The package under a systemd that really is the first process: installing starts the service;
# reload with a wrong configuration changes nothing and says so, with a right one it changes what was
# changed; installing again takes over in place; a parent that hangs is ended by the watchdog and one
# that is killed comes back, while workers finish the transfers under way; stop and purge leave nothing.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/boot.sh
. "$TOP/selftests/lib/boot.sh"

[ -z "${SANITIZE:-}" ] || skip "packages are not made of sanitized programs"
lab_begin
need systemd-nspawn nginx curl jq openssl dh fakeroot
OUT=$LAB/deb PREBUILT=$BUILD "$TOP/scripts/make_deb" >"$LAB/deb.log" 2>&1 || fail "make_deb"
package=$(ls "$LAB"/deb/sluice_*.deb)
make_management
make_tenant blue
make_documents 1024 67108864
start_nginx nginx
ns_portrait blue >"$LAB/before"
boot_machine mgw

TENANTS_YAML="- {name: blue, netns: $(ns_name blue), interface: qr0}"
sluice() { booted /usr/bin/sluice "$@"; }
write_yaml() { sluice_yaml | sed '/^ *$/d; s/user: "64999"/user: sluice/' | booted_write /etc/sluice/sluice.yaml; }
pid() { unit_is sluiced MainPID; }
active() { [ "$(unit_is sluiced ActiveState)" = active ]; }
another() { [ "$(pid)" != "$1" ] && active && [ "$(tenant blue .state)" = attached ]; }
adopted() { sluice status --json | jq -e '.workers | all(.state == "serving")' >/dev/null; }

# transfer NAME [RATE]: a large body, slow enough to last; transferred NAME WHAT: it came whole
transfer() {
	start "$1" in_ns blue-vm curl -qsS --fail --noproxy '*' --limit-rate "${2:-8M}" -o "$LAB/$1" $META/67108864
	wait_for 10 "the large body to come" test -s "$LAB/$1"
}
transferred() {
	collect "$1" || fail "$2: the transfer was cut: $(tail -n 2 "$LAB/$1.log")"
	expect_eq "$(sha256sum <"$LAB/$1" | cut -d ' ' -f 1)" "${SUM[67108864]}" "$2: the large body"
}

say "install"
booted dpkg -i "$package" >"$LAB/dpkg.log" 2>&1 || fail "dpkg -i: $(tail -n 5 "$LAB/dpkg.log")"
wait_for 10 "the package to start the service" active
expect_eq "$(unit_is sluiced UnitFileState)" enabled "the unit"

say "reload"
first=$(pid)
write_yaml
booted systemctl reload sluiced || fail "systemctl reload: $(booted journalctl -n 20 -u sluiced)"
attached() { [ "$(tenant blue .state)" = attached ]; }
wait_for 10 "the tenant of the new configuration" attached
expect_document blue 1024 "after a reload"
printf 'services: [\n' | booted_write /etc/sluice/sluice.yaml
expect_fails "a reload of a wrong configuration" booted systemctl reload sluiced
active || fail "a wrong configuration ended the service"
expect_document blue 1024 "beside a wrong configuration"
write_yaml
expect_eq "$(pid)" "$first" "the process after reloads"

say "installing again, under a transfer"
transfer upgrade
booted dpkg -i "$package" >"$LAB/dpkg.log" 2>&1 || fail "dpkg -i again: $(tail -n 5 "$LAB/dpkg.log")"
expect_document blue 1024 "after the upgrade"
expect_eq "$(pid)" "$first" "the process after an upgrade"
expect_eq "$(sluice status --json | jq .upgrades)" 1 "upgrades"
active || fail "the upgrade ended the service"
transferred upgrade "upgrade"

say "a parent that hangs"
booted mkdir -p /etc/systemd/system/sluiced.service.d
printf '[Service]\nWatchdogSec=15\n' | booted_write /etc/systemd/system/sluiced.service.d/lab.conf
booted systemctl daemon-reload
booted systemctl restart sluiced || fail "systemctl restart: $(booted journalctl -n 20 -u sluiced)"
expect_document blue 1024 "after a restart"
before=$(pid)
expect_ne "$before" "$first" "the process after a restart"
wait_for 10 "its workers" adopted
transfer watchdog 3M
booted kill -STOP "$before"
wait_for 20 "the watchdog to end it" another "$before"
expect_eq "$(unit_is sluiced NRestarts)" 1 "restarts by the watchdog"
expect_document blue 1024 "after the watchdog"
transferred watchdog "watchdog"

say "a parent that is killed"
before=$(pid)
wait_for 10 "its workers" adopted
transfer killed
booted kill -KILL "$before"
expect_document blue 1024 "while there is no parent"
wait_for 20 "its successor" another "$before"
transferred killed "killed"

say "a parent that is killed while the file is wrong"
said() { booted journalctl -u sluiced --no-pager | grep -F "$1"; }
before=$(pid)
wait_for 10 "its workers" adopted
printf 'services: [\n' | booted_write /etc/sluice/sluice.yaml
booted kill -KILL "$before"
wait_for 20 "its successor" another "$before"
wait_for 10 "its word" said "going on with the configuration in force"
expect_document blue 1024 "with a wrong file"

say "a start while the file is wrong"
booted systemctl stop sluiced
expect_fails "a start with a wrong file" booted systemctl start sluiced
# Its exit status says only that the service does not run.
wrong() { (booted systemctl status --no-pager --lines 50 sluiced || true) | grep 'configuration: /etc/sluice/sluice.yaml:[0-9]'; }
wait_for 10 "systemctl status to say where the mistake is" wrong
write_yaml
wait_for 20 "the service to come by itself once the file is right" active
expect_document blue 1024 "once the file is right"

say "stop"
booted systemctl stop sluiced
expect_eq "$(unit_is sluiced ActiveState) $(unit_is sluiced Result)" "inactive success" "after systemctl stop"
expect_eq "$(booted pgrep -c sluiced || true)" 0 "processes after systemctl stop"
expect_eq "$(booted find /sys/fs/bpf/sluice /run/sluice -mindepth 1 2>/dev/null || true)" "" \
	"pins and sockets after systemctl stop"
ns_portrait blue >"$LAB/after"
cmp -s "$LAB/before" "$LAB/after" || fail "the namespace differs: $(diff "$LAB/before" "$LAB/after")"
booted systemctl start sluiced
expect_document blue 1024 "started again"
booted dpkg --purge sluice >"$LAB/dpkg.log" 2>&1 || fail "dpkg --purge: $(tail -n 5 "$LAB/dpkg.log")"
expect_eq "$(booted pgrep -c sluiced || true)" 0 "processes after a purge"
ns_portrait blue >"$LAB/after"
cmp -s "$LAB/before" "$LAB/after" || fail "the namespace after a purge: $(diff "$LAB/before" "$LAB/after")"
booted test ! -e /lib/systemd/system/sluiced.service || fail "the unit is still there"
stop machine
