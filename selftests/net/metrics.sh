#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# Metrics: strict Prometheus text whose numbers are the true ones, from the command and from the
# endpoint, which is an unprivileged process of its own that outlives reloads, upgrades and kills;
# every metric of the dashboard is there.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq
make_management
make_tenant blue green red
make_documents 1024
start_nginx nginx
URL=http://$MGMT_SOURCE:9477/metrics
METRICS_YAML="listen: \"tcp:$MGMT_SOURCE:9477\"
user: \"64998\""
METRICS_TENANTS=
eval "$(declare -f sluice_yaml | sed '1s/sluice_yaml/plain_yaml/')"
sluice_yaml() {
	plain_yaml
	section metrics "$METRICS_YAML$METRICS_TENANTS"
}
start_sluiced
attach blue
attach green
attach red

scrape() { in_ns mgmt curl -qsS --fail --noproxy '*' --max-time $((10 * PATIENCE)) "$@"; }
served() { scrape "$URL" >"$LAB/text"; }
# value SERIES: of the last text
value() { awk -v s="$1" 'index($0, s " ") == 1 { print $NF }' "$LAB/text"; }
exporter() { pgrep -P "$(pid_of sluiced)" -f -- '^sluiced --exporter$'; }
check_text() { "$PYTHON" "$TOOLS/promcheck.py" <"$LAB/text" >"$LAB/names" || fail "$1: $(head -c 300 "$LAB/names")"; }

say "the command"
sluice metrics >"$LAB/text"
check_text "the command's text"
expect_eq "$(value 'sluice_tenants{state="attached"}')" 3 "tenants"
expect_eq "$(value 'sluice_tenant_requests_total{tenant="blue"}')" 0 "requests before any"
[ -z "$(value 'sluice_tenant_response_seconds_count{tenant="blue"}')" ] || fail "a histogram of a tenant that never asked"
! command -v promtool >/dev/null || promtool check metrics <"$LAB/text" || fail "promtool complains"

say "the numbers"
for _ in 1 2 3 4 5; do expect_document blue 1024 "fetch"; done
vm_status blue "$META/none" >/dev/null
wait_for 10 "the endpoint" served
# What was just counted may be half a second old.
counted() { served && [ "$(value 'sluice_tenant_requests_total{tenant="blue"}')" = 6 ]; }
wait_for 10 "six requests to be counted" counted
check_text "the endpoint's text"
expect_eq "$(value 'sluice_tenant_responses_total{tenant="blue",class="2xx"}')" 5 "2xx"
expect_eq "$(value 'sluice_tenant_responses_total{tenant="blue",class="4xx"}')" 1 "4xx"
expect_eq "$(value 'sluice_tenant_response_seconds_count{tenant="blue"}')" 6 "responses timed"
expect_eq "$(value 'sluice_tenant_response_seconds_bucket{tenant="blue",le="+Inf"}')" 6 "responses up to infinity"
expect_eq "$(value 'sluice_tenant_packets_total{tenant="blue",verdict="new_connection"}')" \
	"$(bpf_verdict blue new_connection)" "new connections, as the map has them"
expect_eq "$(value "sluice_origin_up{service=\"web\",origin=\"tcp:$MGMT_IP:80\"}")" 1 "the origin"

say "who serves it"
pid=$(exporter)
expect_eq "$(awk '/^Uid:/ { print $2, $3, $4 }' "/proc/$pid/status")" "64998 64998 64998" "its user"
expect_eq "$(awk '/^Cap(Eff|Prm|Bnd|Amb)/ { print $2 }' "/proc/$pid/status" | sort -u)" 0000000000000000 "its capabilities"
expect_eq "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")" 2 "its system call filter"
expect_ne "$(readlink "/proc/$pid/ns/net")" "$(readlink /proc/self/ns/net)" "its namespace"
expect_eq "$(nsenter --net="/proc/$pid/ns/net" ip -br link | awk '$2 != "DOWN"')" "" "interfaces that are up there"

