#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What operators do at three in the morning: each mistake is one sentence with its place and the next
# step, changes nothing, and is told alike by the daemon's log, by the command and by doctor.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq
make_management
make_tenant blue
make_documents 1024
start_nginx nginx

# said CODE WORDS COMMAND…: fails with CODE, and says WORDS on stderr
said() {
	local want=$1 words=$2 got=0
	shift 2
	"$@" >"$LAB/out" 2>"$LAB/err" || got=$?
	expect_eq "$got" "$want" "exit status of $* ($(cat "$LAB/out" "$LAB/err"))"
	expect_has "$(cat "$LAB/err")" "$words" "$*"
}

say "a file with several mistakes: a line for each, and nothing is started"
printf 'relay:\n  worker: 2\nengine: uring\nlimits: {tenants: many}\n' >"$LAB/bad.yaml"
said 1 "$LAB/bad.yaml:2:3: relay: no key 'worker' exists here; did you mean 'workers'?" \
	"$BUILD/sluiced" --check-config --config "$LAB/bad.yaml"
expect_has "$(cat "$LAB/err")" "$LAB/bad.yaml:3:1: no key 'engine' exists here; it belongs into: relay" "the second"
expect_has "$(cat "$LAB/err")" "$LAB/bad.yaml:4:19: tenants is 'many'; write a whole number" "the third"
said 1 "error: configuration: $LAB/bad.yaml:4:19: " "$BUILD/sluiced" --config "$LAB/bad.yaml" --instance "$INSTANCE"
expect_eq "$(grep -c 'error: configuration: ' "$LAB/err")" 3 "lines of the log"
printf 'management: {netns: %s}\nrelay: {user: "64999"}\n' "$SL_ID-none" >"$LAB/bad.yaml"
said 1 "management.netns: $SL_ID-none: No such file or directory; \"ip netns list\" names those there are" \
	"$BUILD/sluiced" --config "$LAB/bad.yaml" --instance "$INSTANCE"
[ ! -e "/sys/fs/bpf/sluice/$INSTANCE" ] || fail "a sluiced that could not start left pins"

start_sluiced
say "two daemons"
said 1 "instance $INSTANCE is served by process $(pid_of sluiced) already" \
	"$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"

say "names that are not there"
wrong() { said "$1" "$2" sluice tenant attach "${@:3}"; }
ns=$(ns_name blue)
wrong 1 "there is no namespace $ns-x" blue --netns "$ns-x" --interface qr0
expect_has "$(cat "$LAB/err")" "ip netns list" "the next step"
wrong 1 "no interface qr00 in namespace $ns" blue --netns "$ns" --interface qr00
wrong 1 "lo is the loopback" blue --netns "$ns" --interface lo
wrong 2 "name is missing or wrong" "bl ue" --netns "$ns" --interface qr0
expect_has "$(cat "$LAB/err")" "up to 63 letters" "what a name is"
said 1 "there is no tenant bleu" sluice tenant show bleu
expect_eq "$(sluice tenant list --json)" "[]" "tenants that mistakes left"
said 1 "sluice log: there is no access log" sluice log
expect_has "$(sluice log rotate)" "there is no access log" "rotating none"
said 2 "mac is no MAC address; write one machine's" sluice port set blue --mac zz --address 192.168.0.10 --instance-id a --project-id b
attach blue

say "the file is wrong while the daemon runs"
sed -i 's/path: \/socket/pth: \/socket/' "$LAB/sluiced.yaml"
said 2 "did you mean 'path'?" sluice reload
expect_has "$(cat "$LAB/err")" "the configuration in force is unchanged" "the next step"
sluice doctor --json >"$LAB/doctor.json" || true
jq -e '.checks[] | select(.link == "configuration" and .state == "warning")
	| (.found | contains("did you mean")) and (.means | contains("goes on")) and (.fix | contains("--check-config"))' \
	"$LAB/doctor.json" >/dev/null || fail "doctor of a wrong file: $(jq -c '[.checks[] | select(.state != "ok")]' "$LAB/doctor.json")"
said 1 "did you mean 'path'?" sluice upgrade
expect_document blue 1024 "with a wrong file"

say "nobody to ask, nowhere to write"
said 3 "sluiced is not running for instance $SL_ID-x" "$BUILD/sluice" --instance "$SL_ID-x" status
# shellcheck disable=SC2016 # the inner shell expands it
said 1 "No space left on device" sh -c '"$0" --instance "$1" status >/dev/full' "$BUILD/sluice" "$INSTANCE"
# A reader that leaves is no failure that anybody has to be told of.
{ sluice metrics 2>"$LAB/err" || true; } | head -n 1 >"$LAB/out"
expect_eq "$(cat "$LAB/err")" "" "what is said when the reader leaves"
stop_sluiced
