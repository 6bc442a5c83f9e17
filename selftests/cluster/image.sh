#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# A container image on one node of two: made here as a docker archive, carried in the bundle, imported
# into a real containerd by its ctr, nothing pulled; its container says what was in the
# archive. A containerd that is not there is named, and retried with success; the namespace is
# the item's; uninstalling leaves no image; the other node never saw one. The agent killed at every step
# of bringing the image in and of taking it away ends with the same.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 2
need containerd ctr skopeo tar busybox runc
make_keys
REFERENCE=registry.example/team/hello:1.2

make_image "$LAB/hello.tar" "hello from $SL_ID"
write_bundle <<-YAML
	  - name: hello
	    role: software
	    version: "1.2"
	    image: docker-archive:$LAB/hello.tar
	    reference: $REFERENCE
	    variables:
	      - {name: CONTAINERD_NAMESPACE, value: sluice}
	    health:
	      - run: ctr images ls -q | grep -qx $REFERENCE
	        tries: 3
	        interval: 1
YAML
make_bundle 1
printf '    software: [hello]\n' >"$LAB/n1.yaml"
write_cluster 2
cluster_init
for i in 1 2; do
	enrol $i
	agent_start $i
done

# No containerd yet: it is said, and changes nothing but that.
expect_exit 3 "an image without containerd" ctl apply --bundle "$LAB/1.sluice" --json
expect_has "$(jq -r '.nodes[0].why' "$LAB/expect.out")" "containerd" "what is missing"

# Its snapshots want a file system of their own: the node's is an overlay already.
on 1 sh -c 'mkdir -p /var/lib/containerd && mount -t tmpfs tmpfs /var/lib/containerd'
pid=$(children_of "$(pid_of node-n1)")
start containerd nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- containerd
wait_for 20 "containerd answers" on 1 ctr version
# Killed at each step of it, one after the other: each next life goes on.
FAULTY=$BUILD/selftests/cluster/sluice-agent
[ -x "$FAULTY" ] || skip "$FAULTY is not built"
# lives STEP…: an agent that dies at each in turn, and then lives
lives() {
	start agent-n1 nsenter -t "$pid" --mount --pid --net --root --wdns=/ -- bash -c 'agent=$1
		shift
		for step; do
			status=0
			SLUICE_FAULT=$step:1 "$agent" cluster run --wait 10 || status=$?
			[ $status != 137 ] || echo "$step" >>/var/dead
		done
		exec "$agent" cluster run --wait 10' bash "$FAULTY" "$@"
}
agent_stop 1
lives image-laid-out image-packed image-imported
ctl retry --json --wait 30 >"$LAB/apply.json" || fail "retry: $(jq -c '[.nodes[] | {name, state, why}]' "$LAB/apply.json"); $(tail -n 5 "$LAB/containerd.log")"
expect_eq "$(item_state 1 hello)" healthy "state of the image"
expect_eq "$(on 1 cat /var/dead | tr '\n' ' ')" "image-laid-out image-packed image-imported " "where the agent was killed"
expect_fails "what it worked with" on 1 test -e /var/lib/sluice-node/image.tar
expect_eq "$(on 1 ctr -n sluice images ls -q)" $REFERENCE "images in the item's namespace"
expect_eq "$(on 1 ctr images ls -q)" '' "images in ctr's own"
expect_eq "$(on 1 ctr -n sluice images check -q)" $REFERENCE "images that are complete and unpacked"

# What runs is what was in the archive: with the root that ctr unpacked, and no network.
mnt=$(on 1 mktemp -d)
on 1 ctr -n sluice images mount $REFERENCE "$mnt" >/dev/null || fail "the image's root"
expect_eq "$(on 1 cat "$mnt/etc/hello")" "hello from $SL_ID" "what is in the image"
on 1 ctr -n sluice images unmount "$mnt" >/dev/null
# A machine that gives us no cgroups runs no containers.
if said=$(on 1 ctr -n sluice run --rm $REFERENCE probe 2>"$LAB/run.log"); then
	expect_eq "$said" "hello from $SL_ID" "what the container says"
else
	grep -q cgroup "$LAB/run.log" || fail "run: $(cat "$LAB/run.log")"
fi
expect_fails "an image on the other node" on 2 test -e /var/lib/containerd/io.containerd.metadata.v1.bolt

# Again: nothing changes. Taken away: nothing of it is left.
expect_eq "$(ctl plan --json | jq .changes)" 0 "changes of a second plan"
agent_stop 1
on 1 rm /var/dead
lives move-removing images-removed move-removed
ctl uninstall --quiet --wait 30 n1 || fail "uninstall: $(ctl report)"
expect_eq "$(on 1 cat /var/dead | tr '\n' ' ')" "move-removing images-removed move-removed " "where the agent was killed"
expect_eq "$(on 1 ctr -n sluice images ls -q)" '' "images after uninstalling"
expect_eq "$(on 1 ctr -n sluice content ls -q)" '' "content after uninstalling"
stop containerd
