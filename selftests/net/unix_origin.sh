#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# An origin behind a unix socket, as neutron's metadata agent is: bodies whole, uploads too. One whose
# queue is full for a while is waited for.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

# Paths reach the origin as they were asked, so the documents lie under the route's prefix.
path_lab 1
for size in 0 1024 65537 4194304; do
	make_document socket/$size $size
done

check() {
	local engine=$1 bridge=$2 vm=$3 size
	for size in 0 1024 65537 4194304; do
		expect_document "$vm" "socket/$size" "unix origin ($engine, $bridge)"
	done
	expect_document "$vm" socket/1024 "again ($engine, $bridge)"
}
each_path check

# Its queue has room for two; nobody takes one out before "go" is there.
start lazy "$PYTHON" -c '
import os, socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen(1)
print("ready", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.05)
while True:
    sock, _ = listener.accept()
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    sock.close()' "$LAB/lazy.sock" "$LAB/go"
wait_for 5 "the lazy origin" grep -q ready "$LAB/lazy.log"
SERVICES_YAML="- name: lazy
  connect_timeout: 60000
  origins: [{address: \"unix:$LAB/lazy.sock\"}]"
ROUTES_YAML='- {path: /lazy, service: lazy}'
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	for i in 1 2 3 4; do
		start "lazy-$bridge-$i" in_ns "$bridge-vm" curl -qsS --noproxy '*' --max-time $((20 * PATIENCE)) \
			-o /dev/null -w '%{http_code}' "$META/lazy"
	done
done
sleep 1
touch "$LAB/go"
for bridge in $BRIDGES; do
	for i in 1 2 3 4; do
		collect "lazy-$bridge-$i" || fail "request $i of $bridge"
		expect_eq "$(cat "$LAB/lazy-$bridge-$i.log")" 204 "request $i to a full queue ($bridge)"
	done
done
