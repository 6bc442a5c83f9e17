#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# install.sh install|uninstall, called by make with DESTDIR, PREFIX, SYSCONFDIR, UNITDIR and BUILD.
# What an operator edited below SYSCONFDIR is neither replaced nor removed.
# Directories of a running system are made only without DESTDIR; a package has scripts for that.
set -eu
cd "$(dirname "$0")/.."

DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr}
SYSCONFDIR=${SYSCONFDIR:-/etc}
UNITDIR=${UNITDIR:-/lib/systemd/system}
BUILD=${BUILD:-build}

# MODE SOURCE TARGET of what is replaced by each install and removed by uninstall
files() {
	cat <<-END
		755 $BUILD/sluiced $PREFIX/sbin/sluiced
		755 $BUILD/sluice $PREFIX/bin/sluice
		755 $BUILD/sluice-repod $PREFIX/sbin/sluice-repod
		755 $BUILD/sluice-repo $PREFIX/bin/sluice-repo
		755 $BUILD/sluice-agent $PREFIX/sbin/sluice-agent
		755 $BUILD/sluice-bundle $PREFIX/bin/sluice-bundle
		755 $BUILD/sluice-cluster $PREFIX/bin/sluice-cluster
		644 docs/man/sluiced.8 $PREFIX/share/man/man8/sluiced.8
		644 docs/man/sluice.8 $PREFIX/share/man/man8/sluice.8
		644 docs/man/sluice.yaml.5 $PREFIX/share/man/man5/sluice.yaml.5
		644 docs/man/sluice-bindings.5 $PREFIX/share/man/man5/sluice-bindings.5
		644 docs/man/sluice-repod.8 $PREFIX/share/man/man8/sluice-repod.8
		644 docs/man/sluice-repo.1 $PREFIX/share/man/man1/sluice-repo.1
		644 docs/man/sluice-bundle.1 $PREFIX/share/man/man1/sluice-bundle.1
		644 docs/man/sluice-cluster.1 $PREFIX/share/man/man1/sluice-cluster.1
		644 docs/man/sluice-agent.8 $PREFIX/share/man/man8/sluice-agent.8
		644 scripts/completions/sluice.bash $PREFIX/share/bash-completion/completions/sluice
		644 scripts/completions/_sluice $PREFIX/share/zsh/vendor-completions/_sluice
		644 scripts/completions/sluice-repo.bash $PREFIX/share/bash-completion/completions/sluice-repo
		644 scripts/completions/_sluice-repo $PREFIX/share/zsh/vendor-completions/_sluice-repo
		644 scripts/completions/sluice-bundle.bash $PREFIX/share/bash-completion/completions/sluice-bundle
		644 scripts/completions/sluice-cluster.bash $PREFIX/share/bash-completion/completions/sluice-cluster
		644 scripts/completions/_sluice-cluster $PREFIX/share/zsh/vendor-completions/_sluice-cluster
		644 scripts/completions/_sluice-bundle $PREFIX/share/zsh/vendor-completions/_sluice-bundle
		644 scripts/completions/sluice-agent.bash $PREFIX/share/bash-completion/completions/sluice-agent
		644 scripts/completions/sluice-repod.bash $PREFIX/share/bash-completion/completions/sluice-repod
		644 scripts/completions/_sluice-agent $PREFIX/share/zsh/vendor-completions/_sluice-agent
		644 scripts/completions/_sluice-repod $PREFIX/share/zsh/vendor-completions/_sluice-repod
		644 scripts/sluiced.service $UNITDIR/sluiced.service
		644 scripts/sluice-repod.service $UNITDIR/sluice-repod.service
		644 scripts/sluice-agent.service $UNITDIR/sluice-agent.service
		644 scripts/sluice-node.service $UNITDIR/sluice-node.service
		644 scripts/sluice-cluster.service $UNITDIR/sluice-cluster.service
		644 scripts/sluice.sysusers $PREFIX/lib/sysusers.d/sluice.conf
		644 scripts/sluice-repo.sysusers $PREFIX/lib/sysusers.d/sluice-repo.conf
		644 scripts/sluice.yaml $PREFIX/share/doc/sluice/examples/sluice.yaml
		644 scripts/dashboards/sluice.json $PREFIX/share/doc/sluice/examples/grafana-dashboard.json
		644 scripts/sluice.sysctl $PREFIX/share/doc/sluice/examples/60-sluice.conf
		644 scripts/bundle.yaml $PREFIX/share/doc/sluice/examples/bundle.yaml
		644 LICENSE $PREFIX/share/doc/sluice/LICENSE
	END
}

