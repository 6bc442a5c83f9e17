# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Virtual machines that are tenants': Debian's kernel with virtio-net on a tap in the tenant's
# gateway, and curl. What they got they say on the console.
# shellcheck source-path=SCRIPTDIR source=../../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=kernel.sh
. "$TOP/selftests/vm/lib/kernel.sh"
# shellcheck source-path=SCRIPTDIR source=image.sh
. "$TOP/selftests/vm/lib/image.sh"
# shellcheck source-path=SCRIPTDIR source=machine.sh
. "$TOP/selftests/vm/lib/machine.sh"

# The same in every tenant, as addresses of different tenants may be.
CLIENT_MAC=52:54:00:12:34:56

# client_image NAME ADDRESS DOCUMENT: ADDRESS is "dhcp" or ADDRESS/LENGTH
client_image() {
	image_begin "$LAB/image"
	image_programs busybox curl ip sha256sum
	image_modules virtio_ring virtio virtio_pci virtio_net
	printf 'address=%s\ndocument=%s\n' "$2" "$3" >"$IMAGE/etc/client"
	cp "$TOP/selftests/vm/lib/dhcp" "$IMAGE/etc/dhcp"
	cp "$TOP/selftests/vm/lib/client_init" "$IMAGE/init"
	image_end "$LAB/$1.initramfs"
}

# client_start NAME NAMESPACE TAP IMAGE
client_start() {
	MACHINE_NS=$2 machine_start "$1" "$LAB/$4.initramfs" 384 '' -smp 1 \
		-netdev "tap,id=net,ifname=$3,script=no,downscript=no" \
		-device "virtio-net-pci,netdev=net,mac=$CLIENT_MAC,romfile="
}

# client_got NAME WHAT
client_got() { console "$1" | sed -n "s/^got $2: //p" | tail -n 1; }

# client_end NAME: waits for it to have done all it should
client_end() {
	machine_end "$1"
	console "$1" | grep '^got' | sed "s/^/$1 /"
	console "$1" | grep -q '^vm: done$' || {
		console "$1" | tail -n 60 >&2
		fail "$1 did not come to its end"
	}
}
