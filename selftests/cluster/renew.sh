#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# Certificates: renewed by order and, seven years later, by themselves, the CA's too, while agents go
# on; killed between the two files of a new one; status says when they end; a machine that is revoked
# is shut out at once, and what asks for another key, name or CA is refused.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
[ -z "${SANITIZE:-}" ] || skip "libfaketime and the sanitizers exclude each other"
need faketime
cluster_lab 2
make_keys
make_deb clt-one 1.0
write_bundle <<-YAML
	  - name: one
	    role: component
	    packages: [clt-one]
YAML
make_bundle 1
write_cluster 2 'components: [one]'
cluster_init
K=/var/lib/sluice-node/keys
for i in 1 2; do
	enrol $i
	agent_start $i
done
serial() { on "$1" openssl x509 -in $K/node.pem -noout -serial; }
key_of() { on "$1" openssl x509 -in "$K/$2" -noout -pubkey | sha256sum; }
until_year() { openssl x509 -in "$1" -noout -enddate | grep -o '[0-9]\{4\}'; }

# By order: another certificate of the same key; the server takes its own up while it runs.
old=$(serial 1) other=$(serial 2) key=$(key_of 1 node.pem)
server=$(openssl x509 -in "$LAB/state/server.pem" -noout -serial)
ctl renew --wait 30 n1 >/dev/null || fail "renew n1"
expect_ne "$(serial 1)" "$old" "the certificate of n1"
expect_eq "$(serial 2)" "$other" "that of n2"
expect_eq "$(key_of 1 node.pem)" "$key" "the key of n1"
root=$(key_of 1 ca.pem) hash=$(on 1 sha256sum $K/ca.pem)
ctl renew --ca --wait 30 --json >"$LAB/renew.json" || fail "renew: $(cat "$LAB/renew.json")"
expect_ne "$(openssl x509 -in "$LAB/state/server.pem" -noout -serial)" "$server" "the control machine's"
shown() { [ "$(in_ns c openssl s_client -connect $CONTROL_IP:8443 </dev/null 2>/dev/null | openssl x509 -noout -serial)" = "$(openssl x509 -in "$LAB/state/server.pem" -noout -serial)" ]; }
wait_for 20 "the server shows its new certificate" shown
expect_eq "$(key_of 1 ca.pem)" "$root" "the CA's key"
expect_ne "$(on 1 sha256sum $K/ca.pem)" "$hash" "the CA's certificate on n1"
expect_eq "$(on 1 cat $K/ca.pem | sha256sum)" "$(sha256sum <"$LAB/state/ca.pem")" "the CA on n1"
ctl apply --bundle "$LAB/1.sluice" --wait 30 --quiet || fail "apply after that"
expect_ge "$(ctl status --json | jq .nodes[0].certificate_days)" 3640 "days left, by status"

# What is no request of this node is refused.
ask() { on 1 curl -s --cacert $K/ca.pem --cert $K/node.pem --key $K/node.key --max-time $((10 * PATIENCE)) -o /tmp/body -w '%{http_code}' "https://$CONTROL_IP:8443/v1/renew" -d "$1"; }
request() { on 1 sh -c "openssl req -new -key $1 -subj /CN=$2 2>/dev/null" | jq -Rs '{request: .}'; }
on 1 openssl ecparam -name prime256v1 -genkey -noout -out /tmp/other.key
expect_eq "$(ask "$(request /tmp/other.key n1)")" 403 "a request of another key"
expect_eq "$(ask "$(request $K/node.key n2)")" 403 "a request for another name"
expect_eq "$(ask '{"request": "x"}')" 403 "noise"
expect_eq "$(ask '[]')" 400 "no request"
expect_eq "$(ask "$(request $K/node.key n1)")" 200 "its own"

# Killed between the two files, or before it told that it has them: said, and done when it is back.
for step in ca-taken certificate-taken; do
	agent_stop 1
	old=$(serial 1)
	pid=$(children_of "$(pid_of node-n1)")
	start faulty env SLUICE_FAULT=$step:1 nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- "$BUILD/selftests/cluster/sluice-agent" cluster run --wait 10
	status=0
	ctl renew --wait 3 --json n1 >"$LAB/renew.json" || status=$?
	expect_eq "$status $(jq -r .nodes[0].state "$LAB/renew.json")" "3 asked" "renew, killed at $step"
	wait "$(pid_of faulty)" 2>/dev/null || true
	forget faulty
	agent_start 1
	ctl renew --wait 30 n1 >/dev/null || fail "renew after it was killed at $step"
	expect_ne "$(serial 1)" "$old" "the certificate after it was killed at $step"
done

# Seven years later they are due.
for i in 1 2; do agent_stop $i; done
stop serve
export FAKETIME_DONT_FAKE_MONOTONIC=1
start serve in_ns c "${WITH_CLOCK[@]}" '+7y' "$CLUSTER" serve --state "$LAB/state"
wait_for 10 "the server listens" in_ns c curl -sk "https://$CONTROL_IP:8443/v1/ca"
later() { [ "$(on "$1" openssl x509 -in $K/node.pem -noout -enddate | grep -o '[0-9]\{4\}')" -gt $(($(date +%Y) + 15)) ]; }
for i in 1 2; do
	pid=$(children_of "$(pid_of "node-n$i")")
	start "agent-n$i" nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- "${WITH_CLOCK[@]}" '+7y' "$AGENT" cluster run --wait 5
	wait_for 30 "n$i renews by itself" later $i
done
expect_ge "$(until_year "$LAB/state/ca.pem")" $(($(date +%Y) + 16)) "the CA's year"
ctl_later() { in_ns c "${WITH_CLOCK[@]}" '+7y' "$CLUSTER" "$1" --state "$LAB/state" "${@:2}"; }
ctl_later apply --wait 30 --quiet || fail "apply, seven years later"

# Shut out: at once, on the connection that it has.
ctl_later revoke n2 | grep -q 'n2 is shut out' || fail "revoke"
expect_exit 3 "status after that" ctl_later status
expect_has "$(cat "$LAB/expect.out")" "not enrolled" "n2 after it was revoked"
refused() { grep -q 'certificate of a node that is not enrolled' "$LAB/serve.log"; }
wait_for 30 "its certificate counts no more" refused
expect_exit 1 "revoking it twice" ctl_later revoke n2
expect_exit 4 "a plan with a node that was revoked" ctl_later plan --wait 10