# MODE SOURCE TARGET of what belongs to the operator once it is there
settings() {
	cat <<-END
		644 scripts/sluice.yaml $SYSCONFDIR/sluice/sluice.yaml
		644 scripts/sluice-repod.yaml $SYSCONFDIR/sluice/repod.yaml
		644 scripts/sluiced.default $SYSCONFDIR/default/sluiced
		644 scripts/sluice.logrotate $SYSCONFDIR/logrotate.d/sluice
		644 scripts/sluice-repod.default $SYSCONFDIR/default/sluice-repod
		644 scripts/sluice-agent.default $SYSCONFDIR/default/sluice-agent
		755 scripts/sluiced.init $SYSCONFDIR/init.d/sluiced
		755 scripts/sluice-repod.init $SYSCONFDIR/init.d/sluice-repod
		755 scripts/sluice-agent.init $SYSCONFDIR/init.d/sluice-agent
	END
}

# A mistake in the variables must not spread files below the current directory.
for path in "$PREFIX" "$SYSCONFDIR" "$UNITDIR" "${DESTDIR:-/}"; do
	case $path in
	*[[:space:]]*) printf 'install: "%s" holds a blank\n' "$path" >&2; exit 2 ;;
	/*) ;;
	*) printf 'install: "%s" is not absolute\n' "$path" >&2; exit 2 ;;
	esac
done

scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT

# Scripts and units name the programs, which may be elsewhere. The outcome is in $scratch.
adapt() {
	case $1 in
	"$BUILD"/*) cat "$1" ;;
	*) sed "s|/usr/\(s\{0,1\}bin\)/sluice|$PREFIX/\1/sluice|g" "$1" ;;
	esac >"$scratch"
}

do_install() {
	{ files && settings; } | while read -r mode source target; do
		if [ ! -e "$source" ]; then
			printf 'install: %s is missing: run make first\n' "$source" >&2
			exit 1
		fi
	done
	files | while read -r mode source target; do
		adapt "$source"
		install -D -m "$mode" "$scratch" "$DESTDIR$target"
	done
	settings | while read -r mode source target; do
		adapt "$source"
		if [ ! -e "$DESTDIR$target" ]; then
			install -D -m "$mode" "$scratch" "$DESTDIR$target"
		elif ! cmp -s "$scratch" "$DESTDIR$target"; then
			printf 'install: %s is kept as it is; new: %s\n' "$DESTDIR$target" "$source"
		fi
	done
	[ -z "$DESTDIR" ] || return 0
	install -d -m 750 -g adm /var/log/sluice
	if ! getent passwd sluice >/dev/null || ! getent group sluice-admin >/dev/null; then
		printf 'install: make the users and groups: systemd-sysusers, or %s and %s\n' \
			'"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin sluice"' \
			'"groupadd --system sluice-admin"'
	fi
	printf 'install: edit %s, then start it: %s, or: %s\n' "$SYSCONFDIR/sluice/sluice.yaml" \
		'"systemctl daemon-reload && systemctl enable --now sluiced"' \
		'"update-rc.d sluiced defaults && service sluiced start"'
}

do_uninstall() {
	files | while read -r _ _ target; do
		rm -f "$DESTDIR$target"
	done
	for directory in doc/sluice/examples doc/sluice; do
		rmdir "$DESTDIR$PREFIX/share/$directory" 2>/dev/null || true
	done
	settings | while read -r _ source target; do
		[ -e "$DESTDIR$target" ] || continue
		adapt "$source"
		if cmp -s "$scratch" "$DESTDIR$target"; then
			rm -f "$DESTDIR$target"
		else
			printf 'uninstall: %s was edited and stays\n' "$DESTDIR$target"
		fi
	done
	rmdir "$DESTDIR$SYSCONFDIR/sluice" 2>/dev/null || true
}

case ${1:-} in
install) do_install ;;
uninstall) do_uninstall ;;
*)
	printf 'usage: %s install|uninstall (see Makefile)\n' "$0" >&2
	exit 2
	;;
esac
