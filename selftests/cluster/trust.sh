#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Who is believed: stolen and used tokens, certificates that are missing, foreign or at another
# address, machines that bear a taken name, an impostor as control machine, documents that are
# changed, old or for another node: all refused.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
# What the server keeps is weighed: the sanitizers are to keep little of what it freed (1 MiB a thread).
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=16:thread_local_quarantine_size_kb=64"
cluster_lab 2
make_keys
write_cluster 2
cluster_init
U=https://$CONTROL_IP:8443
ask() { on "$1" curl -sk --max-time $((10 * PATIENCE)) -o /tmp/body -w '%{http_code}' "${@:2}"; }
token_for() { ctl enrol "$1" --json | jq -r .token; }
try() { on "$1" "$AGENT" cluster enrol --server $CONTROL_IP:8443 --wait 0 --directory "$2" "${@:3}"; }

# Keys are for root alone.
for key in ca.key server.key control.key cluster.db; do
	expect_eq "$(stat -c %a "$LAB/state/$key")" 600 "mode of $key"
done
expect_fails "a second init" ctl init --keys "$LAB/ops.pub" "$LAB/cluster.yaml"
# What can be done next is said, and is there to be done.
expect_exit 1 "a retry before any apply" ctl retry
expect_has "$(cat "$LAB/expect.out")" "no bundle was given yet: --bundle FILE, with plan or apply" "what it says"
expect_exit 1 "a report before any run" ctl report
expect_has "$(cat "$LAB/expect.out")" "there was no run yet: sluice-cluster apply" "what it says"
expect_exit 4 "an uninstall of machines that are none" ctl uninstall --wait 1
expect_has "$(tail -n 1 "$LAB/expect.out")" "refused for the problems above" "what comes last"

# A token is for its node, at its address, once.
one=$(token_for n1)
expect_fails "n1's token, stolen by n2" try 2 /var/a --token "$one"
expect_has "$(cat "$LAB/expect.out")" "the token is not for this node" "what it says"
expect_fails "a token with another node's name" try 2 /var/b --token "${one/n1/n2}"
expect_fails "a token for another CA" try 1 /var/c --token "${one%.*}.$(printf '0%.0s' {1..64})"
expect_has "$(cat "$LAB/expect.out")" "nothing was sent to it" "an impostor's CA"
# As people read it: the command has no token in it, which ps would show.
ctl enrol n1 >"$LAB/printed"
second=$(sed -n 's/^ *\(sluice1\.[^ ]*\)$/\1/p' "$LAB/printed")
expect_has "$(grep 'cluster enrol' "$LAB/printed")" "--token-file -" "the command for n1"
expect_fails "no token at all" try 1 /var/d --token-file - </dev/null
expect_fails "both ways at once" try 1 /var/d --token-file /dev/null --token "$second"
expect_fails "a token that a later one replaced" try 1 /var/d --token "$one"
try 1 /var/lib/sluice-node --token-file - <<<"$second" >/dev/null 2>&1 || fail "the true one"
expect_fails "a token used twice, with another key" try 1 /var/e --token "$second"
expect_fails "a second machine of the same name" ctl enrol n1
expect_fails "noise for a token" try 2 /var/f --token sluice1.n2.x
# What no agent sends: a token that ends behind the name, with a request that is right.
on 2 openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /tmp/r.key -out /tmp/r.csr -subj /CN=n2 2>/dev/null
for token in sluice1.n2 sluice1.n2. sluice1.n sluice1. ''; do
	on 2 jq -nc --rawfile r /tmp/r.csr --arg t "$token" '{node: "n2", request: $r, token: $t}' | on 2 tee /tmp/r.json >/dev/null
	expect_eq "$(ask 2 "$U/v1/enrol" --data-binary @/tmp/r.json)" 403 "the token '$token'"
done

# Without a token: pending until the fingerprint is approved.
hash=$(openssl x509 -in "$LAB/state/ca.pem" -outform DER | sha256sum | cut -d ' ' -f 1)
expect_fails "without a token it waits" try 2 /var/lib/sluice-node --name n2 --ca "$hash"
fingerprint=$(ctl enrol --pending --json | jq -r '.[] | select(.node == "n2") | .fingerprint')
expect_eq "$(on 2 openssl pkey -in /var/lib/sluice-node/keys/node.key -pubout -outform DER | sha256sum | cut -d ' ' -f 1)" \
	"$fingerprint" "the fingerprint is of the node's own key"
expect_fails "approving somebody else" ctl enrol --approve "$(printf 'a%.0s' {1..64})"
ctl enrol --approve "$fingerprint" >/dev/null
try 2 /var/lib/sluice-node --name n2 --ca "$hash" >/dev/null 2>&1 || fail "approved, and not let in"

