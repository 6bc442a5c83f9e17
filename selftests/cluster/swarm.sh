#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Mode swarm on shaped links: nodes pass pieces on to each other, so that the control machine sends
# less than a copy for each. One is killed on the way, and another machine answers at its address
# meanwhile: the rest go on, it resumes. One that boasts of pieces it does not give is left alone; one
# whose disk lies is found out, named, and asked no more.
# Strangers get nothing from a node.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 3
make_keys
# make_tar NAME VERSION KIB
make_tar() {
	mkdir "$LAB/$1"
	head -c $(($3 * 1024)) /dev/urandom >"$LAB/$1/data"
	echo "$2" >"$LAB/$1/version"
	tar -C "$LAB/$1" -cf "$LAB/$1.tar" .
	rm -r "${LAB:?}/$1"
}
make_tar big 1 12000
make_tar next 1 6000
write_bundle <<-YAML
	  - name: big
	    role: software
	    tarball: $LAB/big.tar
	    target: /opt/big
	    version: "@VERSION@"
	    install:
	      - run: sleep 6
	  - name: next
	    role: software
	    tarball: $LAB/next.tar
	    target: /opt/next
	    version: "1"
YAML
make_bundle 1
version_of() { on "$1" cat "/opt/$2/version"; }
write_cluster 3 'mode: swarm
software: [big, next]'
shape() {
	local port
	for port in pc p1 p2 p3; do ns_ip sw link set "$port" up; done
	for port in p1 p2 p3; do tc -n "$SL_ID-sw" qdisc add dev "$port" root tbf rate 50mbit burst 64k latency 100ms; done
	tc -n "$SL_ID-c" qdisc add dev eth0 root tbf rate 50mbit burst 64k latency 100ms
	for port in 1 2 3; do tc -n "$SL_ID-n$port" qdisc add dev eth0 root tbf rate 50mbit burst 64k latency 100ms; done
}
shape
# What the control machine sends at: slow while something is to be seen before all is there.
control_rate() { tc -n "$SL_ID-c" qdisc change dev eth0 root tbf rate "$1" burst 64k latency 100ms; }
cluster_init
for i in 1 2 3; do
	enrol $i
	agent_start $i
done
expect_eq "$(ctl plan --bundle "$LAB/1.sluice" --json | jq -r .mode)" swarm "the plan's mode"

# n2 is killed with some pieces there; who answers at its address then is not it.
sources() { jq -r --arg n "$1" --arg p "$2" "[.nodes[] | select(.name == \$n) | .sources[] | select($3) | .$4] | add // 0" "$LAB/apply.log"; }
begun() { on "$1" sh -c '[ -n "$(find /var/lib/sluice-node/bundle/blobs/sha256 -name "*.pieces" -size +100k)" ]' 2>/dev/null; }
control_rate 3mbit
start apply in_ns c "$CLUSTER" apply --state "$LAB/state" --bundle "$LAB/1.sluice" --json
wait_for 60 "pieces arrive at n2" begun 2
agent_kill 2
# Silent at first, then somebody else: for n1 that is another story than somebody else at once.
sleep 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=n2 \
	-keyout "$LAB/other.key" -out "$LAB/other.pem" 2>/dev/null
start impostor in_ns n2 openssl s_server -quiet -accept 8444 -key "$LAB/other.key" -cert "$LAB/other.pem" -www
wait_for 30 "another key is noticed" grep -q "the key that answers at 10.9.0.12 is not n2's" "$LAB/agent-n1.log"
control_rate 50mbit
stop impostor
agent_start 2
collect apply || fail "apply: $(cat "$LAB/apply.log")"
for i in 1 2 3; do
	expect_eq "$(version_of $i next)" 1 "next on n$i"
	expect_ge "$(sources n$i - '.peer != "control"' bytes)" 1 "bytes that n$i got from other nodes"
done
size=$(stat -c %s "$LAB/1.sluice")
sent=0
for i in 1 2 3; do sent=$((sent + $(sources n$i - '.peer == "control"' bytes))); done
expect_ge $((size * 5 / 2)) "$sent" "what the control machine sent, for three copies of $size bytes"
expect_ge "$(sources n1 n2 '.peer == $p' failed)" 1 "n1 counts that n2 went away"
expect_eq "$(jq '[.nodes[].sources[] | .wrong] | add' "$LAB/apply.log")" 0 "wrong pieces"
run=$(jq -r .run "$LAB/apply.log")
timeline=$LAB/state/runs/$run.timeline.json
jq -e '[.spans[] | select(.node == "n1" and .item == "big" and .state == "installing")][0] as $a |
	[.spans[] | select(.node == "n1" and .item == "next" and .state == "sending")][0] as $b |
	$a.from < $b.to and $b.from < $a.to' "$timeline" >/dev/null || fail "one item installs while the next is sent: $(cat "$timeline")"
jq -e '[.spans[] | select(.item == "big" and .state == "sending")] | (map(.from) | max) < (map(.to) | min)' \
	"$timeline" >/dev/null || fail "all are sent to at once: $(cat "$timeline")"
expect_has "$(cat "$LAB/state/runs/$run.svg")" "from other nodes" "the picture"
expect_eq "$(on 2 find /var/lib/sluice-node/bundle -name '*.p*')" '' "what is left of pieces"

