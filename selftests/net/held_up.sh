#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The parent is held up for longer than a connection may take: whoever waits for one is answered
# when it goes on, and a connection that stood meanwhile is used although its time is over.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
SERVICES_YAML="- name: socket-soon
  connect_timeout: 200
  origins: [{address: \"unix:$LAB/nginx.sock\"}]
- name: web-soon
  connect_timeout: 6500
  origins: [{address: \"tcp:$MGMT_IP:80\"}]"
ROUTES_YAML="- {path: /socket-soon, service: socket-soon}
- {path: /web-soon, service: web-soon}"
ln -s . "$LAB/docs/socket-soon"
ln -s . "$LAB/docs/web-soon"
start_sluiced
for bridge in $BRIDGES; do
	attach "$bridge" --bridge "$bridge"
	expect_document "$bridge" 1024 "before"
done
pid=$(pid_of sluiced)

# ask ROUTE: in the background, from every tenant's VM; answered ROUTE WHAT
ask() {
	for bridge in $BRIDGES; do
		rm -f "$LAB/$1-$bridge.log"
		start "$1-$bridge" in_ns "$bridge-vm" curl -sS --noproxy '*' --max-time $((20 * PATIENCE)) \
			-w '%{http_code}' -o "$LAB/got-$bridge" "$META/$1/1024"
	done
}
answered() {
	for bridge in $BRIDGES; do
		collect "$1-$bridge" || fail "$2 of $bridge: $(tail -n 2 "$LAB/$1-$bridge.log")"
		expect_eq "$(tail -n 1 "$LAB/$1-$bridge.log")" 200 "status of $2 of $bridge"
		expect_eq "$(sha256sum <"$LAB/got-$bridge" | cut -d ' ' -f 1)" "${SUM[1024]}" "$2 of $bridge"
	done
}

kill -STOP "$pid"
ask socket-soon
sleep 2.5
kill -CONT "$pid"
answered socket-soon "what was asked of a parent that did not hear"

# The first SYN is lost, one of the next, after 1, 3 and 7 s, is answered while the parent is stopped. If
# it could be stopped only when their time was over, all is done again.
lose() { in_ns mgmt nft "add table ip late; add chain ip late in { type filter hook input priority 0; };
	add rule ip late in tcp dport 80 tcp flags syn / syn,ack counter drop"; }
lost() { in_ns mgmt nft -j list table ip late | jq -e '[.nftables[].rule?.expr[]?.counter? | values | .packets] | add >= 2'; }
for _ in $(seq 20); do
	lose
	asked=${EPOCHREALTIME/[^0-9]/}
	ask web-soon
	wait_for 5 "both first SYNs to be lost" lost
	kill -STOP "$pid"
	in_ns mgmt nft delete table ip late
	late=$((${EPOCHREALTIME/[^0-9]/} - asked))
	while [ $((${EPOCHREALTIME/[^0-9]/} - asked)) -lt 8500000 ]; do sleep 0.1; done
	kill -CONT "$pid"
	[ $late -gt 6000000 ] || break
	for bridge in $BRIDGES; do collect "web-soon-$bridge" || true; done
done
answered web-soon "a connection that came while the parent was stopped"
