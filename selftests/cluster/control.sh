#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# The control machine's faults: apply killed at every step, and rolled back; the server killed while
# it takes reports; its disk full; its database from an old copy; a node that lost its journal; a
# node that refuses its document. Each is said, and the next apply ends done.
# The state lies on a small tmpfs, mounted where nobody else sees it.
# shellcheck disable=SC2016
if [ -z "${DISK:-}" ]; then
	SL_ID=${SL_ID:-sl$$}
	DISK=$(mktemp -d "${TMPDIR:-/tmp}/$SL_ID.disk.XXXXXX")
	export DISK SL_ID
	status=0
	unshare --mount --propagation private "$0" || status=$?
	rmdir "$DISK"
	exit $status
fi
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh
. "$(dirname "$0")/lib/cluster.sh"
need sqlite3
FAULTY=$BUILD/selftests/cluster/sluice-cluster
[ -x "$FAULTY" ] || skip "$FAULTY is not built"
cluster_lab 1
mount -t tmpfs -o size=8m tmpfs "$DISK" || skip "a tmpfs cannot be mounted"
mkdir "$DISK/state"
ln -s "$DISK/state" "$LAB/state"
make_keys
make_deb clt-app 1.0 100
write_bundle <<-YAML
	  - name: app
	    role: component
	    packages: [clt-app]
YAML
make_bundle 1
write_cluster 1 'components: [app]'
cluster_init
enrol 1
selections 1 >"$LAB/before"
agent_start 1
apply() { ctl apply --bundle "$LAB/1.sluice" --wait 30 --json >"$LAB/apply.json" 2>"$LAB/apply.err"; }
whole() {
	apply || fail "$1: $(jq -c '[.nodes[]? | {state, why}], .plan.nodes[]?.problems' "$LAB/apply.json") $(cat "$LAB/apply.err")"
	expect_eq "$(version_on 1 clt-app)" 1.0 "$1: what is installed"
	expect_eq "$(on 1 dpkg --audit)" '' "$1: what dpkg has to complain of"
}
gone() {
	ctl "$2" --wait 30 --json >"$LAB/gone.json" || fail "$1: $2: $(cat "$LAB/gone.json")"
	selections 1 | diff "$LAB/before" - >&2 || fail "$1: selections"
	on 1 rm -rf /var/lib/sluice-node/bundle
}

# Which steps there are.
SLUICE_FAULT_LOG=$LAB/steps in_ns c "$FAULTY" apply --state "$LAB/state" --bundle "$LAB/1.sluice" --wait 30 --quiet || fail "apply"
mapfile -t steps < <(sort -u "$LAB/steps")
expect_ge ${#steps[@]} 6 "steps of apply"
gone "at first" uninstall
for step in "${steps[@]}"; do
	SLUICE_FAULT=$step:1 expect_exit 137 "apply, killed at $step" in_ns c "$FAULTY" apply --state "$LAB/state" --bundle "$LAB/1.sluice" --wait 30 --quiet
	whole "after apply was killed at $step"
	case $step in
	document-written) gone "after apply was killed at $step" uninstall ;;
	esac
done
expect_ge "$(ctl report --list --json | jq '[.[] | select(.state == "cut short")] | length')" 3 "runs that were cut short"

# What a killed run added, rollback finds.
gone "before" uninstall
SLUICE_FAULT=document-written:1 expect_exit 137 "killed when it has released" in_ns c "$FAULTY" apply --state "$LAB/state" --wait 30 --quiet
healthy() { [ "$(item_state 1 app)" = healthy ]; }
wait_for 60 "the node does what was released" healthy
gone "a run that was killed" rollback

# The server, gone; then twice, in the middle of reports.
stop serve
ctl status >"$LAB/status.out" 2>&1 || true
expect_has "$(cat "$LAB/status.out")" "nobody serves at $CONTROL_IP port 8443" "status without the server"
expect_eq "$(ctl status --json 2>/dev/null | jq .control.serving)" false "status without the server, for programs"
ctl plan --bundle "$LAB/1.sluice" --wait 1 >"$LAB/plan.out" || true
expect_has "$(cat "$LAB/plan.out")" "its agent does not answer: nobody serves" "a plan without the server"
start serve bash -c 'for step in events:2 events-taken:2 none:1; do SLUICE_FAULT=$step "$@" || true; done' bash \
	nsenter --net="$(ns_path c)" -- "$FAULTY" serve --state "$LAB/state"
wait_for 10 "the server listens" in_ns c curl -sk "https://$CONTROL_IP:8443/v1/ca"
whole "the server was killed"
expect_eq "$(grep -c 'agents dial' "$LAB/serve.log")" 4 "lives of the server"
# shellcheck disable=SC2046 # one process
kill -TERM $(children_of "$(pid_of serve)")
collect serve || true
serve

# Its disk is full: said, and nothing is lost.
gone "before a full disk" uninstall
dd if=/dev/zero of="$DISK/filler" bs=4k 2>/dev/null || true
status=0
apply || status=$?
[ $status = 1 ] || [ $status = 4 ] || fail "apply on a full disk ends with $status"
say "a full disk: $(cat "$LAB/apply.err" "$LAB/apply.json")"
rm "$DISK/filler"
whole "the disk was full"

# A database of yesterday: the node has seen more than it knows of.
gone "before an old copy" uninstall
sqlite3 "$LAB/state/cluster.db" ".backup $LAB/old.db"
whole "before an old copy"
stop serve
cp "$LAB/old.db" "$DISK/state/cluster.db"
rm -f "$DISK/state"/cluster.db-*
serve
whole "an old copy of the database"

# A node without its journal counts its reports anew.
agent_stop 1
on 1 sh -c 'rm /var/lib/sluice-node/journal.db*'
hash=$(openssl x509 -in "$LAB/state/ca.pem" -outform DER | sha256sum | cut -d ' ' -f 1)
on 1 "$AGENT" cluster enrol --server $CONTROL_IP:8443 --name n1 --ca "$hash" --wait 5 >>"$LAB/enrol.log" 2>&1 || fail "the same key is not let in"
agent_start 1
whole "a journal that was lost"

# Another signer than the one it was enrolled with.
agent_stop 1
on 1 sh -c 'cp -a /var/lib/sluice-node/keys/control.pub /var/control.pub && openssl genpkey -algorithm ed25519 2>/dev/null | openssl pkey -pubout >/var/lib/sluice-node/keys/control.pub'
agent_start 1
status=0
apply || status=$?
expect_eq "$status" 3 "a node that refuses its document"
expect_has "$(jq -r '.nodes[0].why' "$LAB/apply.json")" "it does not take its document: the control machine's key did not sign it" "the reason"
expect_exit 3 "status says so" ctl status
expect_has "$(cat "$LAB/expect.out")" "does not take what it is to be" "what status says"
agent_stop 1
on 1 mv /var/control.pub /var/lib/sluice-node/keys/control.pub
agent_start 1
whole "the right signer again"
