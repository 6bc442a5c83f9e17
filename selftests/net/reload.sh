#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
#
# "sluice reload" applies a changed configuration while a large body is on its way and requests
# come in all the time: none is refused, none is cut. A wrong file changes nothing and says why. A tenant's
# guard and fail policy follow where it stands; other ports are another gate, and the log says so.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((32 * MIB))
start_oddorigin mgmt

applied() { [ "$(vm_status "$bridge" "$META/new/length/10")" = 200 ]; }

for bridge in $BRIDGES; do
	ROUTES_YAML='' RELAY_YAML='drain_timeout: 300000'
	LIMITS_YAML='tenants: 8'
	start_sluiced
	for _ in 1 2 3; do
		detach "$bridge"
		attach "$bridge" --bridge "$bridge"
	done
	expect_eq "$(vm_status "$bridge" "$META/new/length/10")" 404 "the new route before"

	in_ns "$bridge-vm" curl -qsS --fail --noproxy '*' --limit-rate 8M "$META/$((32 * MIB))" >"$LAB/slow" &
	slow=$!
	rm -f "$LAB/enough"
	(while [ ! -e "$LAB/enough" ]; do
		expect_document "$bridge" 1024 "during the reload ($bridge)"
	done) &
	steady=$!
	sleep 0.5

	cp "$LAB/sluiced.yaml" "$LAB/good.yaml"
	echo 'no_such_key: 1' >>"$LAB/sluiced.yaml"
	expect_fails "reload of a wrong file" sluice reload
	expect_has "$(cat "$LAB/expect.out")" no_such_key "why it was refused"
	ROUTES_YAML='- {path: /new, service: odd}'
	# It has another place than the first: a limit may be lowered below that.
	LIMITS_YAML='tenants: 1'
	sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
	sluice reload >>"$LAB/reload.log" || fail "reload ($bridge)"
	wait_for 10 "the reloaded configuration" applied

	wait $slow || fail "the body on its way was cut ($bridge)"
	expect_eq "$(sha256sum <"$LAB/slow" | cut -d ' ' -f 1)" "${SUM[$((32 * MIB))]}" "the body on its way ($bridge)"
	touch "$LAB/enough"
	wait $steady || fail "a request during the reload failed ($bridge)"
	stop_sluiced
done

# reload: what the variables say now
reload() {
	sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
	sluice reload >>"$LAB/reload.log" || fail "reload"
}
# stands BRIDGE GUARD FAIL: with that guard at work
stands() {
	tenant "$1" '[.guard.active, .fail, .state] | join(" ")' | grep -qx "$2 $3 attached"
}
ROUTES_YAML='' LIMITS_YAML=''
# tenants FAIL
tenants() {
	TENANTS_YAML=$(for bridge in $BRIDGES; do
		echo "- {name: $bridge, netns: $(ns_name "$bridge"), interface: qr0, bridge: $bridge, fail: $1}"
	done)
}
tenants pass
start_sluiced
for bridge in $BRIDGES; do
	wait_for 10 "$bridge to be attached" stands "$bridge" tc pass
	tenant "$bridge" .id >"$LAB/id-$bridge"
	start "slow-$bridge" in_ns "$bridge-vm" curl -qsS --fail --noproxy '*' --limit-rate 8M -o "$LAB/slow-$bridge" \
		"$META/$((32 * MIB))"
done
begun() { [ -s "$LAB/slow-$bridge" ]; }
for bridge in $BRIDGES; do wait_for 10 "the body of $bridge to begin" begun; done
GUARD_YAML='mode: xdp-generic'
tenants drop
reload
for bridge in $BRIDGES; do wait_for 5 "generic XDP for $bridge, which drops" stands "$bridge" xdp-generic drop; done
GUARD_YAML='mode: tc'
reload
for bridge in $BRIDGES; do
	wait_for 5 "TC for $bridge" stands "$bridge" tc drop
	expect_document "$bridge" 1024 "guarded otherwise"
	collect "slow-$bridge" || fail "the body on its way was cut by another guard ($bridge)"
	expect_eq "$(sha256sum <"$LAB/slow-$bridge" | cut -d ' ' -f 1)" "${SUM[$((32 * MIB))]}" "that body ($bridge)"
	expect_eq "$(tenant "$bridge" .id)" "$(cat "$LAB/id-$bridge")" "number of the gate ($bridge)"
done
expect_fails "a word of gates made anew" grep 'attached anew' "$LAB/sluiced.log"

LISTEN_YAML='ports: [80, 8081]'
reload
for bridge in $BRIDGES; do
	expect_has "$(cat "$LAB/sluiced.log")" "tenant $bridge: attached anew, for another list of ports" "the log"
	expect_eq "$(vm_status "$bridge" "http://169.254.169.254:8081/1024")" 200 "the new port ($bridge)"
done
