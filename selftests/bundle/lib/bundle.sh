# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Bundles from little packages made here; source it. Nothing needs a network.
#
#   bundle_begin          keys ops.{key,gpg,pub}, packages base lib app other, bundle.yaml; $BUNDLE
#   make_deb              as the repository's tests do
#   make_bundle OUT [DEFINITION [OPTION…]]
#   rewrite IN OUT CODE   a container changed by python: "entries" is a list of (name, bytes)
#   serve NAME FOLDER …   a web server with ranges; sets $WEB

# shellcheck source-path=SCRIPTDIR source=../../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SOURCE_DATE_EPOCH=1700000000

# make_deb NAME VERSION [SIZE [DEPENDS]]: into $LAB/debs
make_deb() {
	local dir=$LAB/build/$1 version=${2#*:}
	mkdir -p "$dir/DEBIAN" "$dir/usr/share/$1" "$LAB/debs"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: all\nInstalled-Size: 20\n' "$1" "$2"
		printf 'Maintainer: Test <test@example.org>\nDescription: test package %s\n' "$1"
		[ -z "${4:-}" ] || printf 'Depends: %s\n' "$4"
	} >"$dir/DEBIAN/control"
	head -c "${3:-1000}" /dev/urandom >"$dir/usr/share/$1/data"
	printf '%s\n' "$2" >"$dir/usr/share/$1/version"
	dpkg-deb -Znone --root-owner-group -b "$dir" "$LAB/debs/$1_${version}_all.deb" >/dev/null
	rm -r "$dir"
}

definition() {
	cat <<-'YAML'
		name: edge
		version: 1
		title: A cluster of little packages
		os: debian 12
		architecture: amd64
		status: empty
		debs: [debs]
		items:
		  - name: web
		    role: software
		    requires: [store]
		    packages: [app]
		    ports: [{port: 80}]
		    variables: [{name: HOST}, {name: PORT, value: "80"}]
		    configs:
		      - {path: /etc/web.conf, file: web.conf}
		    health:
		      - run: |
		          test -e /usr/share/app/version
		  - name: store
		    role: component
		    packages: [lib]
		    kernel: "6.1"
		    space: 5
		  - name: tool
		    role: software
		    version: "1.0"
		    tarball: tool.tar.gz
		    target: /opt/tool
	YAML
}

bundle_begin() {
	need apt-get apt-ftparchive dpkg-deb gpg jq tar
	lab_begin
	BUNDLE=$BUILD/sluice-bundle
	[ -x "$BUNDLE" ] || fail "$BUNDLE is not built"
	cd "$LAB"
	make_deb base 1.0
	make_deb lib 1:2.0 3000 'base (>= 1.0)'
	make_deb app 1.0 "${APP_SIZE:-2000}" lib
	make_deb other 3.0
	mkdir -p tool/bin && printf '#!/bin/sh\necho tool\n' >tool/bin/tool
	tar czf tool.tar.gz -C tool .
	# shellcheck disable=SC2016 # a template
	printf 'listen ${HOST}:${PORT} $$\n' >web.conf
	definition >bundle.yaml
	"$BUNDLE" key new ops >/dev/null
}

make_bundle() {
	local out=$1 from=${2:-bundle.yaml}
	"$BUNDLE" create --key ops.key -o "$out" "$from" "${@:3}" >create.out 2>&1 ||
		fail "create: $(cat create.out)"
}

verify() { "$BUNDLE" verify --keys ops.pub "$@"; }

# said TEXT WHAT: expect_exit keeps what was said
said() { expect_has "$(cat "$LAB/expect.out")" "$1" "$2"; }

rewrite() { "$PYTHON" "$HERE/rewrite.py" "$@"; }

free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# serve NAME FOLDER [BYTES]: answers 503 after so many bytes
serve() {
	local port
	port=$(free_port)
	start "$1" "$PYTHON" "$HERE/ranges.py" "$port" "${@:2}"
	# shellcheck disable=SC2034 # for the test
	WEB=http://127.0.0.1:$port
	wait_for 10 "the web server listens" curl -s -o /dev/null "http://127.0.0.1:$port/"
}
