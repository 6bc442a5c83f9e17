#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Somebody else's server binds the metadata address after sluice, on every device and with
# SO_REUSEPORT, as a monitor of proxies does: beside a group it gets no packet, although the stack
# would take it for the best; beside a lone listener it cannot be bound at all.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
cat >"$LAB/stranger.py" <<'P'
import http.server
import socket

class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

Server(("169.254.169.254", 80), http.server.BaseHTTPRequestHandler).serve_forever()
P
listens() { in_ns "$1" ss -Hltnp 'sport = :80' | grep -q "pid=$(pid_of "stranger-$1"),"; }

WORKERS=2
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	start "stranger-$bridge" in_ns "$bridge" "$PYTHON" "$LAB/stranger.py"
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
stop_sluiced

WORKERS=1
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	expect_fails "a stranger beside a lone listener" in_ns "$bridge" timeout 10 "$PYTHON" "$LAB/stranger.py"
	expect_has "$(cat "$LAB/expect.out")" "Address already in use" "why"
	expect_document "$bridge" 1024 "alone"
done
