#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# make install into a scratch directory: everything is where it belongs and works from there, an
# edited configuration survives installing again and uninstalling, nothing else does.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need install
root=$LAB/root
installer() {
	DESTDIR=$root PREFIX=/usr SYSCONFDIR=/etc BUILD=$BUILD "$TOP/scripts/install.sh" "$@"
}

installer install >"$LAB/install.log"
expect_eq "$(cd "$root" && find . ! -type d -printf '%m %p\n' | LC_ALL=C sort)" "644 ./etc/default/sluice-agent
644 ./etc/default/sluice-repod
644 ./etc/default/sluiced
644 ./etc/logrotate.d/sluice
644 ./etc/sluice/repod.yaml
644 ./etc/sluice/sluice.yaml
644 ./lib/systemd/system/sluice-agent.service
644 ./lib/systemd/system/sluice-cluster.service
644 ./lib/systemd/system/sluice-node.service
644 ./lib/systemd/system/sluice-repod.service
644 ./lib/systemd/system/sluiced.service
644 ./usr/lib/sysusers.d/sluice-repo.conf
644 ./usr/lib/sysusers.d/sluice.conf
644 ./usr/share/bash-completion/completions/sluice
644 ./usr/share/bash-completion/completions/sluice-agent
644 ./usr/share/bash-completion/completions/sluice-bundle
644 ./usr/share/bash-completion/completions/sluice-cluster
644 ./usr/share/bash-completion/completions/sluice-repo
644 ./usr/share/bash-completion/completions/sluice-repod
644 ./usr/share/doc/sluice/LICENSE
644 ./usr/share/doc/sluice/examples/60-sluice.conf
644 ./usr/share/doc/sluice/examples/bundle.yaml
644 ./usr/share/doc/sluice/examples/grafana-dashboard.json
644 ./usr/share/doc/sluice/examples/sluice.yaml
644 ./usr/share/man/man1/sluice-bundle.1
644 ./usr/share/man/man1/sluice-cluster.1
644 ./usr/share/man/man1/sluice-repo.1
644 ./usr/share/man/man5/sluice-bindings.5
644 ./usr/share/man/man5/sluice.yaml.5
644 ./usr/share/man/man8/sluice-agent.8
644 ./usr/share/man/man8/sluice-repod.8
644 ./usr/share/man/man8/sluice.8
644 ./usr/share/man/man8/sluiced.8
644 ./usr/share/zsh/vendor-completions/_sluice
644 ./usr/share/zsh/vendor-completions/_sluice-agent
644 ./usr/share/zsh/vendor-completions/_sluice-bundle
644 ./usr/share/zsh/vendor-completions/_sluice-cluster
644 ./usr/share/zsh/vendor-completions/_sluice-repo
644 ./usr/share/zsh/vendor-completions/_sluice-repod
755 ./etc/init.d/sluice-agent
755 ./etc/init.d/sluice-repod
755 ./etc/init.d/sluiced
755 ./usr/bin/sluice
755 ./usr/bin/sluice-bundle
755 ./usr/bin/sluice-cluster
755 ./usr/bin/sluice-repo
755 ./usr/sbin/sluice-agent
755 ./usr/sbin/sluice-repod
755 ./usr/sbin/sluiced" "what is installed"

expect_has "$("$root/usr/bin/sluice" --help)" "tenant attach NAME" "the installed CLI"
"$root/usr/sbin/sluiced" --check-config --config "$root/etc/sluice/sluice.yaml" >"$LAB/check.log" 2>&1 ||
	fail "the installed configuration: $(cat "$LAB/check.log")"

say "completion"
# complete WORD…: what bash offers for the last one
complete_words() {
	PATH=$root/usr/bin:$PATH bash -c '
		. "$1"; shift
		COMP_WORDS=(sluice "$@") COMP_CWORD=$#
		_sluice
		printf "%s\n" "${COMPREPLY[@]}"' bash \
		"$root/usr/share/bash-completion/completions/sluice" "$@" 2>&1 | tr '\n' ' '
}
expect_eq "$(complete_words ten)" "tenant " "a command"
expect_eq "$(complete_words tenant '')" "attach detach list show create delete " "a family"
expect_eq "$(complete_words tenant attach a --gu)" "--guard " "an option"
expect_eq "$(complete_words tenant attach a --guard x)" "xdp-native xdp-generic " "a word"
expect_eq "$(complete_words -i "$SL_ID" tenant show '')" "--instance --socket --json --help " \
	"tenants of a daemon that is not there"
start mock "$PYTHON" "$TOP/selftests/net/cli_mock.py" "$LAB/control.sock" "$LAB/requests"
wait_for 5 "the mock to listen" test -S "$LAB/control.sock"
expect_eq "$(complete_words -s "$LAB/control.sock" tenant show b)" "blue " "a tenant"
# Of every program: what --help names, bash, zsh and the man page name.
"$TOP/scripts/lint_words" >"$LAB/words" || fail "completions and man pages: $(cat "$LAB/words")"

say "what was edited stays, and nothing else"
echo '# mine' >>"$root/etc/sluice/sluice.yaml"
expect_has "$(installer install)" "sluice.yaml is kept" "installing again"
expect_has "$(installer uninstall)" "sluice.yaml was edited and stays" "uninstalling"
expect_eq "$(cd "$root" && find . ! -type d)" "./etc/sluice/sluice.yaml" "what is left"
grep -q '^# mine' "$root/etc/sluice/sluice.yaml" || fail "the configuration was overwritten"
expect_eq "$(installer uninstall | wc -l)" 1 "uninstalling twice"

say "elsewhere: scripts and units name the programs that were installed"
rm -rf "$root"
DESTDIR=$root PREFIX=/opt/s UNITDIR=/opt/s/units BUILD=$BUILD "$TOP/scripts/install.sh" install
expect_eq "$(grep -rl '/usr/s\?bin/sluice' "$root/etc" "$root/opt/s/units" || true)" "" "files that name /usr"
expect_eq "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$root/opt/s/units/sluiced.service")" /opt/s/sbin/sluiced \
	"what systemd starts"
expect_eq "$(sed -n 's/^DAEMON=//p' "$root/etc/init.d/sluiced")" /opt/s/sbin/sluiced "what init starts"
DESTDIR=$root PREFIX=/opt/s UNITDIR=/opt/s/units BUILD=$BUILD "$TOP/scripts/install.sh" uninstall
expect_eq "$(find "$root" ! -type d)" "" "what is left"

say "refusals"
expect_exit 2 "no verb" installer
DESTDIR=relative expect_exit 2 "a relative DESTDIR" "$TOP/scripts/install.sh" install
PREFIX=usr expect_exit 2 "a relative PREFIX" "$TOP/scripts/install.sh" install
BUILD=/nonexistent expect_exit 1 "nothing built" env DESTDIR="$root" "$TOP/scripts/install.sh" install