# Certificates.
k=/var/lib/sluice-node/keys
mine="--cert $k/node.pem --key $k/node.key"
for path in desired?generation=0 index blob/$hash nothing; do
	expect_eq "$(ask 1 "$U/v1/$path")" 403 "$path without a certificate"
done
expect_eq "$(ask 1 "$U/v1/events" -d '{"events": []}')" 403 "events without a certificate"
# shellcheck disable=SC2086 # words
{
	expect_eq "$(ask 1 $mine "$U/v1/desired?generation=0&wait=0")" 204 "with the node's own"
	on 2 mkdir -p /tmp/stolen
	for file in node.pem node.key; do on 1 cat $k/$file | on 2 tee /tmp/stolen/$file >/dev/null; done
	expect_eq "$(ask 2 --cert /tmp/stolen/node.pem --key /tmp/stolen/node.key "$U/v1/desired?generation=0")" 403 "n1's certificate at n2's address"
}
on 1 openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /tmp/f.key -out /tmp/f.pem -subj /CN=n1 -days 9 2>/dev/null
got=$(ask 1 --cert /tmp/f.pem --key /tmp/f.key "$U/v1/desired?generation=0" || true)
[ "$got" = 403 ] || [ "$got" = 000 ] || fail "a foreign certificate: $got"
# A node's certificate does not make a control machine.
expect_eq "$(on 1 openssl x509 -in $k/node.pem -noout -ext extendedKeyUsage,basicConstraints | tr -d '\n ' | grep -o 'CA:FALSE.*' | head -c 8)" CA:FALSE "no CA"
expect_has "$(on 1 openssl x509 -in $k/node.pem -noout -ext extendedKeyUsage)" "Client Authentication" "for clients"

# Bodies that are no reports.
# shellcheck disable=SC2086
for body in '' '[]' '{"events": 3}' '{"events": [{"item": "../x"}]}'; do
	expect_eq "$(ask 1 $mine "$U/v1/events" -d "$body")" 400 "the report '$body'"
done
# shellcheck disable=SC2086
expect_eq "$(head -c 3000000 /dev/zero | on 1 curl -sk $mine -o /dev/null -w '%{http_code}' --data-binary @- "$U/v1/facts")" 413 "facts too large"

# Who shows no certificate fills neither memory nor the table of connections, of whatever it sends.
expect_eq "$(head -c 20000 /dev/zero | on 2 curl -sk -o /dev/null -w '%{http_code}' --data-binary @- "$U/v1/enrol")" 413 "a request to be enrolled of 20 kB"
expect_eq "$(head -c 3000000 /dev/zero | on 2 curl -sk -o /dev/null -w '%{http_code}' --data-binary @- "$U/v1/facts")" 403 "3 MB without a certificate"
cat >"$LAB/flood.py" <<-'PY'
	import os, socket, ssl, sys, time
	context = ssl._create_unverified_context()
	open_now = []
	for i in range(90):
	    try:
	        open_now.append(context.wrap_socket(socket.create_connection((sys.argv[1], 8443), 60)))
	    except OSError:
	        break
	print(len(open_now), flush=True)
	while not os.path.exists("/tmp/flood.go"):
	    time.sleep(0.05)
	for s in open_now:
	    s.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1900000)
	print("sent", flush=True)
	time.sleep(6000)
PY
rss() { awk '/^VmRSS/ {print $2}' "/proc/$(pid_of serve)/status"; }
before=$(rss)
on 2 tee /tmp/flood.py <"$LAB/flood.py" >/dev/null
start flood nsenter -t "$(children_of "$(pid_of node-n2)")" --mount --pid --net --root --wdns=/ -- "$PYTHON" /tmp/flood.py $CONTROL_IP
wait_for 40 "the flood's connections" test -s "$LAB/flood.log"
opened=$(cat "$LAB/flood.log")
{ [ "$opened" -le 64 ] && [ "$opened" -ge 32 ]; } || fail "connections of one address: $opened"
on 2 touch /tmp/flood.go
wait_for 40 "the flood's bodies" grep -q sent "$LAB/flood.log"
grew=$((($(rss) - before) / 1024))
[ $grew -lt 60 ] || fail "$opened bodies of nobody made the server grow by $grew MiB"
expect_eq "$(ask 1 "$U/v1/ca")" 200 "another machine meanwhile"
# shellcheck disable=SC2046 # one process
kill -KILL $(children_of "$(pid_of flood)")
wait "$(pid_of flood)" || true
forget flood
got=$(on 1 curl -sk -o /dev/null -w '%{http_code}\n' -d '{"node": "n2", "request": "x"}' "$U/v1/enrol?[1-60]" | sort | uniq -c)
expect_has "$got" 503 "60 requests to be enrolled at once"
expect_has "$got" 403 "the first of them"
expect_has "$(cat "$LAB/serve.log")" "a connection is refused" "what the log says"

