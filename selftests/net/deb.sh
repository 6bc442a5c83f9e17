#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# The Debian packages: lintian has nothing to say; dpkg installs them on a host without systemd and
# the daemon serves; an edited conffile survives; installing over a running daemon replaces its
# program in place, under a transfer; removal stops it and keeps the configuration; purge leaves
# nothing: no file, no user, no group.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

[ -z "${SANITIZE:-}" ] || skip "packages are not made of sanitized programs"
lab_begin
need nginx curl jq openssl dh lintian dpkg-deb fakeroot start-stop-daemon adduser
version=$(cat "$TOP/VERSION")

OUT=$LAB/deb PREBUILT=$BUILD "$TOP/scripts/make_deb" >"$LAB/deb.log" || fail "make_deb"
package=$(ls "$LAB/deb/sluice_${version}_"*.deb)
repo=$(ls "$LAB/deb/sluice-repo_${version}_"*.deb)
agent=$(ls "$LAB/deb/sluice-agent_${version}_"*.deb)

say "lintian and contents"
lintian --allow-root --fail-on error,warning "$LAB"/deb/*.changes >"$LAB/lintian.log" 2>&1 || fail "lintian"
expect_eq "$(cat "$LAB/lintian.log")" "" "what lintian says"
expect_eq "$(dpkg-deb -I "$package" conffiles | LC_ALL=C sort | tr '\n' ' ')" \
	"/etc/default/sluiced /etc/init.d/sluiced /etc/logrotate.d/sluice /etc/sluice/sluice.yaml " "conffiles"
expect_eq "$(dpkg-deb -I "$repo" conffiles | LC_ALL=C sort | tr '\n' ' ')" \
	"/etc/default/sluice-repod /etc/init.d/sluice-repod /etc/sluice/repod.yaml " "conffiles of the repository"
# What a VM has to take along with the agent: nothing but these.
expect_eq "$(dpkg-deb -f "$agent" Depends | tr ',' '\n' | sed 's/^ *//; s/ .*//; s/t64$//' | LC_ALL=C sort | tr '\n' ' ')" \
	"libarchive13 libc6 libcurl3-gnutls libgnutls30 libjansson4 libmicrohttpd12 libsqlite3-0 libssl3 sysvinit-utils " "what the agent depends on"
# Between them the packages hold what "make install" installs; documents may be compressed.
DESTDIR=$LAB/stage BUILD=$BUILD "$TOP/scripts/install.sh" install
listing() { (cd "$1" && find . ! -type d | sed 's/\.gz$//' | LC_ALL=C sort); }
for file in "$LAB"/deb/*.deb; do
	dpkg-deb -x "$file" "$LAB/unpacked"
done
expect_eq "$(LC_ALL=C comm -23 <(listing "$LAB/stage") <(listing "$LAB/unpacked"))" \
	./usr/share/doc/sluice/LICENSE "what no package holds"

make_management
make_tenant blue
make_documents 1024 67108864
start_nginx nginx
make_host
TENANTS_YAML="- {name: blue, netns: $(ns_name blue), interface: qr0}"
LOG_YAML='access: /var/log/sluice/access.log'

# What is on the host and not on the machine. Records of dpkg, passwd and the like are theirs.
written() {
	local path
	host_outside find "$HOST/upper" "$HOST/root/run" "$HOST/root/var/log" "$HOST/root/sys/fs/bpf" \
		-path "$HOST/root/run/netns" -prune -o -printf '%P\t%p\n' | LC_ALL=C sort | cut -f 2 |
		while read -r path; do
			path=${path#"$HOST/"}
			# A directory that was written to.
			case $path in upper | upper/*) [ ! -d "/${path#upper}" ] || continue ;; esac
			printf '/%s\n' "${path#*/}"
		done |
		grep -Ev '^/(var/(lib|cache|backups)/|etc/(passwd|group|g?shadow|sub[ug]id)-?$|etc/\.pwd\.lock$|var/log/(dpkg|alternatives|lastlog|faillog)|run/(adduser|lock))' || true
	host find /etc /var/lib -name '*sluice*'
}
written_sorted() { written | LC_ALL=C sort; }
accounts() { host getent passwd | cut -d : -f 1; host getent group | cut -d : -f 1; }
host_write /tmp/sluice.deb <"$package"
host_write /tmp/sluice-repo.deb <"$repo"
host_write /tmp/sluice-agent.deb <"$agent"
written_sorted >"$LAB/before"
accounts >"$LAB/accounts.before"
# It must not ask. Triggers (man-db reads every page there is) are not ours.
install_there() { host dpkg --no-triggers --force-confold -i "$@" >>"$LAB/dpkg.log" 2>&1 || fail "dpkg -i $*"; }

