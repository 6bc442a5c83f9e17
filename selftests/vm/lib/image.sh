# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A file system for a virtual machine, as an initramfs: programs of this machine with the
# libraries they name, and modules of the machine's kernel with those they need.

# image_begin DIRECTORY: an empty tree
image_begin() {
	local dir
	IMAGE=$1
	mkdir -p "$IMAGE"/{dev,proc,sys,run,tmp,root,etc,usr/{bin,sbin,lib,lib64},var/lib/nginx,var/log/nginx}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$IMAGE/$dir"
	done
	printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$IMAGE/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$IMAGE/etc/group"
	printf '127.0.0.1 localhost\n' >"$IMAGE/etc/hosts"
}

# image_libraries FILE…: of programs that are in the tree or will be
image_libraries() {
	local library
	# A static program names none, and ldd calls that an error.
	{ ldd "$@" 2>/dev/null || true; } | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && NF == 2 && $2 ~ /^\(/ { print $1 }' |
		sort -u | while read -r library; do
		[ ! -e "$IMAGE$library" ] || continue
		mkdir -p "$IMAGE$(dirname "$library")"
		cp -L "$library" "$IMAGE$library"
	done
}

# image_programs NAME…: found in PATH
image_programs() {
	local name path paths=()
	for name in "$@"; do
		path=$(type -P "$name") || skip "$name is not installed"
		paths+=("$path")
		cp -L "$path" "$IMAGE/usr/bin/$name"
	done
	image_libraries "${paths[@]}"
}

# image_python: the interpreter with its library; tests of ours need no more than that
image_python() {
	local version
	version=$("$PYTHON" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
	cp -L "$PYTHON" "$IMAGE/usr/bin/python3"
	image_libraries "$PYTHON"
	tar -C /usr/lib --exclude="$version/"{test,idlelib,lib2to3,tkinter,ensurepip,distutils,pydoc_data} \
		--exclude="$version/config-*" -cf - "$version" | tar -C "$IMAGE/usr/lib" -xf -
}

# image_modules NAME…: modules of KERNEL_VERSION, in the order of the list and of their needs. The
# kernel loads what it misses itself, by the modprobe in the tree.
image_modules() {
	local name module directory=lib/modules/$KERNEL_VERSION
	mkdir -p "$IMAGE/usr/$directory"
	for name in "$@"; do
		modprobe -d "$KERNEL_ROOT" -S "$KERNEL_VERSION" --show-depends "$name" 2>"$LAB/modprobe.log" ||
			fail "$KERNEL_VERSION has no $name: $(cat "$LAB/modprobe.log")"
	done | awk '$1 == "insmod" { print $2 }' | awk '!seen[$0]++' >"$LAB/modules"
	while read -r module; do
		name=${module##*/"$directory"/}
		mkdir -p "$IMAGE/$directory/$(dirname "$name")"
		cp "$module" "$IMAGE/$directory/$name"
		printf '/%s/%s\n' "$directory" "$name"
	done <"$LAB/modules" >"$IMAGE/etc/modules.list"
	cp "$KERNEL_ROOT/$directory"/modules.{builtin,builtin.modinfo,order} "$IMAGE/$directory/"
	depmod -b "$IMAGE" "$KERNEL_VERSION"
}

# image_end FILE: packs the tree and removes it
image_end() {
	(cd "$IMAGE" && find . -print0 | cpio --quiet --null -o -H newc -R 0:0) >"$1"
	rm -rf "$IMAGE"
}