# Who may ask a node for pieces.
k=/var/lib/sluice-node/keys
manifest=$(jq -r .plan.bundle.manifest "$LAB/apply.log")
ask() { on "$1" curl -sk --max-time $((10 * PATIENCE)) -o /dev/null -w '%{http_code}' "${@:2}"; }
url=https://10.9.0.11:8444/v1
expect_eq "$(ask 2 --cert $k/node.pem --key $k/node.key $url/have/"$manifest")" 200 "a peer"
expect_eq "$(ask 2 --cert $k/node.pem --key $k/node.key $url/piece/"$manifest"/0)" 200 "a peer's piece"
expect_eq "$(ask 2 --cert $k/node.pem --key $k/node.key $url/piece/"$manifest"/99999999)" 404 "a piece that none is"
expect_eq "$(ask 2 --cert $k/node.pem --key $k/node.key $url/have/"${manifest//[0-9]/a}")" 404 "another bundle"
expect_eq "$(ask 2 $url/have/"$manifest")" 403 "without a certificate"
for file in node.pem node.key; do on 2 cat $k/$file >"$LAB/stolen-$file"; done
expect_eq "$(in_ns c curl -sk --max-time $((10 * PATIENCE)) -o /dev/null -w '%{http_code}' --cert "$LAB/stolen-node.pem" \
	--key "$LAB/stolen-node.key" $url/have/"$manifest")" 403 "a peer's certificate from another address"

# With n2's own key, all pieces in its map, and none to give: the others do not wait for it.
cat >"$LAB/boaster.py" <<-'PY'
	import http.server, ssl, sys
	class Boaster(http.server.BaseHTTPRequestHandler):
	    protocol_version = "HTTP/1.1"
	    def do_GET(self):
	        body = b"\xff" * int(sys.argv[1]) if "/have/" in self.path else b""
	        self.send_response(200 if body else 404)
	        self.send_header("Content-Length", str(len(body)))
	        self.end_headers()
	        self.wfile.write(body)
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
	context.load_cert_chain("stolen-node.pem", "stolen-node.key")
	server = http.server.ThreadingHTTPServer(("10.9.0.12", 8444), Boaster)
	server.socket = context.wrap_socket(server.socket, server_side=True)
	server.serve_forever()
PY
make_tar big 2 10000
make_bundle 2
control_rate 3mbit
start boast in_ns c "$CLUSTER" apply --state "$LAB/state" --bundle "$LAB/2.sluice" --json
wait_for 60 "pieces arrive at n2" begun 2
agent_kill 2
# The bundle is "big", 10000 KiB and tar's own, in pieces of 256 KiB, and "next", 6000 KiB and the same.
start boaster in_ns n2 sh -c "cd '$LAB' && exec $PYTHON boaster.py $((2 * ((40 + 24 + 7) / 8)))"
wait_for 60 "n1 leaves it alone" grep -q "n2 failed .* times: it is not asked any more" "$LAB/agent-n1.log"
control_rate 50mbit
renewed() { [ "$(version_of "$1" big)" = 2 ]; }
wait_for 60 "n1 has the new one all the same" renewed 1
stop boaster
agent_start 2
collect boast || fail "apply: $(cat "$LAB/boast.log")"
for i in 1 2 3; do expect_eq "$(version_of $i big)" 2 "big on n$i"; done

# n1 has the next version; then its disk changes a byte in each piece of it.
make_tar big 3 6000
make_bundle 3
ctl apply --bundle "$LAB/3.sluice" --mode swarm --quiet n1 >"$LAB/n1.log" || fail "n1 alone: $(cat "$LAB/n1.log")"
on 1 sh -c 'for f in $(find /var/lib/sluice-node/bundle/blobs/sha256 -size +6001k -size -6200k); do
	for i in $(seq 0 22); do printf XXXX | dd of="$f" bs=1 seek=$((i * 262144 + 99)) conv=notrunc status=none; done; done'
control_rate 3mbit
start lies in_ns c "$CLUSTER" apply --state "$LAB/state"
for i in 2 3; do
	wait_for 60 "n$i finds out that n1 lies" grep -q "n1 sent other bytes than blob" "$LAB/agent-n$i.log"
done
control_rate 50mbit
collect lies || fail "apply: $(cat "$LAB/lies.log")"
for i in 2 3; do
	expect_eq "$(version_of $i big)" 3 "big on n$i"
	expect_has "$(cat "$LAB/lies.log")" "n$i got wrong pieces from n1" "apply names it"
	expect_ge "$(ctl status --json | jq --arg n n$i '.nodes[] | select(.name == $n) | .sources[] | select(.peer == "n1") | .wrong')" 1 "wrong pieces that status counts"
	# Found out by the first piece, or by those that were under way: not asked again.
	expect_ge 1 "$(ctl status --json | jq --arg n n$i '.nodes[] | select(.name == $n) | .sources[] | select(.peer == "n1") | .wrong')" "it is not asked again"
done
expect_has "$(ctl report)" "n1 sent wrong pieces" "the report names it"

# Shut out: from then on it is nobody's peer, whatever certificate it has, also without another run.
served() { [ "$(ask 3 --cert $k/node.pem --key $k/node.key "$url/have/$manifest")" = "$1" ]; }
manifest=$(ctl report --json | jq -r .plan.bundle.manifest)
served 200 || fail "n3 is no peer of n1 before it is shut out"
ctl revoke n3 >"$LAB/revoke.log" || fail "revoke: $(cat "$LAB/revoke.log")"
wait_for 20 "n1 does not know n3 any more" served 403
expect_eq "$(ask 2 --cert $k/node.pem --key $k/node.key "$url/have/$manifest")" 200 "n2 is one still"
for i in 1 2; do
	expect_eq "$(ctl status --json | jq --arg n n$i '.nodes[] | select(.name == $n) | has("refuses")')" false "n$i takes its document"
done
