#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# Who asks is told by sluice alone, per service: none, sluice (signed), neutron, nova. Whatever a
# client sends under such names, in any spelling, is gone from every request of a connection, and
# "Connection: X-Instance-ID" takes nothing of ours away. The signature is checked by openssl.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need curl jq openssl
make_management
# shellcheck disable=SC2086 # a list of words
make_tenant $BRIDGES
start_oddorigin mgmt
SECRET='correct horse battery staple'
printf '%s\n' "$SECRET" >"$LAB/secret"
chmod 600 "$LAB/secret"

# As OpenStack names its namespaces; what stands behind "qrouter-" is the router's id.
mkdir "$LAB/netns"
link_ns() {
	touch "$LAB/netns/$2"
	mount --bind "$(ns_path "$1")" "$LAB/netns/$2"
}
unlink_all() { umount "$LAB"/netns/* 2>/dev/null || true; }
trap 'unlink_all; lab_end' EXIT

for bridge in $BRIDGES; do
	link_ns "$bridge" "qrouter-id-$bridge"
	TENANTS_YAML+="- {name: $bridge, netns: $LAB/netns/qrouter-id-$bridge, interface: qr0, bridge: $bridge}"$'\n'
done
origin="origins: [{address: \"tcp:$MGMT_IP:8081\"}]"
SERVICES_YAML="- {name: plain, identity: none, $origin}
- {name: unsigned, identity: sluice, $origin}
- {name: signed, identity: sluice, secret_file: $LAB/secret, $origin}
- {name: neutron, identity: neutron, $origin}
- {name: nova, identity: nova, secret_file: $LAB/secret, $origin}"
ROUTES_YAML='- {path: /new/headers, service: signed, methods: [GET, POST, DELETE]}
- {path: /odd/headers/none, service: plain}
- {path: /odd/headers/unsigned, service: unsigned}
- {path: /odd/headers/neutron, service: neutron}
- {path: /odd/headers/nova, service: nova}'

# Every name that means who somebody is, or what was asked, to some origin.
NAMES='X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto Forwarded X-Real-IP X-Instance-ID X-Tenant-ID
	X-Instance-ID-Signature X-Neutron-Router-ID X-Neutron-Network-ID X-OVN-Network-ID X-Metadata-Provider
	X-Metadata-Provider-Signature X-Sluice-Tenant X-Sluice-Client X-Sluice-Instance X-Sluice-Signature
	X-Sluice-Time X-Sluice-Bridge X-Original-URL X-HTTP-Method-Override Proxy'
# In any case, with '_', and each twice; one request of them after the other, at most 100 fields.
spoofs() {
	local name spelled
	for name in $NAMES; do
		for spelled in "$name" "${name,,}" "${name^^}" "${name//-/_}" "$name"; do
			printf '%s: evil\n' "$spelled"
		done
	done
}

field() { sed -n "s/^$1: //p" <<<"$2" | tr -d '\r'; }

# ask TENANT PATH [CURL-OPTION…]: the request head as the origin got it
ask() {
	local vm=$1 path=$2
	shift 2
	vm_curl "$vm" "$@" "$META$path" | tr -d '\r'
}

check_signature() {
	local vm=$1 head=$2 method=$3 target=$4 now want sent
	expect_eq "$(field X-Sluice-Tenant "$head")" "$vm" "tenant ($vm)"
	expect_eq "$(field X-Sluice-Client "$head")" "$VM_IP" "client ($vm)"
	sent=$(field X-Sluice-Time "$head")
	now=$(date +%s)
	expect_le $((now > sent ? now - sent : sent - now)) 60 "seconds between signature and now ($vm)"
	want=$(printf 'v1\n%s\n\n%s\n%s\n%s\n%s\n' "$vm" "$VM_IP" "$method" "$target" "$sent" |
		openssl dgst -sha256 -hmac "$SECRET" -r | cut -d ' ' -f 1)
	expect_eq "$(field X-Sluice-Signature "$head")" "v1=$want" "signature of $method $target ($vm)"
}

check() {
	local vm=$1 head part path lines=()
	head=$(ask "$vm" /odd/headers/none)
	grep -qiE '^(x-|forwarded)' <<<"$head" && fail "identity none adds something: $head"
	head=$(ask "$vm" /odd/headers/unsigned)
	expect_eq "$(field X-Sluice-Tenant "$head") $(field X-Sluice-Client "$head")" "$vm $VM_IP" "unsigned ($vm)"
	expect_eq "$(field X-Sluice-Signature "$head")" "" "no signature without a secret ($vm)"
	head=$(ask "$vm" '/new/headers?a=1&b=%7e')
	check_signature "$vm" "$head" GET '/new/headers?a=1&b=%7e'
	head=$(ask "$vm" '/new/x/../headers' --path-as-is -X DELETE)
	check_signature "$vm" "$head" DELETE /new/headers
	head=$(ask "$vm" /odd/headers/neutron)
	expect_eq "$(field X-Forwarded-For "$head")" "$VM_IP" "neutron's client ($vm)"
	expect_eq "$(field X-Neutron-Router-ID "$head")" "id-$vm" "neutron's router ($vm)"
	expect_eq "$(vm_status "$vm" "$META/odd/headers/nova")" 404 "nova without a binding ($vm)"
	expect_eq "$(vm_status "$vm" -H 'X-Instance-ID: mine' -H 'X-Tenant-ID: mine' "$META/odd/headers/nova")" 404 \
		"nova without a binding, whatever the client says ($vm)"

	# Three requests on one connection, each with another third of the spoofs, each time all gone.
	mapfile -t lines < <(spoofs)
	for path in /odd/headers/none /odd/headers/unsigned /odd/headers/neutron /new/headers; do
		: >"$LAB/requests"
		for part in 0 1 2; do
			printf 'GET %s HTTP/1.1\nHost: 169.254.169.254\n' "$path"
			printf '%s\n' "${lines[@]:part * 40:40}"
			printf 'Connection: keep-alive, X-Instance-ID, X-Sluice-Tenant, x-forwarded-for\n'
			printf 'Connection: X-Sluice-Signature, X-Neutron-Router-ID, Host\n'
			printf 'X-Harmless: stays-%s\n\n' $part
		done | sed 's/$/\r/' >"$LAB/requests"
		vm_raw "$vm" --half-close raw <"$LAB/requests" | tr -d "\r" | sed "s,HTTP/1.1 200,\n&," >"$LAB/answers"
		expect_eq "$(grep -c '^HTTP/1.1 200' "$LAB/answers")" 3 "answers of $path ($vm)"
		expect_eq "$(grep -c '^X-Harmless: stays-' "$LAB/answers")" 3 "what is the client's own ($vm)"
		expect_eq "$(grep -c '^GET /' "$LAB/answers")" 3 "requests on one connection ($vm)"
		if grep -q evil "$LAB/answers"; then
			fail "$path ($vm): the origin saw: $(grep evil "$LAB/answers" | head -n 3)"
		fi
		case $path in
		*unsigned) expect_eq "$(grep -c "^X-Sluice-Tenant: $vm\$" "$LAB/answers")" 3 "ours stays ($vm)" ;;
		*neutron) expect_eq "$(grep -c "^X-Neutron-Router-ID: id-$vm\$" "$LAB/answers")" 3 "ours stays ($vm)" ;;
		/new*) expect_eq "$(grep -c '^X-Sluice-Signature: v1=' "$LAB/answers")" 3 "ours stays ($vm)" ;;
		esac
	done
}

start_sluiced
for bridge in $BRIDGES; do
	attached() { [ "$(tenant "$bridge" .state)" = attached ]; }
	wait_for 10 "$bridge to be attached" attached
	check "$bridge"
done
if cat "$LAB"/*.log /proc/"$(pid_of sluiced)"/cmdline | grep -qaF "$SECRET"; then
	fail "the secret is in a log"
fi
stop_sluiced

# Attached by command instead of configured: the namespace's name is known all the same.
TENANTS_YAML=
start_sluiced
for bridge in $BRIDGES; do
	sluice tenant attach "$bridge" --netns "$LAB/netns/qrouter-id-$bridge" --interface qr0 --bridge "$bridge" \
		>>"$LAB/attach.log" 2>&1 || fail "attach: $(tail -n 3 "$LAB/attach.log")"
	expect_eq "$(field X-Neutron-Router-ID "$(ask "$bridge" /odd/headers/neutron)")" "id-$bridge" \
		"neutron's router of an attached tenant ($bridge)"
done
stop_sluiced
