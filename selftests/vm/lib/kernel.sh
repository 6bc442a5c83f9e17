# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Debian's kernels for virtual machines. A package is fetched through apt, with lists and
# sources of its own below build/vm, unpacked there and never installed: what this machine runs
# and where it updates from stay as they are.

VM_DIR=$TOP/build/vm
KERNEL=         # the kernel image
KERNEL_VERSION= # as uname -r says it
KERNEL_ROOT=    # lib/modules/$KERNEL_VERSION is below

# kernel_apt SUITE COMMAND…: apt with nothing but that suite
kernel_apt() {
	local dir=$VM_DIR/apt/$1 command=$2
	shift 2
	"$command" -qq -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- \
		-o "Dir::State=$dir/state" -o "Dir::Cache=$dir/cache" -o Dir::State::status=/dev/null \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Architecture=amd64 \
		-o Acquire::http::Timeout=20 -o Acquire::Retries=2 "$@"
}

# kernel_fetch SUITE: the cloud kernel of a Debian suite, from the mirror this machine uses
kernel_fetch() {
	local suite=$1 dir=$VM_DIR/apt/$1 mirror package fresh
	# Where the suite with the name of this very release comes from; known without any list.
	# shellcheck disable=SC2016 # apt expands it
	mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v release="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" \
			'$1 == release && $2 == "main" && !uri { uri = $3 } END { print uri }')
	[ -n "$mirror" ] || skip "a Debian mirror among apt's sources (for the kernel of $suite)"
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
		"$mirror" "$suite" >"$dir/sources.list"
	kernel_apt "$suite" apt-get update >"$LAB/apt.log" 2>&1 ||
		skip "$mirror $suite: $(tail -n 1 "$LAB/apt.log")"
	package=$(kernel_apt "$suite" apt-cache depends linux-image-cloud-amd64 |
		awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
	[ -n "$package" ] || skip "linux-image-cloud-amd64 in $suite"
	fresh=$VM_DIR/$suite.fresh
	rm -rf "$fresh"
	mkdir "$fresh"
	(cd "$fresh" && kernel_apt "$suite" apt-get download "$package") >"$LAB/apt.log" 2>&1 ||
		skip "$package: $(tail -n 1 "$LAB/apt.log")"
	dpkg-deb -x "$fresh/$package"_*.deb "$fresh/root"
	rm -f "$fresh"/*.deb
	# Debian 13's packages have them in /usr already; tools for modules know one place.
	if [ ! -e "$fresh/root/lib" ]; then
		ln -s usr/lib "$fresh/root/lib"
	fi
	depmod -b "$fresh/root" "${package#linux-image-}"
	printf '%s\n' "${package#linux-image-}" >"$fresh/version"
	rm -rf "${VM_DIR:?}/$suite"
	mv "$fresh" "$VM_DIR/$suite"
}

# kernel_get SUITE: sets KERNEL*; what was fetched once is used from then on
kernel_get() {
	local dir=$VM_DIR/$1
	mkdir -p "$VM_DIR"
	exec 9>"$VM_DIR/$1.lock"
	flock 9
	[ -e "$dir/version" ] || kernel_fetch "$1"
	exec 9>&-
	KERNEL_VERSION=$(cat "$dir/version")
	# shellcheck disable=SC2034 # for image.sh
	KERNEL_ROOT=$dir/root
	KERNEL=$dir/root/boot/vmlinuz-$KERNEL_VERSION
	[ -e "$KERNEL" ] || fail "$KERNEL is not there: rm -r build/vm/$1"
}
