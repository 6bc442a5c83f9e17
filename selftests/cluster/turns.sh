#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# In a cluster of many nodes pieces leave the control machine a few at a time: who asks for one while
# others are sent is told so after a moment, and gets it when one of them has ended, or its reader has
# gone away. What is asked for the plain way is not held up.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 1
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
enrol 1
agent_start 1
ctl apply --bundle "$LAB/1.sluice" --quiet n1 >"$LAB/apply.log" || fail "apply: $(cat "$LAB/apply.log")"
blob=$(on 1 find /var/lib/sluice-node/bundle/blobs/sha256 -size +5000k -printf '%f\n')
for file in ca.pem node.pem node.key; do on 1 cat "/var/lib/sluice-node/keys/$file" >"$LAB/$file"; done
# What asks for the first 5 MB of the blob, and says the status of the answer.
ask=(in_ns n1 curl -s --max-time 120 -o /dev/null -w '%{http_code}' --cacert "$LAB/ca.pem" --cert "$LAB/node.pem"
	--key "$LAB/node.key" -r 0-4999999)
url=https://$CONTROL_IP:8443/v1/blob/$blob
gets() { [ "$("${ask[@]}" "$url?turn=1")" = "$1" ]; }
gets 206 || fail "alone, it is not served"
for i in 1 2 3 4; do start "slow$i" "${ask[@]}" --limit-rate 50k "$url?turn=1"; done
wait_for 20 "four are sent at once" gets 503
expect_eq "$("${ask[@]}" "$url")" 206 "the plain way"
stop slow2
wait_for 20 "one has gone away" gets 206
expect_has "$(ctl status)" n1 "the control machine is well"
