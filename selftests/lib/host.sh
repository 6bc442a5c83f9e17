# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A host of its own, as far as files go: a view of this machine's root file system in which
# everything that is written stays in memory, with its own /run, /var/log and bpffs, in runlevel 2.
# Network namespaces are the lab's; so are the processors and the kernel. Nothing of systemd runs there.
# Source it after lib.sh.

HOST=

make_host() {
	HOST=$LAB/host
	mkdir "$HOST"
	# shellcheck disable=SC2016 # the inner shell expands it
	start host unshare --mount --propagation slave sh -euc '
		mount -t tmpfs -o mode=755 tmpfs "$1"
		cd "$1"
		mkdir upper work root
		mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
		mount -t proc proc root/proc
		mount --rbind /dev root/dev
		mount --bind /sys root/sys
		mount -t bpf -o mode=700 bpf root/sys/fs/bpf
		mount -t tmpfs -o mode=755 tmpfs root/run
		mount -t tmpfs -o mode=755 tmpfs root/var/log
		mkdir -p root/run/netns root/run/lock
		mount --rbind /run/netns root/run/netns
		rm -f root/usr/sbin/policy-rc.d root/usr/sbin/runlevel
		printf "#!/bin/sh\necho N 2\n" >root/usr/sbin/runlevel
		chmod 755 root/usr/sbin/runlevel
		: >ready
		exec sleep infinity' sh "$HOST"
	wait_for 10 "the host to be made" host true
	wait_for 10 "the host to be made" host_outside test -e "$HOST/ready"
}

# host COMMAND…: run there; host_outside COMMAND…: run here, but with its files below $HOST
host_outside() { nsenter --mount="/proc/$(pid_of host)/ns/mnt" "$@"; }
host() {
	host_outside env -i SL_ID="$SL_ID" LC_ALL=C TERM=dumb HOME=/root DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$HOST/root" "$@"
}

# host_write PATH: standard input becomes a file there
host_write() { host tee "$1" >/dev/null; }

# sluice.yaml of the lab, as an operator of the host would have written it
host_yaml() {
	sluice_yaml | sed '/^ *$/d; s/user: "64999"/user: sluice/' | host_write /etc/sluice/sluice.yaml
}

# The instance of the host; its control socket is there.
sluice() { host /usr/bin/sluice --instance "$INSTANCE" "$@"; }