# An agent follows nobody else, and nothing old.
make_deb clt-one 1.0
write_bundle <<-YAML
	  - name: one
	    role: component
	    packages: [clt-one]
YAML
make_bundle 1
make_bundle 2
write_cluster 2 'components: [one]'
agent_start 1
agent_start 2
ctl apply --file "$LAB/cluster.yaml" --bundle "$LAB/2.sluice" --quiet || fail "apply"
expect_exit 1 "an older bundle" ctl plan --bundle "$LAB/1.sluice"
openssl genpkey -algorithm ed25519 -out "$LAB/evil.key" 2>/dev/null
db() { sqlite3 "$LAB/state/cluster.db" "$1"; }
need sqlite3
good=$(db "SELECT document FROM nodes WHERE name = 'n1'")
seen=$(db "SELECT generation FROM nodes WHERE name = 'n1'")
give() { db "UPDATE nodes SET generation = generation + 1, document = '$1' WHERE name = 'n1'"; }
status_has() { { ctl status || true; } 2>&1 | grep -F "$1" >/dev/null; }
refused() { grep -c "document is refused: $1" "$LAB/agent-n1.log" >/dev/null; }
give "$(db "SELECT document FROM nodes WHERE name = 'n2'")"
wait_for 20 "another node's document is refused" refused "it is for another node"
agent_stop 1
give "$(jq -c '.payload |= (@base64d | sub("install"; "uninstall") | @base64)' <<<"$good")"
agent_start 1
wait_for 20 "a changed document is refused" refused "the control machine's key did not sign it"
agent_stop 1
# One that the control machine's key signed, long ago.
base64 -d <<<"$(jq -r .payload <<<"$good")" | jq -c '.expires = 1500000000' | tr -d '\n' >"$LAB/expired"
give "$(jq -nc --arg p "$(base64 -w 0 "$LAB/expired")" \
	--arg s "$(openssl pkeyutl -sign -rawin -inkey "$LAB/state/control.key" -in "$LAB/expired" | base64 -w 0)" '{payload: $p, signature: $s}')"
agent_start 1
wait_for 20 "an expired document is refused" refused "it has expired, or this machine's clock is wrong"
wait_for 20 "status says so" status_has "does not take what it is to be: it has expired"
agent_stop 1
# The true document once more, after a newer one was followed.
expect_eq "$(on 1 sqlite3 /var/lib/sluice-node/journal.db "SELECT value FROM meta WHERE key = 'generation'")" "$seen" "what was refused is not remembered"
on 1 sqlite3 /var/lib/sluice-node/journal.db "UPDATE meta SET value = '99' WHERE key = 'generation'"
db "UPDATE nodes SET generation = 100, document = '$good' WHERE name = 'n1'"
agent_start 1
wait_for 20 "an old document is refused" refused "it is older than one seen before"
agent_stop 1

# A node that is not ours any more writes to the operator's terminal.
evil='\u001b]0;owned\u0007 \u009b2J \u202egpj'
report=$(db "SELECT '{\"events\": [{\"seq\": 100000, \"item\": \"one\", \"id\": \"' || id || '\", \"run\": \"' || run || '\", \"state\": \"failed\", \"percent\": 0, \"message\": \"$evil\"}]}' FROM items WHERE node = 'n1' AND name = 'one'")
# shellcheck disable=SC2086 # words
{
	expect_eq "$(ask 1 $mine "$U/v1/events" -d "$report")" 204 "the report"
	expect_eq "$(ask 1 $mine "$U/v1/facts" -d "{\"os\": \"$evil\", \"time\": 0}")" 204 "its facts"
	expect_eq "$(ask 1 $mine "$U/v1/refused" -d "{\"document\": \"$(printf '0%.0s' {1..64})\", \"why\": \"$evil\"}")" 204 "its refusal"
}
{ ctl status || true; ctl plan --wait 5 --bundle "$LAB/2.sluice" || true; } >"$LAB/seen" 2>&1
expect_has "$(cat "$LAB/seen" "$LAB/serve.log")" "?]0;owned? ??2J ???gpj" "what is left of it"
expect_fails "the terminal hears nothing" grep -q $'[\e\a]\|\u009b\|\u202e' "$LAB/seen" "$LAB/serve.log"

