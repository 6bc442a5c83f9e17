# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A sluice-repod of its own for each repository test; source it.
#
#   repo_begin            state, configuration, daemon; $REPO, $URL, $SECRET, $STATE
#   api, ask, status_of   requests as root over the unix socket
#   make_deb, make_rpm    packages
#   tenant_begin TENANT   a relay's stand-in that signs for TENANT; sets $RELAY
#   apt_in, apt_setup     real apt in directories of its own

# shellcheck source-path=SCRIPTDIR source=../../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
B=http://sluice-repod # what the control socket wants as Host

# free_port: below what the kernel gives to those who connect, or one of them could have it by the
# time somebody listens there, and again whenever that one restarts.
free_port() {
	"$PYTHON" -c 'import random, socket
low = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
while True:
    port = random.randrange(10000, low) if low > 11000 else 0
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(s.getsockname()[1])
        break'
}

# repo_config [LINES]: writes $CONF; LINES are appended
repo_config() {
	cat >"$CONF" <<-YAML
		state: $STATE
		listen:
		  - address: tcp:127.0.0.1:$PORT
		  - address: unix:$SOCK
		  - address: unix:$LAB/tenants.sock
		    for: tenants
		tenants:
		  secret_file: $LAB/secret
		${1:-}
	YAML
}

repo_begin() {
	need curl jq gpg dpkg-deb apt-ftparchive createrepo_c
	lab_begin
	REPOD=${REPOD:-$BUILD/sluice-repod}
	[ -x "$REPOD" ] || fail "$REPOD is not built"
	REPO=$BUILD/sluice-repo STATE=${STATE:-$LAB/state} SOCK=$LAB/control.sock CONF=$LAB/repod.yaml
	SECRET=$(openssl rand -hex 32)
	(umask 077 && printf '%s\n' "$SECRET" >"$LAB/secret")
	PORT=$(free_port) URL=http://127.0.0.1:$PORT
	export SLUICE_REPO=unix:$SOCK
	unset SLUICE_REPO_TOKEN_FILE
	repo_config "${REPO_CONF:-}"
	repo_start
}

repo_start() {
	start repod "$REPOD" --config "$CONF"
	wait_for 10 "sluice-repod listens" curl -sf --unix-socket "$SOCK" $B/v1/status
}

repo_stop() {
	local pid status=0
	pid=$(pid_of repod)
	end_pid "$pid" 15 || status=$?
	forget repod
	expect_eq "$status" 0 "exit status of sluice-repod after SIGTERM"
}

repo_kill() {
	local pid
	pid=$(pid_of repod)
	kill -KILL "$pid" || true
	wait "$pid" 2>/dev/null || true
	forget repod
}

# api PATH [CURL OPTIONS]: prints the body
api() {
	local path=$1
	shift
	curl -sS --unix-socket "$SOCK" "$@" "$B$path"
}
# post PATH JSON
post() { api "$1" -X POST -d "$2"; }
# status_of URL [CURL OPTIONS]: prints the status
status_of() {
	local url=$1
	shift
	curl -sS -o "$LAB/body" -w '%{http_code}' "$@" "$url"
}
api_status() {
	local path=$1
	shift
	status_of "$B$path" --unix-socket "$SOCK" "$@"
}
error_code() { jq -r .error.code "$LAB/body"; }

publish() { "$REPO" publish >>"$LAB/publish.log"; }
make_key() { "$REPO" key create --name "test key" >/dev/null; }

# make_deb NAME VERSION [SIZE [DEPENDS]]: prints the path
make_deb() {
	local dir=$LAB/build/$1-$2 out=$LAB/debs/$1_$2_all.deb
	mkdir -p "$dir/DEBIAN" "$dir/usr/share/$1" "$LAB/debs"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: all\n' "$1" "$2"
		printf 'Maintainer: Test <test@example.org>\nDescription: test package %s\n' "$1"
		[ -z "${4:-}" ] || printf 'Depends: %s\n' "$4"
	} >"$dir/DEBIAN/control"
	head -c "${3:-1000}" /dev/urandom >"$dir/usr/share/$1/data"
	printf '%s\n' "$2" >"$dir/usr/share/$1/version"
	dpkg-deb -Znone --root-owner-group -b "$dir" "$out" >/dev/null
	rm -r "$dir"
	printf '%s\n' "$out"
}

# make_rpm NAME VERSION: prints the path
make_rpm() {
	need rpmbuild
	local top=$LAB/rpmbuild
	mkdir -p "$top"
	cat >"$top/$1.spec" <<-SPEC
		Name: $1
		Version: $2
		Release: 1
		Summary: test package $1
		License: none
		BuildArch: noarch
		%description
		Test.
		%install
		mkdir -p %{buildroot}/usr/share/$1
		echo $2 > %{buildroot}/usr/share/$1/version
		%files
		/usr/share/$1/version
	SPEC
	rpmbuild --quiet -bb --define "_topdir $top" --define "_rpmdir $top" \
		--define "_build_id_links none" "$top/$1.spec" >>"$LAB/rpmbuild.log" 2>&1
	printf '%s\n' "$top/noarch/$1-$2-1.noarch.rpm"
}

# tenant_begin TENANT [INSTANCE]: $RELAY is the address of a stand-in that signs as sluice does
tenant_begin() {
	local port
	port=$(free_port)
	start "relay-$1${2:-}" "$PYTHON" "$HERE/signer.py" "$port" "$LAB/tenants.sock" "$LAB/secret" "$@"
	wait_for 10 "the signer listens" curl -s -o /dev/null "http://127.0.0.1:$port/"
	# shellcheck disable=SC2034 # for the test
	RELAY=http://127.0.0.1:$port
}

# apt_setup NAME URL: an apt of its own in $LAB/apt-NAME
apt_setup() {
	local dir=$LAB/apt-$1
	mkdir -p "$dir"/{etc/apt.conf.d,etc/preferences.d,etc/sources.list.d,lists/partial,cache/archives/partial,root/var/lib/dpkg/{updates,info,triggers},log}
	: >"$dir/root/var/lib/dpkg/status"
	curl -sSf "$URL/key.gpg" >"$dir/key.gpg" # as user data would bring it
	printf 'deb [signed-by=%s] %s/repo/apt stable main\n' "$dir/key.gpg" "$2" >"$dir/etc/sources.list"
}

# apt_in NAME ARGUMENTS…: nothing of this machine's apt is read or written
apt_in() {
	local dir=$LAB/apt-$1
	shift
	: >"$dir/apt.conf"
	APT_CONFIG=$dir/apt.conf apt-get -q -y \
		-o Dir::Etc="$dir/etc" -o Dir::Etc::sourcelist="$dir/etc/sources.list" \
		-o Dir::State="$dir" -o Dir::State::lists="$dir/lists" \
		-o Dir::State::status="$dir/root/var/lib/dpkg/status" -o Dir::Cache="$dir/cache" \
		-o Dir::Log="$dir/log" -o APT::Sandbox::User=root -o APT::Architecture=amd64 \
		-o Debug::NoLocking=true -o Acquire::Languages=none -o Acquire::Retries=0 \
		-o APT::Install-Recommends=false -o DPkg::Options::="--root=$dir/root" \
		-o DPkg::Options::="--force-not-root" -o Dpkg::Use-Pty=0 \
		-o DPkg::Options::="--log=$dir/log/dpkg.log" "$@"
}
apt_update() { apt_in "$1" update --error-on=any; }
