#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# Links of sluice doctor that need more than a plain lab: rules for connections that are tracked or
# dropped, reverse path filtering on an interface with a dot, DHCP, a missing configuration, io_uring for
# a group. Each is broken for real, named, and mended by what doctor
# prints. And a doctor that is killed while its probe stands leaves nothing in the gateway, whether
# the daemon lives or is killed too.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq nft dnsmasq
make_management
make_tenant blue dotted
make_tenant_bridge port
make_ns fabric
ns_ip fabric link add br0 type bridge
make_documents 1024
start_nginx nginx
# "silent" takes connections and says nothing.
sluice_yaml() {
	section management "netns: $(ns_name mgw)"$'\n'"source: $MGMT_SOURCE"
	section relay "{workers: 1, user: \"64999\"}"
	section services "- {name: web, origins: [{address: \"tcp:$MGMT_IP:80\"}]}
$SERVICES_YAML"
	section routes "- {path: /, service: web}
$ROUTES_YAML"
}

doctor() { sluice doctor "$@" --json >"$LAB/doctor.json" 2>"$LAB/doctor.err"; }
said() { jq -r --arg l "$1" "first(.checks[] | select(.link == \$l and .state == \"failed\") | .$2 // empty)" "$LAB/doctor.json"; }
# broken LINK WORDS BREAK TENANT: the daemon mends some by itself; then it is broken once more
broken() {
	local tries
	for tries in 1 2 3 4 5; do
		$3
		doctor "$4" || break
		[ "$tries" -lt 5 ] || fail "doctor finds nothing wrong with $1"
	done
	expect_has "$(said "$1" found)" "$2" "link $1 ($(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json"))"
	expect_ne "$(said "$1" means)" "" "what a broken $1 means"
}
# mended LINK TENANT: by the very command it printed
mended() {
	local command
	command=$(said "$1" fix)
	say "mend $1: $command"
	PATH=$BUILD:$PATH bash -c "$command" >"$LAB/mend.log" 2>&1 || fail "$1: '$command' failed: $(cat "$LAB/mend.log")"
	wait_for 45 "nothing to be broken after '$command'" doctor "$2"
}

# ---- rules ----------------------------------------------------------------------------------
in_ns blue nft -f - <<'NFT'
table ip nat { chain prerouting { type nat hook prerouting priority dstnat; ip daddr 169.254.169.254 tcp dport 80 redirect to :9697; }; }
table inet guard { chain in { type filter hook input priority 0; policy drop; iifname "lo" accept; }; }
NFT
start_sluiced
attach blue
attach port --interface vp0
doctor || fail "doctor of a lab in order: $(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json")"
# Workers that a reload replaces end while doctor looks: that is no fault.
for _ in 1 2 3; do
	sluice reload >>"$LAB/reload.log" || fail "reload"
	doctor || fail "doctor after a reload: $(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json")"
done
table=sluice_$(ifindex_of blue qr0)
# The daemon is told of every change and mends at once; only one that hangs leaves it.
frozen() { # BREAK WORDS
	local daemon
	daemon=$(pid_of sluiced)
	kill -STOP "$daemon"
	$1
	expect_exit 1 "doctor of a daemon that is stopped" doctor blue
	expect_has "$(said nftables found)" "$2" "rules ($(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json"))"
	expect_eq "$(said daemon fix)" "kill -CONT $daemon" "what mends the daemon"
	eval "$(said daemon fix)"
	mended nftables blue
}
no_table() { in_ns blue nft delete table inet "$table"; }
frozen no_table "table inet $table"
no_accept() { in_ns blue nft flush chain inet guard in; }
frozen no_accept "inet guard in, which drops"
in_ns blue nft flush table inet "$table"
excepted() { [ "$(in_ns blue nft list table inet "$table" | grep -c notrack)" = 2 ]; }
wait_for 10 "a table that was flushed to be filled again" excepted
expect_document blue 1024 "rules that were mended"

# ---- reverse path filtering -------------------------------------------------------------------
# A name as VLAN interfaces have it; no address, so no route back to its VMs.
ns_ip dotted link set qr0 down
ns_ip dotted link set qr0 name gw0.42
ns_ip dotted addr flush dev gw0.42
ns_ip dotted link set gw0.42 up
attach dotted --interface gw0.42
strict() { in_ns dotted sh -c 'echo 1 | tee /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/gw0.42/rp_filter' >/dev/null; }
broken rp_filter "strict on gw0.42" strict dotted
mended rp_filter dotted
detach dotted

# ---- DHCP -----------------------------------------------------------------------------------
sluice tenant create green --subnet 192.168.0.0/24 --netns "$(ns_name green)" --into "$(ns_name fabric)" \
	--bridge br0 --interface-name to-green >"$LAB/create.log" 2>&1 || fail "tenant create: $(cat "$LAB/create.log")"
NAMESPACES+=("$(ns_name green)")
served() { doctor green && jq -e >/dev/null '.checks[] | select(.link == "dhcp" and .state == "ok")' "$LAB/doctor.json"; }
wait_for 10 "dnsmasq to run" served
dnsmasq_pid() { cut -d ' ' -f 1 "/run/sluice/$INSTANCE/created/tenant-green/dnsmasq.pid"; }
kill -KILL "$(dnsmasq_pid)"
start squatter in_ns green "$PYTHON" -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.bind(("0.0.0.0", 67))
        break
    except OSError:
        time.sleep(0.01)