# One that invents items, runs and peers without end fills nothing.
known=$(db "SELECT run FROM items WHERE node = 'n1' AND name = 'one'")
for list in '.item = "x\($i)"' '.item = "y\($i)" | .run = (("0000000000000000" + ($i | tostring))[-16:])' \
	'.state = (if $i % 2 == 0 then "sending" else "staged" end) | .sources = [{peer: "p\($i)", bytes: 1, pieces: 1, wrong: 0, failed: 0, why: ""}]'; do
	jq -nc --arg run "$known" '{events: [range(1000) as $i | {seq: (200000 + $i), item: "one", id: ("0" * 32), run: $run, state: "sending", percent: 0} | '"$list"']}' |
		on 1 tee /tmp/report >/dev/null
	# shellcheck disable=SC2086 # words
	expect_eq "$(ask 1 $mine "$U/v1/events" -d @/tmp/report)" 204 "a report of 1000 events"
	db "UPDATE nodes SET events = 0 WHERE name = 'n1'"
done
expect_ge 320 "$(db "SELECT count(*) FROM items WHERE node = 'n1'")" "items of one node"
expect_ge 500 "$(db "SELECT count(*) FROM events WHERE node = 'n1' AND item NOT LIKE 'x%'")" "what is kept of its changes"
expect_ge 64 "$(db "SELECT count(*) FROM sources WHERE node = 'n1'")" "sources of one item"
expect_eq "$(db "SELECT count(*) FROM events WHERE run LIKE '000000000000%'")" 0 "events of runs that there are not"
jq -nc --arg run "$known" '{events: [{seq: 300000, item: "one", id: ("0" * 32), run: $run, state: "failed", percent: 0, message: ("x" * 2000)}]}' | on 1 tee /tmp/report >/dev/null
# shellcheck disable=SC2086 # words
expect_eq "$(ask 1 $mine "$U/v1/events" -d @/tmp/report)" 400 "a reason of 2000 bytes"
db "DELETE FROM items WHERE node = 'n1'; DELETE FROM sources"

# An impostor at the control machine's address, with a CA of its own: the agent does not talk to it.
stop serve
in_ns c openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/i.key" -out "$LAB/i.pem" \
	-subj /CN=$CONTROL_IP -addext "subjectAltName=IP:$CONTROL_IP" -days 9 2>/dev/null
start impostor in_ns c openssl s_server -accept 8443 -cert "$LAB/i.pem" -key "$LAB/i.key" -www
agent_start 1
impostor() { grep -qi "certificate\|verification\|signer" "$LAB/agent-n1.log"; }
wait_for 20 "the impostor is refused" impostor
expect_fails "no request reached it" grep -q "GET\|POST" "$LAB/impostor.log"

# One that shows the true CA's certificate with its own behind it: the token is not for it either.
end_pid "$(pid_of impostor)" 15 || true
forget impostor
cat "$LAB/state/ca.pem" "$LAB/i.pem" >"$LAB/both.pem"
cat >"$LAB/impostor.py" <<-'PY'
	import http.server, json, ssl, sys
	pem, certificate, key, control, heard = sys.argv[1:]
	class Answer(http.server.BaseHTTPRequestHandler):
	    def reply(self, body):
	        self.send_response(200)
	        self.send_header("Content-Length", str(len(body)))
	        self.end_headers()
	        self.wfile.write(body)
	    def do_GET(self):
	        self.reply(open(pem, "rb").read())
	    def do_POST(self):
	        open(heard, "ab").write(self.rfile.read(int(self.headers["Content-Length"])))
	        text = open(control).read()
	        self.reply(json.dumps({"certificate": open(certificate).read(), "control": text, "publishers": text, "cluster": "blue"}).encode())
	server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Answer)
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
	context.load_cert_chain(certificate, key)
	server.socket = context.wrap_socket(server.socket, server_side=True)
	server.serve_forever()
PY
token=$(ctl enrol --replace n2 --json | jq -r .token)
: >"$LAB/heard"
start both in_ns c "$PYTHON" "$LAB/impostor.py" "$LAB/both.pem" "$LAB/i.pem" "$LAB/i.key" "$LAB/state/control.pub" "$LAB/heard"
wait_for 10 "the impostor listens" in_ns c curl -sk -o /dev/null "https://$CONTROL_IP:8443/v1/ca"
expect_fails "an impostor with a second CA behind the true one" try 2 /var/g --token "$token"
expect_eq "$(cat "$LAB/heard")" "" "what the impostor heard"
expect_fails "its keys are kept" on 2 test -e /var/g/keys/control.pub
