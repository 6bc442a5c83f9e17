# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A machine with systemd as its first process: systemd-nspawn boots a view of this machine's root file
# system in which everything that is written stays in memory. It has the lab's network namespaces,
# lives in one of them, and starts nothing of what this machine starts. The kernel is shared. Source it
# after lib.sh.

BOOTED= # its first process

# boot_machine NAMESPACE
boot_machine() {
	local root=$LAB/machine
	mkdir "$root"
	# shellcheck disable=SC2016 # the inner shell expands it
	start machine unshare --mount --propagation slave sh -euc '
		mount -t tmpfs -o mode=755 tmpfs "$1"
		cd "$1"
		mkdir upper work root
		mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
		rm -f root/usr/sbin/policy-rc.d root/etc/sluice/*
		rm -rf root/etc/systemd/system/*.wants root/etc/systemd/system/*.requires root/var/log/journal
		: >root/etc/machine-id
		for unit in systemd-networkd systemd-resolved systemd-timesyncd systemd-logind systemd-udevd; do
			ln -sf /dev/null root/etc/systemd/system/$unit.service
		done
		printf "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=multi-user.target\n" \
			>root/etc/systemd/system/lab.target
		export SYSTEMD_NSPAWN_API_VFS_WRITABLE=1
		exec systemd-nspawn --boot --keep-unit --register=no --capability=all --console=pipe \
			--system-call-filter="bpf perf_event_open io_uring_setup io_uring_enter io_uring_register" \
			--machine="$2" --network-namespace-path="$3" --bind="$4" --bind=/run/netns --directory=root \
			systemd.unit=lab.target' sh "$root" "$SL_ID-machine" "$(ns_path "$1")" "$LAB"
	wait_for 30 "the machine to begin" machine_begun
	wait_for 60 "the machine to be up" machine_up
	booted mount -t bpf -o mode=700 bpf /sys/fs/bpf
}

machine_begun() {
	BOOTED=$(children_of "$(pid_of machine)" | head -n 1)
	[ -n "$BOOTED" ] && grep -q '^/usr/lib/systemd/systemd\|^/sbin/init' "/proc/$BOOTED/cmdline"
}
machine_up() { booted systemctl is-active --quiet lab.target; }

# booted COMMAND…: run there
booted() {
	nsenter --target "$BOOTED" --mount --pid --net --ipc --uts -- env -i LC_ALL=C TERM=dumb HOME=/root \
		DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# booted_write PATH: standard input becomes a file there
booted_write() { booted tee "$1" >/dev/null; }

# unit_is UNIT PROPERTY: its value
unit_is() { booted systemctl show --value --property "$2" "$1"; }
