#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# In a cluster of many nodes pieces leave the control machine a few at a time, one to each node: who
# asks for one while others are sent is told so after a moment, and gets it when one of them has ended,
# its reader has gone away, or takes longer than a piece takes, however much it asked for. What is asked
# for the plain way is not held up.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 5
make_keys
mkdir "$LAB/app"
head -c 6000000 /dev/urandom >"$LAB/app/data"
tar -C "$LAB/app" -cf "$LAB/app.tar" .
write_bundle <<-YAML
	  - name: app
	    role: software
	    tarball: $LAB/app.tar
	    target: /opt/app
	    version: "1"
YAML
make_bundle 1
write_cluster 9 'software: [app]'
cluster_init
for i in 1 2 3 4 5; do enrol "$i"; done
agent_start 1
ctl apply --bundle "$LAB/1.sluice" --quiet n1 >"$LAB/apply.log" || fail "apply: $(cat "$LAB/apply.log")"
blob=$(on 1 find /var/lib/sluice-node/bundle/blobs/sha256 -size +5000k -printf '%f\n')
for i in 1 2 3 4 5; do
	for file in ca.pem node.pem node.key; do on "$i" cat "/var/lib/sluice-node/keys/$file" >"$LAB/n$i.$file"; done
done
url=https://$CONTROL_IP:8443/v1/blob/$blob
# What asks as node N for LAST+1 bytes of the blob, and says the status of the answer.
ask() { # N LAST
	words=(in_ns "n$1" curl -s --max-time $((120 * PATIENCE)) -o /dev/null -w '%{http_code}' --cacert "$LAB/n$1.ca.pem"
		--cert "$LAB/n$1.node.pem" --key "$LAB/n$1.node.key" -r "0-$2")
}
# So little that it does not tell how fast the link is.
gets() { # N STATUS
	ask "$1" 9999
	[ "$("${words[@]}" "$url?turn=1")" = "$2" ]
}
# A turn that is slow is another's after some seconds: on a busy machine it takes a few attempts.
slow() { # N
	ask "$1" 4999999
	start "slow$1" "${words[@]}" --limit-rate 20k "$url?turn=1"
}
slowly() { # N THE-NODES…: N is not served while all of them read slowly
	local i
	for i in "${@:2}"; do slow "$i"; done
	for ((i = 0; i < 10; i++)); do ! gets "$1" 503 || return 0; done
	for i in "${@:2}"; do stop "slow$i"; done
	return 1
}
gets 5 206 || fail "alone, it is not served"
wait_for 40 "a node has one turn" slowly 1 1
expect_eq "$(gets 5 206 && echo served)" served "another one meanwhile"
stop slow1
wait_for 20 "the node's turn has gone with its reader" gets 1 206
wait_for 40 "four are sent at once" slowly 5 1 2 3 4
ask 5 4999999
expect_eq "$("${words[@]}" "$url")" 206 "the plain way"
wait_for 40 "none of them holds the next one up" gets 5 206
for i in 1 2 3 4; do
	kill -0 "$(pid_of "slow$i")" || fail "slow$i has ended"
	stop "slow$i"
done
expect_has "$(ctl status)" n1 "the control machine is well"