say "installed; the configuration was there before"
host mkdir -p /etc/sluice /etc/default
host_yaml
host_write /etc/default/sluiced <<<"INSTANCE=$INSTANCE"
install_there /tmp/sluice.deb
expect_eq "$(host /etc/init.d/sluiced status >/dev/null && echo runs)" runs "the daemon after installing"
expect_document blue 1024 "through an installed daemon"
expect_eq "$(host stat -c '%U %G %a' /var/log/sluice)" "root adm 750" "the log directory"
expect_has "$(host getent group sluice-admin)" sluice-admin: "a group"
# On this host's own addresses others may listen.
host_write /etc/sluice/repod.yaml <<<'listen: [{address: "unix:/run/sluice-repo/control.sock"}]'
install_there /tmp/sluice-repo.deb
expect_eq "$(host stat -c '%U %a' /var/lib/sluice-repo)" "sluice-repo 750" "the repository's state"
repod=$(host cat /run/sluice-repod.pid)
expect_eq "$(host stat -c %U "/proc/$repod")" sluice-repo "whom the repository runs as"
expect_has "$(host sluice-repo status)" "packages   0" "the repository answers"
host /etc/init.d/sluice-repod status >/dev/null || fail "status of sluice-repod"
expect_exit 0 "a second start" host /etc/init.d/sluice-repod start
expect_eq "$(host cat /run/sluice-repod.pid)" "$repod" "after a second start"
host_write /etc/sluice/repod.yaml <<<'listn: []'
expect_fails "a wrong configuration" host /etc/init.d/sluice-repod restart
host_write /etc/sluice/repod.yaml <<<'listen: [{address: "unix:/run/sluice-repo/control.sock"}]'
host /etc/init.d/sluice-repod start >>"$LAB/dpkg.log" 2>&1 || fail "starting sluice-repod again"
repod=$(host cat /run/sluice-repod.pid)
install_there /tmp/sluice-agent.deb
expect_has "$(cat "$LAB/dpkg.log")" "no pinned keys" "an agent that nobody gave keys"
[ ! -e "$HOST/root/run/sluice-agent.pid" ] || fail "an agent without keys was started"

say "installed over itself, under a transfer"
pid=$(host cat "/run/sluiced.$INSTANCE.pid")
program=$(host stat -Lc %i "/proc/$pid/exe")
start transfer in_ns blue-vm curl -qsS --noproxy '*' --limit-rate 16M -o "$LAB/got" "$META/67108864"
fetching() { [ -s "$LAB/got" ]; }
wait_for 10 "the transfer to begin" fetching
install_there /tmp/sluice.deb
expect_eq "$(host cat "/run/sluiced.$INSTANCE.pid")" "$pid" "the process, after an upgrade"
expect_ne "$(host stat -Lc %i "/proc/$pid/exe")" "$program" "the program, after an upgrade"
expect_document blue 1024 "through an upgraded daemon"
collect transfer || fail "the transfer across the upgrade"
expect_eq "$(openssl dgst -sha256 -r <"$LAB/got" | cut -d ' ' -f 1)" "${SUM[67108864]}" "what was transferred meanwhile"
expect_has "$(host cat /etc/default/sluiced)" "INSTANCE=$INSTANCE" "an edited conffile"

say "removed"
host dpkg --no-triggers -r sluice sluice-repo sluice-agent >>"$LAB/dpkg.log" 2>&1 || fail "dpkg -r"
alive "$pid" && fail "the daemon outlived its removal"
alive "$repod" && fail "the repository outlived its removal"
expect_eq "$(in_ns blue tc qdisc show dev qr0 | grep -c clsact || true)" 0 "qdiscs on the tenant's interface"
expect_has "$(host cat /etc/default/sluiced)" "INSTANCE=$INSTANCE" "the configuration after removal"
host test -e /var/log/sluice/access.log || fail "the logs went with the package"

say "purged"
host dpkg --no-triggers -P sluice sluice-repo sluice-agent >>"$LAB/dpkg.log" 2>&1 || fail "dpkg -P"
written_sorted >"$LAB/after"
expect_eq "$(LC_ALL=C comm -13 "$LAB/before" "$LAB/after")" "" "files that a purge leaves"
accounts >"$LAB/accounts.after"
expect_eq "$(diff "$LAB/accounts.before" "$LAB/accounts.after" || true)" "" "accounts that a purge leaves"
