#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# Killed with SIGKILL while it fetches and while dpkg works, with a flipped bit on its disk, with the
# control machine gone, with dpkg's lock held: an agent goes on and ends with what was wanted. A node
# that fails stops nobody else within max_failed; retry and rollback do what they say. In stream mode
# one node installs while the next one is sent to.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 3
need sqlite3
make_keys
# As slow as this test wants it: until clt-slow.go is there.
make_deb clt-slow 1.0 16000 '' 'touch /var/clt-slow.begun; until [ -e /var/clt-slow.go ]; do sleep 0.1; done; touch /var/clt-slow.done'
make_deb clt-next 1.0 32000
make_deb clt-bad 1.0 1 '' '[ ! -e /var/break ] || { echo the reason it fails >&2; exit 3; }'
write_bundle <<-YAML
	  - name: slow
	    role: software
	    packages: [clt-slow]
	  - name: next
	    role: software
	    packages: [clt-next]
	  - name: bad
	    role: software
	    packages: [clt-bad]
YAML
make_bundle 1
lines='software: [slow, next]
max_failed: 1'
write_cluster 3 "$lines"
# So slow that there is time to be killed while a blob is on its way.
for i in 1 2 3; do
	ns_ip sw link set "p$i" up
	tc -n "$SL_ID-sw" qdisc add dev "p$i" root tbf rate 60mbit burst 256k latency 200ms
done
cluster_init
for i in 1 2 3; do
	enrol $i
	selections $i >"$LAB/before$i"
	agent_start $i
done

# Stream: n1 first; n2 is sent to while n1 installs.
start apply in_ns c "$CLUSTER" apply --state "$LAB/state" --bundle "$LAB/1.sluice" --mode stream --json
sending() { on "$1" sh -c '[ -n "$(find /var/lib/sluice-node/bundle/blobs/sha256 -name "*.partial" -size +100k)" ]' 2>/dev/null; }
wait_for 60 "a blob is on its way to n2" sending 2
installing() { on "$1" test -e /var/clt-slow.begun; }
wait_for 60 "dpkg works on n1" installing 1
on 1 touch /var/clt-slow.go
agent_kill 2
before=$(on 2 sh -c 'cat /var/lib/sluice-node/bundle/blobs/sha256/*.partial | wc -c')
agent_start 2
on 2 touch /var/clt-slow.go
working() { on "$1" test -e /var/clt-slow.begun && on "$1" test ! -e /var/clt-slow.done; }
wait_for 60 "dpkg works on n3" working 3
agent_kill 3
agent_start 3
on 3 touch /var/clt-slow.go
collect apply || fail "apply: $(cat "$LAB/apply.log")"
expect_ge "$before" 1 "bytes there when it was killed"
for i in 1 2 3; do
	expect_eq "$(version_on $i clt-next)" 1.0 "clt-next on n$i"
	expect_eq "$(on $i dpkg --audit)" '' "what dpkg has to complain of on n$i"
	on $i test -e /var/clt-slow.done || fail "the slow package was configured on n$i"
done
run=$(jq -r .run "$LAB/apply.log")
timeline=$LAB/state/runs/$run.timeline.json
jq -e '[.spans[] | select(.node == "n1" and .item == "slow" and .state == "installing")][0] as $a |
	[.spans[] | select(.node == "n2" and .item == "slow" and .state == "sending")][0] as $b |
	$a.from < $b.to and $b.from < $a.to' "$timeline" >/dev/null || fail "n1 installs while n2 is sent to: $(cat "$timeline")"
jq -e '[.spans[] | select(.node == "n1" and .item == "slow" and .state == "installing")][0] as $a |
	[.spans[] | select(.node == "n1" and .item == "next" and .state == "sending")][0] as $b |
	$a.from < $b.to and $b.from < $a.to' "$timeline" >/dev/null || fail "one item installs while the next is sent: $(cat "$timeline")"
jq -e '[.spans[] | select(.state == "sending")] | ([.[] | select(.node == "n1")] | map(.to) | max) as $a |
	([.[] | select(.node == "n2")] | map(.from) | min) >= $a - 50' "$timeline" >/dev/null || fail "n2 was sent to before n1 had its copy: $(cat "$timeline")"

# A reason for what fails; others go on; the same again once it is mended.
on 2 touch /var/break
write_cluster 3 "${lines/next]/next, bad]}"
expect_exit 3 "a node that fails" ctl apply --file "$LAB/cluster.yaml" --json
expect_has "$(jq -r '.nodes[1].why' "$LAB/expect.out")" "clt-bad" "the reason"
expect_eq "$(version_on 3 clt-bad)" 1.0 "others go on"
expect_exit 3 "status says so" ctl status
# A control machine that never heard the report hears the reason with the node's facts: those of an agent
# that begins, since one that goes on tells what it told already only when something has changed.
sqlite3 "$LAB/state/cluster.db" "DELETE FROM items WHERE node = 'n2' AND name = 'bad'"
agent_kill 2
agent_start 2
ctl plan --wait 30 >"$LAB/plan.log" 2>&1 || true
expect_exit 3 "status says so, by facts alone" ctl status
expect_has "$(grep ' bad ' "$LAB/expect.out")" "clt-bad" "the reason, by facts alone"
on 2 rm /var/break
ctl retry --failed --json >"$LAB/retry.json" || fail "retry: $(cat "$LAB/retry.json")"
expect_eq "$(jq -r '[.nodes[].name] | join(" ")' "$LAB/retry.json")" n2 "only what failed"
expect_eq "$(item_state 2 bad)" healthy "mended"
ctl rollback --json >"$LAB/rollback.json" || fail "rollback: $(jq -c '[.nodes[] | {name, why, items}]' "$LAB/rollback.json")"
for i in 1 2 3; do
	expect_eq "$(version_on $i clt-bad)" none "what the last apply added on n$i"
	expect_eq "$(version_on $i clt-next)" 1.0 "what was there before on n$i"
done

# Damage on the disk of a node, the control machine gone in the middle, dpkg's lock held.
ctl uninstall --quiet || fail "uninstall"
for i in 1 2 3; do selections $i | diff "$LAB/before$i" - >&2 || fail "selections of n$i"; done
on 1 sh -c 'for f in /var/lib/sluice-node/bundle/blobs/sha256/*; do [ "$(stat -c %s "$f")" -lt 4000000 ] || printf X | dd of="$f" bs=1 seek=1000000 conv=notrunc status=none; done'
start lock on 3 python3 -c 'import fcntl, time
f = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(f, fcntl.LOCK_EX); print("held", flush=True); time.sleep(6)'
held() { grep -q held "$LAB/lock.log"; }
wait_for 10 "the lock is held" held
write_cluster 3 "$lines"
start again in_ns c "$CLUSTER" apply --state "$LAB/state" --file "$LAB/cluster.yaml" --json
wait_for 30 "n1 fetches again what was damaged" grep -q "is damaged on this machine's disk" "$LAB/agent-n1.log"
serve_pid=$(pid_of serve)
kill -KILL "$serve_pid"
wait "$serve_pid" 2>/dev/null || true
forget serve
sleep 1
serve
collect again || fail "apply: $(cat "$LAB/again.log")"
for i in 1 2 3; do expect_eq "$(version_on $i clt-slow)" 1.0 "clt-slow on n$i"; done
