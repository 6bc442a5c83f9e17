#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs what building, testing and demonstrating sluice needs on Debian 12 and 13.
# Idempotent; quiet when nothing is missing. Not root and something missing: says the command.
# "deps.sh deb" adds what "make deb" and its test need.
set -eu

packages="
	gcc make clang llvm libclang-rt-dev pkg-config bpftool
	libc6-dev linux-libc-dev libbpf-dev libelf-dev
	libnl-3-dev libnl-route-3-dev liburing-dev libcyaml-dev libyaml-dev
	libssl-dev libjansson-dev libseccomp-dev
	libmicrohttpd-dev libgnutls28-dev libsqlite3-dev libarchive-dev libcurl4-gnutls-dev
	iproute2 iputils-ping procps util-linux
	nginx-light haproxy curl openssl socat jq python3
	dosfstools xfsprogs lvm2 containerd
	dnsmasq-base busybox nftables libnftables-dev iptables
	apt-utils dpkg-dev gpg gpg-agent createrepo-c dnf rpm aria2 sqlite3 chromium skopeo xz-utils rsync faketime
	qemu-system-x86 cpio kmod
	mandoc shellcheck clang-format
"

[ "${1:-}" != deb ] || packages="$packages build-essential debhelper lintian adduser logrotate systemd systemd-container"

# A machine that never asked its mirror knows of no package.
if [ "$(id -u)" -eq 0 ] && ! apt-cache show clang >/dev/null 2>&1; then
	apt-get update -qq
fi
# libclang-rt is versioned on Debian 12; fuzzers and clang's sanitizers need it.
rt=libclang-rt-dev
if ! apt-cache show libclang-rt-dev >/dev/null 2>&1; then
	major=$(clang --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
	rt="libclang-rt-${major:-14}-dev"
fi
packages=$(printf '%s\n' "$packages" | sed "s/libclang-rt-dev/$rt/")

missing=
for package in $packages; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	printf 'deps: missing:%s\ndeps: install them as root: scripts/deps.sh %s\n' "$missing" "${1:-}" >&2
	exit 1
fi

printf 'deps: installing%s\n' "$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A package whose service starts by itself (nginx, haproxy) must not take ports on this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$log" "$policy"' EXIT
fi
install_all() {
	# shellcheck disable=SC2086 # a list of words
	apt-get install -y --no-install-recommends $missing
}
if ! { install_all || { apt-get update && install_all; }; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	printf 'deps: apt-get failed; the lines above say why\n' >&2
	exit 1
fi
