#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# One node through three versions of a bundle. A step of an agent that was killed is let finish before it
# begins again, with what it started; what is mounted below a tarball's target is not emptied; an item that
# the next bundle does not have goes by the steps it came with, and one whose next version did not get as
# far as its payload likewise; packages that dpkg-query does not tell of are not taken for the item's; what
# only the bundle before needed goes from the disk.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 1
need sqlite3
make_keys
make_deb clt-pack 1.0 10
mkdir -p "$LAB/tool/sub" "$LAB/tool/all"
echo one >"$LAB/tool/run"
chmod 750 "$LAB/tool/run"
chmod 775 "$LAB/tool/sub"
mkdir -m 2750 "$LAB/tool/group"
chmod 700 "$LAB/tool" # as mktemp makes them
chmod 1777 "$LAB/tool/all"
tar -C "$LAB/tool" -cf "$LAB/tool.tar" .
first=$(sha256sum <"$LAB/tool.tar" | cut -d ' ' -f 1)
echo other >"$LAB/other" && tar -C "$LAB" -cf "$LAB/other.tar" other
slow="
  - name: slow
    role: software
    tarball: $LAB/other.tar
    target: /opt/clt-slow
    version: \"1\"
    install:
      - run: sh -c 'echo b >>/var/slow; until [ -e /var/go ]; do sleep 0.1; done; echo e >>/var/slow'; true"
app="
  - name: app
    role: software
    tarball: $LAB/tool.tar
    target: /opt/clt-app
    version: \"@VERSION@\"
    uninstall:
      - run: cat /opt/clt-app/run >>/var/ran"
write_bundle <<-YAML
	$slow
	$app
	  - name: gone
	    role: software
	    tarball: $LAB/other.tar
	    target: /opt/clt-gone
	    version: "1"
	    variables:
	      - {name: word, value: bye}
	    uninstall:
	      - run: cat /opt/clt-gone/other >/var/gone; echo "\$word" >>/var/gone
YAML
make_bundle 1
write_cluster 1 'software: [slow, app, gone]'
cluster_init
enrol 1
agent_start 1

# The agent is killed in the middle of a step, which goes on; then its shell dies, and what that started
# goes on.
start apply in_ns c "$CLUSTER" apply --state "$LAB/state" --bundle "$LAB/1.sluice" --json
begun() { on 1 test -e /var/slow; }
wait_for 60 "the step has begun" begun
agent_kill 1
agent_start 1
waits() { grep -q 'is let finish first' "$LAB/agent-n1.log"; }
wait_for 30 "the next agent waits for the step" waits
on 1 sh -c 'read -r pid rest </var/lib/sluice-node/lock; kill -9 "$pid"'
waits_more() { grep -q 'is let finish, too' "$LAB/agent-n1.log"; }
wait_for 30 "it waits for what the step started" waits_more
on 1 touch /var/go
collect apply || fail "apply: $(cat "$LAB/apply.log")"
expect_eq "$(on 1 cat /var/slow | tr '\n' ' ')" "b e b e " "one step after the other"
expect_eq "$(on 1 stat -c %a /opt/clt-app/run /opt/clt-app/sub /opt/clt-app/all | tr '\n' ' ')" \
	"$(stat -c %a "$LAB/tool/run" "$LAB/tool/sub" "$LAB/tool/all" | tr '\n' ' ')" "modes are the tarball's"
expect_eq "$(on 1 stat -c %a /opt/clt-app)" 755 "the target's mode"
expect_eq "$(on 1 stat -c %a /opt/clt-app/group)" 750 "a directory's mode, without its set-id bit"
B=/var/lib/sluice-node/bundle/blobs/sha256
on 1 test -e $B/"$first" || fail "the tarball's blob is there"

# The next bundle: another tarball, no item gone, a package. Something was mounted in the target, and
# dpkg-query does not work.
echo two >"$LAB/tool/run" && tar -C "$LAB/tool" -cf "$LAB/tool.tar" .
write_bundle <<-YAML
	$slow
	$app
	  - name: pack
	    role: software
	    packages: [clt-pack]
