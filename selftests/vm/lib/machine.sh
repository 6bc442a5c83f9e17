# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Virtual machines: QEMU with a kernel and an initramfs, whose console is a file. The machine is
# emulated (slowly) unless VM_ACCEL=kvm says that this one can do better.

VM_ACCEL=${VM_ACCEL:-tcg}
CONSOLES=$BUILD/test-logs

# QEMU 7.2 emulates cmpxchg16b wrongly now and then: kernels fall over it unless it is hidden.
VM_CPU=max,cx16=off

console_file() { printf '%s/vm-%s.console\n' "$CONSOLES" "$1"; }

# In MACHINE_NS, where its taps are, when that is set.
# machine_start NAME IMAGE MEMORY-MiB APPEND QEMU-OPTION…: the console is kept for whoever looks
machine_start() {
	local name=$1 image=$2 memory=$3 append=$4
	shift 4
	mkdir -p "$CONSOLES"
	: >"$(console_file "$name")"
	# shellcheck disable=SC2086 # "in_ns NAME" or nothing
	start "$name" ${MACHINE_NS:+in_ns $MACHINE_NS} qemu-system-x86_64 -accel "$VM_ACCEL" -cpu "$VM_CPU" -m "$memory" \
		-kernel "$KERNEL" -initrd "$image" \
		-append "console=ttyS0 loglevel=5 panic=-1 mitigations=off rdinit=/init $append" \
		-nodefaults -display none -no-reboot -serial "file:$(console_file "$name")" "$@"
}

console() { tr -d '\r' <"$(console_file "$1")"; }

# machine_healthy NAME: no complaint of its kernel
machine_healthy() {
	if console "$1" | grep -E '(BUG|Oops|WARNING): |Kernel panic|general protection|Call Trace' >"$LAB/expect.out"; then
		console "$1" | tail -n 80 >&2
		fail "the kernel of $1 complains: $(head -n 1 "$LAB/expect.out")"
	fi
}

# machine_end NAME: waits for it to power off
machine_end() {
	collect "$1" || fail "QEMU of $1: $(tail -n 3 "$LAB/$1.log")"
	machine_healthy "$1"
}