time.sleep(6000)'
squatted() {
	in_ns green grep -q ' 00000000:0043 ' /proc/net/udp && ! alive "$(dnsmasq_pid)"
}
# sluiced may be faster: its dnsmasq goes again.
take_port() {
	local pid
	until squatted; do
		pid=$(dnsmasq_pid)
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != dnsmasq ] || kill -KILL "$pid"
		sleep 0.1
	done
}
broken dhcp "(pid $(pid_of squatter)) has UDP port 67" take_port green
mended dhcp green
forget squatter
served || fail "dhcp is in order, and that is not said"
sluice tenant delete green >>"$LAB/create.log"

# ---- a doctor that is killed -------------------------------------------------------------------
start silent in_ns mgmt "$PYTHON" -c 'import socket, time
s = socket.create_server(("'$MGMT_IP'", 8099))
time.sleep(6000)'
SERVICES_YAML="- {name: silent, origins: [{address: \"tcp:$MGMT_IP:8099\"}]}"
ROUTES_YAML="- {path: /silent, service: silent}"
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >"$LAB/reload.log" || fail "reload"
silence() { in_ns mgmt ss -Hltn | grep -q ':8099'; }
wait_for 10 "the silent origin" silence
probing() { ns_ip "$1" link show slprobe >/dev/null 2>&1 && [ -n "$(ns_ip "$1" route show 192.0.0.8)" ]; }
doctor_pid() {
	local pid
	for pid in $(children_of "$(pid_of sluiced)"); do
		[ "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -d ' ' -f 2)" != --doctor ] || printf '%s\n' "$pid"
	done
}
# caught ASKER TENANT: the doctor is stopped in the middle of its probe, and is $victim. Where this test
# stood still while one was at it, somebody asks again.
caught() {
	victim=$(doctor_pid)
	if [ -z "$victim" ]; then
		alive "$(pid_of "$1")" || { forget "$1"; ask "$@"; }
		return 1
	fi
	kill -STOP "$victim" || return
	! probing "$2" || return 0
	kill -CONT "$victim" || return
	return 1
}
ask() { start "$1" "$BUILD/sluice" --instance "$INSTANCE" doctor "$2"; }
# A new daemon's programs have other numbers.
look() { ns_portrait "$1" | sed 's/:\[[0-9]*\]//; s/ id [0-9]* / /'; }
as_before() { diff <(printf '%s\n' "${portrait[$1]}") <(look "$1") >"$LAB/left.log"; }
declare -A portrait
for tenant in blue port; do
	portrait[$tenant]=$(look $tenant)
	ask "doctor-$tenant" $tenant
	wait_for 10 "a probe in $tenant" caught "doctor-$tenant" $tenant
	kill -KILL "$victim"
	wait_for 10 "nothing of the probe to be left in $tenant" as_before $tenant
	stop "doctor-$tenant"
	[ ! -e "/run/sluice/$INSTANCE/probe" ] || fail "the record of $tenant's probe is left"
done

say "and the daemon with it"
ask doctor-both port
wait_for 10 "a probe" caught doctor-both port
kill -STOP "$(pid_of sluiced)"
kill -KILL "$victim"
kill_sluiced
stop doctor-both
expect_ne "$(ns_ip port route show 192.0.0.8)" "" "what a doctor that was killed leaves until sluiced starts"
start_sluiced
wait_for 10 "nothing of the probe to be left" as_before port
expect_document port 1024 "after all"

# ---- no configuration ------------------------------------------------------------------------
stop_sluiced
expect_exit 1 "doctor without a configuration" "$BUILD/sluice" --instance "$INSTANCE" doctor --config "$LAB/new.yaml" --json
cp "$LAB/expect.out" "$LAB/doctor.json"
expect_has "$(said configuration found)" "there is no $LAB/new.yaml" "a missing configuration"
expect_has "$(said configuration fix)" "examples/sluice.yaml $LAB/new.yaml" "how to get one"

# ---- io_uring for a group ------------------------------------------------------------------------
# The settings are the whole machine's: doctor alone, and what mends them, see others in their place.
[ -e /proc/sys/kernel/io_uring_disabled ] || exit 0
# hardened COMMAND…
hardened() {
	# shellcheck disable=SC2016 # the inner shell expands it
	unshare --mount sh -euc 'dir=$1; shift
		for name in io_uring_disabled io_uring_group; do mount --bind "$dir/$name" /proc/sys/kernel/$name; done
		exec "$@"' sh "$LAB" "$@"
}
# io_uring DISABLED GROUP REPORT STATE: what doctor says, with that or without a daemon's report
io_uring() {
	printf '%s\n' "$1" >"$LAB/io_uring_disabled"
	printf '%s\n' "$2" >"$LAB/io_uring_group"
	io_uring_is "$3" "$4" "io_uring_disabled $1, io_uring_group $2"
}
io_uring_is() {
	hardened "$BUILD/sluiced" --doctor --instance "$INSTANCE" --config "$LAB/$SLUICED.yaml" <<<"$1" >"$LAB/doctor.json"
	expect_eq "$(jq -r '.checks[] | select(.link == "io_uring").state' "$LAB/doctor.json")" "$2" \
		"$3 ($(jq -c '.checks[] | select(.link == "io_uring")' "$LAB/doctor.json"))"
}
told='{"worker_gid": 991}'
io_uring 0 -1 "" ok
io_uring 1 64999 "" ok
io_uring 1 991 "$told" ok
for case in "1 -1" "1 100" "2 -1" "2 64999"; do
	read -r disabled group <<<"$case"
	for report in "" "$told"; do
		io_uring "$disabled" "$group" "$report" failed
		fix=$(said io_uring fix)
		say "mend io_uring: $fix"
		hardened sh -c "$fix" >"$LAB/mend.log" 2>&1 || fail "'$fix' failed: $(cat "$LAB/mend.log")"
		io_uring_is "$report" ok "after '$fix'"
		expect_eq "$(cat "$LAB/io_uring_disabled")" 1 "what is left of the hardening"
	done
done
