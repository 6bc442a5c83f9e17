#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# install.sh install|uninstall, called by make with DESTDIR, PREFIX, SYSCONFDIR and BUILD.
# The configuration is installed only where none is, and never removed.
set -eu
cd "$(dirname "$0")/.."

DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr}
SYSCONFDIR=${SYSCONFDIR:-/etc}
BUILD=${BUILD:-build}
config=$SYSCONFDIR/sluice/sluice.yaml

# MODE SOURCE TARGET of everything but the configuration
files() {
	cat <<-END
		755 $BUILD/sluiced $PREFIX/sbin/sluiced
		755 $BUILD/sluice $PREFIX/bin/sluice
		644 docs/man/sluiced.8 $PREFIX/share/man/man8/sluiced.8
		644 docs/man/sluice.8 $PREFIX/share/man/man8/sluice.8
		644 docs/man/sluice.yaml.5 $PREFIX/share/man/man5/sluice.yaml.5
		644 scripts/completions/sluice.bash $PREFIX/share/bash-completion/completions/sluice
		644 scripts/completions/_sluice $PREFIX/share/zsh/vendor-completions/_sluice
		644 scripts/sluice.yaml $PREFIX/share/doc/sluice/examples/sluice.yaml
		644 LICENSE $PREFIX/share/doc/sluice/LICENSE
	END
}

# A mistake in the variables must not spread files below the current directory.
for path in "$PREFIX" "$SYSCONFDIR" "${DESTDIR:-/}"; do
	case $path in
	*[[:space:]]*) printf 'install: "%s" holds a blank\n' "$path" >&2; exit 2 ;;
	/*) ;;
	*) printf 'install: "%s" is not absolute\n' "$path" >&2; exit 2 ;;
	esac
done

do_install() {
	files | while read -r mode source target; do
		if [ ! -e "$source" ]; then
			printf 'install: %s is missing: run make first\n' "$source" >&2
			exit 1
		fi
	done
	files | while read -r mode source target; do
		install -D -m "$mode" "$source" "$DESTDIR$target"
	done
	if [ -e "$DESTDIR$config" ]; then
		printf 'install: %s is kept as it is\n' "$DESTDIR$config"
	else
		install -D -m 644 scripts/sluice.yaml "$DESTDIR$config"
	fi
	[ -z "$DESTDIR" ] || return 0
	if ! getent passwd sluice >/dev/null; then
		printf 'install: make the user that workers run as: %s\n' \
			'useradd --system --user-group --no-create-home --shell /usr/sbin/nologin sluice'
	fi
	printf 'install: edit %s, then start: sluiced\n' "$config"
}

do_uninstall() {
	files | while read -r _ _ target; do
		rm -f "$DESTDIR$target"
	done
	for directory in doc/sluice/examples doc/sluice; do
		rmdir "$DESTDIR$PREFIX/share/$directory" 2>/dev/null || true
	done
	[ ! -e "$DESTDIR$config" ] || printf 'uninstall: %s stays\n' "$DESTDIR$config"
}

case ${1:-} in
install) do_install ;;
uninstall) do_uninstall ;;
*)
	printf 'usage: %s install|uninstall (see Makefile)\n' "$0" >&2
	exit 2
	;;
esac
