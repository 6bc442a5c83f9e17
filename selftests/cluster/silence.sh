#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A machine is shut out while one of its peers cannot hear of it: that peer trusts nobody once the
# control machine was silent for peer_trust seconds, neither by what it answers nor by whom it asks,
# and the others again when it speaks, also after its agent was killed. What is under way meanwhile
# waits, and is done afterwards.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 3
make_keys
make_tar() {
	mkdir "$LAB/app"
	head -c 6000000 /dev/urandom >"$LAB/app/data"
	echo "$1" >"$LAB/app/version"
	tar -C "$LAB/app" -cf "$LAB/app.tar" .
	rm -r "${LAB:?}/app"
}
make_tar 1
write_bundle <<-YAML
	  - name: app
	    role: software
	    tarball: $LAB/app.tar
	    target: /opt/app
	    version: "@VERSION@"
YAML
make_bundle 1
write_cluster 3 'mode: swarm
peer_trust: 10
software: [app]'
cluster_init
for i in 1 2 3; do
	enrol $i
	agent_start $i
done
ctl apply --bundle "$LAB/1.sluice" --quiet >"$LAB/apply.log" || fail "apply: $(cat "$LAB/apply.log")"

k=/var/lib/sluice-node/keys
manifest=$(ctl report --json | jq -r .plan.bundle.manifest)
# answer N: what n1 answers to nN
answer() { on "$1" curl -sk --max-time $((10 * PATIENCE)) -o /dev/null -w '%{http_code}' --cert $k/node.pem --key $k/node.key "https://10.9.0.11:8444/v1/have/$manifest"; }
answers() { [ "$(answer "$1")" = "$2" ]; }
wait_for 10 "n1 answers its peers" answers 2 200
expect_eq "$(answer 3)" 200 "n3 is a peer of n1"

# n1 does not hear that n3 is shut out: both ways, for an answer to a poll under way needs only one.
between() {
	ns_ip c route "$1" blackhole "$(node_ip 1)"
	ns_ip n1 route "$1" blackhole $CONTROL_IP
}
between add
ctl revoke n3 >"$LAB/revoke.log" || fail "revoke: $(cat "$LAB/revoke.log")"
wait_for 40 "n1 trusts n3 no more" answers 3 403
expect_eq "$(answer 2)" 403 "n1 knows of nobody whether it is a peer still"
wait_for 10 "n1 says so" grep -q "no word from the control machine for 10 s" "$LAB/agent-n1.log"
# Killed, it knows no better.
agent_kill 1
agent_start 1
listens() { on 1 curl -sk --max-time $((5 * PATIENCE)) -o /dev/null "https://10.9.0.11:8444/"; }
wait_for 20 "n1 listens again" listens
expect_eq "$(answer 2)" 403 "n1 has just begun"
between del
wait_for 40 "n1 trusts n2 again" answers 2 200
expect_eq "$(answer 3)" 403 "n3 is shut out"

# Silence under way: who heard it last is not believed either, and all of it ends well.
make_tar 2
make_bundle 2
tc -n "$SL_ID-c" qdisc add dev eth0 root tbf rate 3mbit burst 64k latency 100ms
start apply in_ns c "$CLUSTER" apply --state "$LAB/state" --bundle "$LAB/2.sluice" --quiet n1 n2
begun() { on "$1" sh -c '[ -n "$(find /var/lib/sluice-node/bundle/blobs/sha256 -name "*.pieces" -size +100k)" ]' 2>/dev/null; }
wait_for 60 "pieces arrive at n1" begun 1
: >"$LAB/agent-n1.log"
between add
wait_for 40 "n1 doubts its peers in the middle" grep -q "no word from the control machine for 10 s" "$LAB/agent-n1.log"
between del
tc -n "$SL_ID-c" qdisc del dev eth0 root
wait_for 40 "n1 trusts them again" grep -q "peers are trusted again" "$LAB/agent-n1.log"
collect apply || fail "apply: $(cat "$LAB/apply.log")"
for i in 1 2; do expect_eq "$(on $i cat /opt/app/version)" 2 "app on n$i"; done