YAML
make_bundle 2
write_cluster 1 'software: [slow, app, pack]'
on 1 sh -c 'mkdir "/opt/clt-app/my data" && mount -t tmpfs tmpfs "/opt/clt-app/my data" && echo mine >"/opt/clt-app/my data/file"'
mine() { on 1 cat '/opt/clt-app/my data/file'; }
why() { jq -r '.nodes[0].why' "$LAB/expect.out"; }
expect_exit 3 "a mount in the target" ctl apply --file "$LAB/cluster.yaml" --bundle "$LAB/2.sluice" --json
expect_has "$(why)" "app: /opt/clt-app/my data is mounted in /opt/clt-app" "the reason"
expect_eq "$(mine)" mine "what is mounted"
expect_eq "$(on 1 cat /var/gone | tr '\n' ' ')" "other bye " "the uninstall step of the bundle before, while the tarball was there"
expect_fails "the item that is gone" on 1 test -e /opt/clt-gone
on 1 test -e $B/"$first" || fail "nothing is tidied before all is done"

on 1 umount '/opt/clt-app/my data'
on 1 sh -c 'printf "#!/bin/sh\nexit 2\n" >/usr/local/sbin/dpkg-query && chmod 755 /usr/local/sbin/dpkg-query'
expect_exit 3 "no word of dpkg-query" ctl retry --failed --json
expect_has "$(why)" "pack: dpkg-query does not say what is installed" "the reason"
added() { on 1 sqlite3 /var/lib/sluice-node/journal.db "SELECT count(*) FROM added WHERE item = 'pack' AND kind = 'package'"; }
expect_eq "$(added)" 0 "packages that count as the item's"
expect_eq "$(on 1 cat /opt/clt-app/run)" two "the new tarball, without the mount"
on 1 rm /usr/local/sbin/dpkg-query
ctl retry --failed --json >"$LAB/retry.json" || fail "retry: $(cat "$LAB/retry.json")"
expect_eq "$(added)" 1 "packages that count as the item's"
tidied() { on 1 test ! -e $B/"$first"; }
wait_for 30 "the blob that only the bundle before had goes" tidied
on 1 test -e $B/"$(sha256sum <"$LAB/tool.tar" | cut -d ' ' -f 1)" || fail "the blob of this bundle is there"
expect_eq "$(ctl plan --json | jq .changes)" 0 "changes in another plan"

# The next one does not get as far as its payload.
write_bundle <<-YAML
	$slow
	${app/clt-app\/run/clt-app\/new}
	    prepare:
	      - run: echo "not yet"; exit 1
	  - name: pack
	    role: software
	    packages: [clt-pack]
YAML
make_bundle 3
expect_exit 3 "a step before the payload" ctl apply --file "$LAB/cluster.yaml" --bundle "$LAB/3.sluice" --json
expect_has "$(why)" "app: prepare step" "the reason"

# Taking away likewise.
on 1 sh -c 'mkdir /opt/clt-app/sub/data && mount -t tmpfs tmpfs /opt/clt-app/sub/data && echo mine >/opt/clt-app/sub/data/file'
expect_exit 3 "uninstalling with a mount in the target" ctl uninstall --json
expect_has "$(why)" "app: /opt/clt-app/sub/data is mounted in /opt/clt-app" "the reason"
expect_eq "$(on 1 cat /opt/clt-app/sub/data/file)" mine "what is mounted"
expect_eq "$(on 1 cat /var/ran)" two "what the uninstall step of the version that is there did"
on 1 umount /opt/clt-app/sub/data
ctl uninstall --json >"$LAB/uninstall.json" || fail "uninstall: $(cat "$LAB/uninstall.json")"
expect_fails "the tarball's directory" on 1 test -e /opt/clt-app
