#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# sluice doctor: nothing to say about a lab in order; then each link is broken for real, must be
# named, and the command it prints must mend it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq nft
make_management
make_tenant blue
make_documents 1024
start_nginx nginx
# Only services that answer a plain GET.
sluice_yaml() {
	section management "netns: $(ns_name mgw)"$'\n'"source: $MGMT_SOURCE"
	section relay "{workers: 2, user: \"64999\"}"
	section services "- {name: web, identity: sluice, origins: [{address: \"tcp:$MGMT_IP:80\"}]}
- {name: socket, origins: [{address: \"unix:$LAB/nginx.sock\"}]}"
	section routes "- {path: /, service: web}
- {path: /socket, service: socket}"
}
start_sluiced
attach blue

doctor() { sluice doctor "$@" --json >"$LAB/doctor.json" 2>"$LAB/doctor.err"; }
# found LINK [STATE]: what it says of a link
found() { jq -r --arg l "$1" --arg s "${2:-failed}" '.checks[] | select(.link == $l and .state == $s) | .found' "$LAB/doctor.json"; }
mend_of_all() { jq -r --arg l "$1" '.checks[] | select(.link == $l and .state == "failed") | .fix' "$LAB/doctor.json"; }
mend_of() { mend_of_all "$1" | sed -n 1p; }
# broken LINK WORDS: doctor fails, and names that link with these words
broken() {
	expect_exit 1 "doctor with a broken $1" doctor blue
	broken_here "$@"
}
# broken_here LINK WORDS: the same doctor named this one, too
broken_here() {
	expect_has "$(found "$1")" "$2" "link $1 ($(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json"))"
	[ -n "$(jq -r --arg l "$1" 'first(.checks[] | select(.link == $l and .state == "failed") | .means // empty)' "$LAB/doctor.json")" ] ||
		fail "$1: it does not say what that means"
}
# as_installed COMMAND: in a shell where the programs under test are found by name
as_installed() { PATH=$BUILD:$PATH bash -c "$1"; }
# mended LINK: runs the very command it printed, and all is well again
mended() {
	local command
	command=$(mend_of "$1")
	say "mend $1: $command"
	as_installed "$command" >"$LAB/mend.log" 2>&1 || fail "$1: '$command' failed: $(cat "$LAB/mend.log")"
	wait_for 15 "nothing to be broken after '$command'" doctor blue
}

say "in order"
before=$(ns_portrait blue)
doctor blue || fail "doctor of a lab in order: $(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json")"
for link in kernel io_uring bpffs pins daemon worker origin interface filters xdp route listener rp_filter probe; do
	[ -n "$(found $link ok)" ] || fail "nothing was said about $link"
done
expect_has "$(found probe ok)" "GET / (service web): " "the probe"
expect_eq "$(ns_portrait blue)" "$before" "what the probe left in the gateway"
expect_document blue 1024 "after a probe"
page=$(sluice doctor)
expect_has "$page" "none is broken" "the page"
expect_has "$(sluice doctor --all blue)" "guard and steer are on qr0" "the page with --all"

say "strict rp_filter is no obstacle to the probe"
in_ns blue sh -c 'echo 1 >/proc/sys/net/ipv4/conf/qr0/rp_filter'
doctor blue || fail "doctor with strict rp_filter: $(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json")"

# The daemon is told of such changes and mends them at once: only one that hangs leaves them to doctor.
say "filters and routes, and the daemon itself"
daemon=$(pid_of sluiced)
kill -STOP "$daemon"
in_ns blue tc qdisc del dev qr0 clsact
ns_ip blue route del table local 169.254.169.254
ns_ip blue -6 route del table local fe80::a9fe:a9fe dev qr0
broken daemon "pid $daemon, is stopped"
broken_here filters qr0
broken_here route "169.254.169.254 is not local"
broken_here route "fe80::a9fe:a9fe is not local"
filters=$(mend_of filters)
mend_of_all route | while read -r command; do
	as_installed "$command" || fail "route: '$command' failed"
done
expect_eq "$(mend_of daemon)" "kill -CONT $daemon" "how to mend it"
eval "$(mend_of daemon)"
as_installed "$filters" >/dev/null || fail "filters: '$filters' failed"
wait_for 15 "nothing to be broken with the daemon back" doctor blue

say "interface"
ns_ip blue link set qr0 down
broken interface "qr0 is down"
mended interface

say "worker"
worker=$(worker_pids | head -n 1)
kill -STOP "$worker"
broken worker "pid $worker, is stopped"
mended worker

say "origin"
stop nginx
broken origin "Connection refused"
expect_has "$(found probe)" ": 50" "the probe without origin"
start_nginx nginx
wait_for 15 "nothing to be broken with the origin back" doctor blue

say "packet filter"
in_ns blue nft -f - <<'NFT'
table inet filter {
	chain input {
		type filter hook input priority 0; policy accept;
		tcp dport 80 drop
	}
}
NFT
broken probe "no connection"
mended probe
in_ns blue nft delete table inet filter
wait_for 15 "nothing to be broken without the table" doctor blue

say "somebody else has the address"
detach blue
ns_ip blue addr add 169.254.169.254/32 dev lo
start squatter in_ns blue "$PYTHON" -m http.server --bind 169.254.169.254 80
squatted() { in_ns blue ss -Hltn | grep -q '169.254.169.254:80'; }
wait_for 10 "the squatter to listen" squatted
sluice tenant attach blue --netns "$(ns_name blue)" --interface qr0 >>"$LAB/attach.log" 2>&1
broken listener "pid $(pid_of squatter)"
expect_eq "$(mend_of listener)" "kill $(pid_of squatter)" "how to mend it"
mended listener
forget squatter
# Its address had brought the route, and takes it along; the daemon looks when a link changes.
ns_ip blue addr del 169.254.169.254/32 dev lo
ns_ip blue link set qr0 alias looked-at
wait_for 15 "the route to be the daemon's" doctor blue
expect_document blue 1024 "after the squatter left"

say "a tenant that is not there; without a daemon"
expect_exit 1 "doctor of nobody" doctor green
expect_has "$(found attach)" "there is no tenant green" "nobody"
stop_sluiced
expect_exit 1 "doctor without a daemon" "$BUILD/sluice" --instance "$INSTANCE" doctor --config "$LAB/sluiced.yaml" --json
cp "$LAB/expect.out" "$LAB/doctor.json"
expect_has "$(found daemon)" "no sluiced runs" "no daemon"
[ -n "$(found origin ok)" ] || fail "without a daemon, the configuration's origins are not looked at"
