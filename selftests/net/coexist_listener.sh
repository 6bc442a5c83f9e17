#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# Somebody else's server binds the metadata address after sluice, on every device and with
# SO_REUSEPORT, as a monitor of proxies does: it is refused, beside a lone listener and beside a group,
# on a bridge too, where the stack places packets; also after an upgrade from a daemon that let root
# join. One that has the right to be the workers' user can join, and gets no packet of an interface.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
make_tenant_bridge port
cat >"$LAB/stranger.py" <<'P'
import http.server
import socket
import sys

class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

server = Server((sys.argv[1], 80), http.server.BaseHTTPRequestHandler)
if len(sys.argv) == 2:
    server.serve_forever()
P
TENANTS="$BRIDGES port"
USER_OF_WORKERS=(setpriv --reuid 64999 --regid 64999 --clear-groups --inh-caps +net_bind_service --ambient-caps +net_bind_service)
attach_all() {
	local bridge
	for bridge in $BRIDGES; do attach "$bridge" --bridge "$bridge"; done
	attach port --interface vp0
}
# refused WHEN: strangers, whatever they bind; VMs go on
refused() {
	local tenant address
	for tenant in $TENANTS; do
		for address in 169.254.169.254 0.0.0.0; do
			expect_fails "a stranger on $address in $tenant, $1" \
				in_ns "$tenant" timeout $((10 * PATIENCE)) "$PYTHON" "$LAB/stranger.py" $address
			expect_has "$(cat "$LAB/expect.out")" "Address already in use" "why, $1"
		done
		expect_document "$tenant" 1024 "$1"
	done
}
listens() { in_ns "$1" ss -Hltnp 'sport = :80' | grep -q "pid=$(pid_of "stranger-$1"),"; }

WORKERS=2
start_sluiced
attach_all
refused "beside a group"
for bridge in $BRIDGES; do
	start "stranger-$bridge" in_ns "$bridge" "${USER_OF_WORKERS[@]}" "$PYTHON" "$LAB/stranger.py" 169.254.169.254
	wait_for 10 "a stranger in $bridge" listens "$bridge"
	before=$(tenant "$bridge" .relay.requests)
	for ((i = 0; i < 20; i++)); do
		expect_document "$bridge" 1024 "beside a stranger"
	done
	served() { [ "$(tenant "$bridge" .relay.requests)" -ge $((before + 20)) ]; }
	wait_for 10 "all requests to be counted" served
	expect_eq "$(tenant "$bridge" .verdicts.fail_pass)" 0 "connections left to the stack"
	stop "stranger-$bridge"
done

# Listeners as an older daemon left them: root's, which root may join.
find -L "/proc/$(pid_of sluiced)/fd" -maxdepth 1 -uid 64999 -type s -exec chown 0 {} + 2>/dev/null
for tenant in $TENANTS; do
	in_ns "$tenant" timeout $((10 * PATIENCE)) "$PYTHON" "$LAB/stranger.py" 169.254.169.254 once ||
		fail "root cannot join root's listeners in $tenant: this test does not see what it is for"
done
sluice upgrade >>"$LAB/upgrade.log" 2>&1 || fail "upgrade: $(cat "$LAB/upgrade.log")"
wait_sluiced
refused "after an upgrade"
# More workers, of another user: their listeners find those that are there to be of the same.
sed -i 's/workers: 2/workers: 3/; s/user: "64999"/user: "64997"/' "$LAB/sluiced.yaml"
sluice reload >>"$LAB/upgrade.log" 2>&1 || fail "reload: $(tail -n 3 "$LAB/upgrade.log")"
grown() { [ "$(tenant port '[.listeners[] | select(.family == 4 and .port == 80)] | length')" = 3 ]; }
wait_for 10 "a third listener" grown
refused "with more workers"
stop_sluiced

WORKERS=1
start_sluiced
attach_all
refused "beside a lone listener"