say "odd requests"
expect_eq "$(in_ns mgmt curl -qs --noproxy '*' -o /dev/null -w '%{http_code}' "$URL/x")" 404 "another path"
expect_eq "$(in_ns mgmt curl -qs --noproxy '*' -o /dev/null -w '%{http_code}' -X POST -d x=1 "$URL")" 405 "POST"
expect_eq "$(in_ns mgmt curl -qsI --noproxy '*' -o /dev/null -w '%{http_code}' "$URL")" 200 "HEAD"
expect_eq "$(in_ns mgmt curl -qs --noproxy '*' -o /dev/null -w '%{http_code}' -H "X: $(head -c 30000 /dev/zero | tr '\0' x)" "$URL")" 431 "a head without end"
expect_has "$(in_ns mgmt curl -qsi --noproxy '*' "$URL" | head -n 12 | tr -d '\r')" \
	"Content-Type: text/plain; version=0.0.4; charset=utf-8" "the type"
# Two thousand bytes of a head that never ends hold up nobody.
cat >"$LAB/slow.py" <<'PY'
import socket, sys, time
held = []
for _ in range(40):
    held.append(socket.create_connection((sys.argv[1], 9477)))
    held[-1].send(b"GET /metrics HTTP/1.1\r\nX: ")
print("ready", flush=True)
time.sleep(6000)
PY
start slow in_ns mgmt "$PYTHON" "$LAB/slow.py" "$MGMT_SOURCE"
wait_for 5 "slow peers" grep -q ready "$LAB/slow.log"
served || fail "slow peers keep others out"
stop slow

say "kill, reload, upgrade"
kill -KILL "$pid"
wait_for 10 "another exporter" served
expect_ne "$(exporter)" "$pid" "the exporter's pid"
sluice upgrade >/dev/null
upgraded() { [ "$(sluice status --json | jq .upgrades)" = 1 ] && served; }
wait_for 20 "the endpoint after an upgrade" upgraded
expect_eq "$(value sluice_upgrades_total)" 1 "upgrades"
expect_eq "$(value 'sluice_tenant_requests_total{tenant="blue"}')" 6 "requests after an upgrade"
METRICS_YAML="listen: \"unix:$LAB/metrics.sock\"
user: \"64998\"
"
METRICS_TENANTS="tenants: 1"
sluice_yaml | sed '/^ *$/d' >"$LAB/sluiced.yaml"
sluice reload >/dev/null
by_socket() { curl -qsS --fail --max-time $((10 * PATIENCE)) --unix-socket "$LAB/metrics.sock" http://localhost/metrics >"$LAB/text"; }
wait_for 10 "the unix socket" by_socket
check_text "text with one tenant of its own"
expect_eq "$(value 'sluice_tenant_requests_total{tenant="blue"}')" 6 "requests of the first tenant"
expect_eq "$(value 'sluice_tenant_requests_total{tenant="(others)"}')" 0 "requests of the others"
! grep -q 'tenant="green"' "$LAB/text" || fail "a tenant beyond the bound has series of its own"
expect_eq "$(stat -c %a "$LAB/metrics.sock")" 660 "the socket's mode"
! in_ns mgmt curl -qs --noproxy '*' --max-time 2 "$URL" >/dev/null || fail "the old address still answers"

say "the dashboard asks for nothing that is not there"
dashboard=$TOP/scripts/dashboards/sluice.json
jq -e '.title and (.panels | length > 5)' "$dashboard" >/dev/null || fail "no dashboard"
jq -r '.. | .expr? // empty, (.. | .query? // empty | strings)' "$dashboard" | grep -o 'sluice_[a-z0-9_]*' |
	sed 's/_bucket$//; s/_\(sum\|count\)$//' | sort -u >"$LAB/wanted"
[ -s "$LAB/wanted" ] || fail "the dashboard asks for nothing"
while read -r name; do
	grep -qx "$name" "$LAB/names" || fail "the dashboard asks for $name, which is not exported"
done <"$LAB/wanted"
stop_sluiced
[ ! -e "$LAB/metrics.sock" ] || fail "the socket is left"
