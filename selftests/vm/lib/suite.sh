# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Our own tests on another kernel: a virtual machine holds the built tree and what the tests
# call, runs selftests/run, and its lines are ours.
# shellcheck source-path=SCRIPTDIR source=../../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=kernel.sh
. "$TOP/selftests/vm/lib/kernel.sh"
# shellcheck source-path=SCRIPTDIR source=image.sh
. "$TOP/selftests/vm/lib/image.sh"
# shellcheck source-path=SCRIPTDIR source=machine.sh
. "$TOP/selftests/vm/lib/machine.sh"

SUITE_MODULES="virtio_ring virtio virtio_pci virtio_rng veth cls_u32 act_gact tun bridge 8021q dummy cls_bpf sch_ingress
	act_bpf nf_tables nft_ct nft_chain_nat nft_redir nf_conntrack"
SUITE_PROGRAMS="bash sh env cat cp mv rm ln mkdir rmdir chmod chown touch ls head tail tac tr cut sort uniq wc tee
	mktemp dirname basename sleep timeout stat seq id nproc date dd sha256sum cmp diff sed grep awk find
	xargs shuf sync true false uname mount umount mountpoint nsenter unshare setpriv flock prlimit
	pkill pgrep ps sysctl ip tc ss ping bpftool jq curl nginx openssl socat modprobe insmod kill od
	tsort comm expr printf readlink realpath"

# suite_run SUITE PATTERN…: tests that match, on the kernel of that Debian suite
suite_run() {
	local suite=$1 tree line
	shift
	lab_begin
	need qemu-system-x86_64 cpio depmod dpkg-deb apt-get
	[ -x "$BUILD/sluiced" ] || fail "$BUILD/sluiced is not built: make tests"
	kernel_get "$suite"
	image_begin "$LAB/image"
	# shellcheck disable=SC2086 # lists of words
	image_programs $SUITE_PROGRAMS
	image_python
	# shellcheck disable=SC2086
	image_modules $SUITE_MODULES
	tree=$IMAGE/sluice
	mkdir -p "$tree/build/selftests" "$tree/scripts"
	cp -r "$TOP/selftests" "$tree/"
	cp "$TOP/scripts/demo" "$TOP/scripts/sluice.yaml" "$tree/scripts/"
	cp "$BUILD/sluice" "$BUILD/sluiced" "$tree/build/"
	cp -r "$BUILD/tools" "$tree/build/"
	cp -r "$BUILD/selftests/prog" "$BUILD/selftests/net" "$tree/build/selftests/"
	image_libraries "$BUILD/sluice" "$BUILD/sluiced" "$BUILD"/tools/* \
		"$BUILD"/selftests/prog/* "$BUILD"/selftests/net/*
	printf '%s\n' "$@" >"$IMAGE/etc/tests"
	# What copies in user memory asks nothing special of a kernel.
	printf 'export ENGINES="inline uring"\n' >"$IMAGE/etc/environment"
	# This machine's clock may be set.
	printf 'export SL_CLOCK=1\n' >>"$IMAGE/etc/environment"
	printf 'export SL_SLOW=%s JOBS=2 V=%s\n' "${VM_SLOW:-5}" "${V:-}" >>"$IMAGE/etc/environment"
	cp "$TOP/selftests/vm/lib/suite_init" "$IMAGE/init"
	image_end "$LAB/initramfs"

	machine_start "$suite" "$LAB/initramfs" 3072 '' -smp 2
	machine_end "$suite"
	console "$suite" | grep -E '^(vm: [0-9]|ok |FAIL |skip |[0-9]+ passed)' || true
	if ! console "$suite" | grep -q '^vm: exit status 0$'; then
		console "$suite" | tail -n 400 >&2
		fail "on $KERNEL_VERSION"
	fi
	line=$(console "$suite" | grep -E '^[0-9]+ passed' | tail -n 1)
	case $line in
	*", 0 skipped") ;;
	*) fail "on $KERNEL_VERSION something was skipped: $line" ;;
	esac
}
