#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Every command that prints for people has --json; what it prints parses, and holds what
# docs/control.md promises. Secrets are in none of it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
printf 'a-very-secret-word' >"$LAB/secret"
chmod 600 "$LAB/secret"
SERVICES_YAML="- name: signed
  identity: sluice
  secret_file: $LAB/secret
  origins: [{address: \"tcp:$MGMT_IP:80\"}]"
ROUTES_YAML='- {path: /signed, service: signed}'
start_sluiced
attach fd
attach stream --bridge stream --fail drop --guard tc
expect_document fd 1024 "before"
vm_status fd "$META/signed/x" >/dev/null
# The map is written once a second.
both_told() { [ "$(tenant fd .relay.requests)" -ge 2 ] && [ "$(tenant fd .relay.requests)" = "$(bpf_relay fd requests)" ]; }
wait_for 10 "status and the map to tell of two requests" both_told

sluice status --json >"$LAB/status.json"
jq -e '.version and .instance and (.pid > 0) and (.uptime_s >= 0) and .kernel
	and (.features | type == "object") and (.degraded | type == "array")
	and (.workers | all(.pid > 0 and has("index") and has("role") and has("generation")
		and has("state") and has("connections") and has("restarts")))
	and (.services | length == 4) and (.services | all(.name and (.origins | all(.address and has("connects") and has("failures")))))
	and (.tenants | length == 2)' "$LAB/status.json" >/dev/null || fail "status --json: $(cat "$LAB/status.json")"

sluice tenant list --json | jq -e 'length == 2 and all(.name and .state == "attached")' >/dev/null ||
	fail "tenant list --json"
tenant_keys='has("id") and has("netns") and (.netns_cookie > 0) and .interface == "qr0" and (.ifindex > 0)
	and .l3_interface == "qr0" and (.l3_ifindex > 0) and .state == "attached" and has("reason")
	and (.guard | has("mode") and has("active") and has("raised") and has("lowered"))
	and .ports == [80, 8080] and .ipv6 == true and (.listeners | length > 0)
	and (.listeners | all((.family == 4 or .family == 6) and has("port") and has("worker") and (.socket_cookie > 0)))
	and (.verdicts | has("new_connection") and has("bad_port"))
	and (.relay | has("requests") and has("bytes_inline"))'
for vm in fd stream; do
	sluice tenant show $vm --json | jq -e "$tenant_keys" >/dev/null ||
		fail "tenant show --json: $(sluice tenant show $vm --json)"
done
expect_eq "$(tenant stream '"\(.bridge) \(.fail) \(.guard.mode)"')" "stream drop tc" "what was asked for"
for map in ifaces listener_info tenants verdicts relay abi; do
	bpf_map $map | jq -e 'length > 0 and (.[0] | has("formatted"))' >/dev/null || fail "map $map has no names"
done
for words in "status" "tenant list" "tenant show fd"; do
	# shellcheck disable=SC2086 # a command's words
	expect_ge "$(sluice $words | wc -c)" 20 "what '$words' prints for people"
done
if cat "$LAB"/*.json "$LAB"/*.log /proc/"$(pid_of sluiced)"/cmdline | grep -qa a-very-secret-word; then
	fail "the secret is in an output"
fi
