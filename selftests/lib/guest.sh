# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A VM with files of its own, as far as that goes without a kernel of its own: the network namespace
# of a tenant's VM and the root file system of host.sh, which is this machine's with every write kept
# in memory: a whole Debian whose apt and dpkg are real and change nothing here. Source it after
# lib.sh; one in a test.
#
#   make_guest TENANT       in TENANT-vm
#   guest COMMAND…          run there; start_guest NAME COMMAND… as start() does
#   guest_lacks PACKAGE…    as if these had never been installed
#   guest_write PATH        standard input becomes a file there
#   debian_packages NAME PACKAGE…  real Debian packages with what they depend on; sets DEBS

# shellcheck source-path=SCRIPTDIR source=host.sh
. "$(dirname "${BASH_SOURCE[0]}")/host.sh"

# sluiced is outside of it.
sluice() { "$BUILD/sluice" --instance "$INSTANCE" "$@"; }

GUEST=
PACKAGES=$TOP/build/packages

make_guest() {
	GUEST=$1
	make_host
	# A package's trigger that reads every manual page of this machine proves nothing.
	host rm -f /var/lib/man-db/auto-update /etc/apt/apt.conf.d/50command-not-found
	# It has no sources but those that somebody gives it.
	host sh -c 'rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*; : >/etc/apt/sources.list'
}

# start_guest NAME COMMAND…: as start() does, there
guest_words() {
	GUEST_WORDS=(nsenter --mount="/proc/$(pid_of host)/ns/mnt" --net="$(ns_path "$GUEST-vm")"
		env -i SL_ID="$SL_ID" LC_ALL=C TERM=dumb HOME=/root DEBIAN_FRONTEND=noninteractive
		PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$HOST/root")
}
guest() { guest_words && "${GUEST_WORDS[@]}" "$@"; }
start_guest() { guest_words && start "$1" "${GUEST_WORDS[@]}" "${@:2}"; }

# guest_lacks PACKAGE…: these, and all that depend on them, are not there as far as dpkg and apt know
guest_lacks() {
	host "$PYTHON" -c '
import re, sys
path, gone = "/var/lib/dpkg/status", set(sys.argv[1:])
stanzas = [dict(re.findall(r"^(Package|Depends|Pre-Depends): (.*)", s, re.M), text=s)
           for s in open(path).read().split("\n\n") if s.strip()]
while True:
    more = {s["Package"] for s in stanzas if s["Package"] not in gone and gone & {
        re.split(r"[ :(]", alternative.strip())[0]
        for field in ("Depends", "Pre-Depends") for group in s.get(field, "").split(",")
        for alternative in group.split("|")[:1]}}
    if not more:
        break
    gone |= more
open(path, "w").write("".join(s["text"].strip("\n") + "\n\n" for s in stanzas if s["Package"] not in gone))' "$@"
}

guest_write() { host_write "$1"; }

# apt_fetch DIRECTORY OPTION… PACKAGE…: downloads, installs nothing
apt_fetch() {
	local dir=$1
	shift
	apt-get -qq -y -o "Dir::Cache::archives=$dir" -o Debug::NoLocking=true -o APT::Sandbox::User=root \
		-o Acquire::http::Timeout=20 -o Acquire::Retries=2 -o Acquire::Languages=none \
		install --no-install-recommends --download-only "$@"
}

# debian_packages NAME PACKAGE…: sets DEBS, the files of these packages and of what this machine lacks
# for them; fetched once. Skips the test when no mirror answers.
debian_packages() {
	local name=$1 dir=$PACKAGES/$1 fresh lists
	shift
	mkdir -p "$PACKAGES"
	exec 9>"$PACKAGES/$name.lock"
	flock 9
	if [ ! -e "$dir/complete" ]; then
		fresh=$dir.fresh lists=$PACKAGES/lists
		rm -rf "$dir" "$fresh"
		mkdir -p "$fresh/partial"
		if ! apt_fetch "$fresh" --reinstall "$@" >"$LAB/fetch.log" 2>&1; then
			# This machine's lists are old, or were cleared away: they stay as they are.
			mkdir -p "$lists/partial"
			apt-get -qq -o "Dir::State::lists=$lists" -o Acquire::Languages=none -o APT::Sandbox::User=root \
				update >>"$LAB/fetch.log" 2>&1 || true
			rm -f "$fresh"/*.deb
			apt_fetch "$fresh" -o "Dir::State::lists=$lists" --reinstall "$@" >>"$LAB/fetch.log" 2>&1 ||
				skip "the packages $* from a Debian mirror: $(tail -n 1 "$LAB/fetch.log")"
		fi
		rm -rf "$fresh/partial" "$fresh/lock"
		touch "$fresh/complete"
		mv "$fresh" "$dir"
	fi
	exec 9>&-
	# shellcheck disable=SC2034 # for the test
	DEBS=("$dir"/*.deb)
}
