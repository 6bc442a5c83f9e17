#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# What a parent leaves to a successor. A line a change, as long as what has changed, however many
# tenants there are; written anew when most of it is superseded, or somebody has removed it; and at
# any time as good as one written anew. A command that was answered is known after a crash at
# once. A tenant that the file lacks is attached anew, under a number that nobody had. Maps of another
# layout are taken away.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

MANY=200
path_lab 1024
state=/run/sluice/$INSTANCE/state
# Tenants of namespaces that are not there.
TENANTS_YAML=$(seq -f %03g $MANY | sed "s/.*/- {name: far-&, netns: $SL_ID-nowhere, interface: qr&}/")
start_sluiced
size() { stat -c %s "$state"; }
inode() { stat -c %i "$state"; }
# What is due has been written before the second answer.
quiet() { local was; was=$(size) && sleep 0.2 && sluice status >/dev/null && [ "$(size)" = "$was" ]; }
settled() { wait_for 10 "nothing more to be written" quiet; }

# ---- a line a change -----------------------------------------------------------------------

settled
whole=$(inode) before=$(size)
expect_ge "$before" $((MANY * 100)) "bytes of a state with $MANY tenants"
for _ in 1 2 3; do
	attach fd
	detach fd
done
expect_eq "$(inode)" "$whole" "the file, to which lines were added"
expect_le $(($(size) - before)) $((before / 10)) "bytes that six changes took"

cat >"$LAB/often.py" <<'PY'
import json, socket, sys

s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
lines = s.makefile("rb")
for _ in range(int(sys.argv[3])):
    for command, more in (("attach", {"netns": sys.argv[2], "interface": "qr0"}), ("detach", {})):
        ask = {"command": f"tenant.{command}", "arguments": {"name": "often", **more}}
        s.sendall(json.dumps(ask).encode() + b"\n")
        answer = json.loads(lines.readline())
        assert answer["ok"], answer
PY
"$PYTHON" "$LAB/often.py" "/run/sluice/$INSTANCE/control.sock" "$(ns_name fd)" 400
expect_ne "$(inode)" "$whole" "the file, written anew after many changes"
expect_le "$(size)" $((6 * before)) "bytes after many changes"

# ---- as good as one written anew -----------------------------------------------------------------

# same WHAT: the file tells what one tells that is written as a whole
same() {
	settled
	saved_state >"$LAB/changes.json"
	rm "$state"
	# Something has to change, and be as it was: a tenant that is not there now.
	sluice tenant attach nobody --netns "$(ns_name fd)" --interface nothing >/dev/null 2>&1 && fail "attached to nothing"
	wait_for 5 "the file to be back" test -s "$state"
	settled
	saved_state >"$LAB/whole.json"
	for key in generation generations workers tenants; do
		expect_eq "$(jq -cS ".$key" "$LAB/changes.json")" "$(jq -cS ".$key" "$LAB/whole.json")" "$key ($1)"
	done
}
# A file that cannot be written keeps nobody from working, and is there once it can.
mkdir "$state.new"
rm "$state"
attach fd
grep -q "would know nothing of what has changed" "$LAB/sluiced.log" || fail "no word of a state that cannot be written"
attach stream
rmdir "$state.new"
wait_for 10 "the file to be written after all" test -s "$state"
expect_document fd 1024 "before"
same "after many changes, and two tenants more"
ns_ip fd link set qr0 down
ns_ip fd link set qr0 up
ns_ip stream link set qr0 name qr1 2>/dev/null || { ns_ip stream link set qr0 down && ns_ip stream link set qr0 name qr1; }
failed() { [ "$(tenant stream .state)" = failed ]; }
wait_for 40 "an interface that is gone to be noticed" failed
same "an interface down and up, another one renamed"
victim=$(worker_pids | head -n 1)
kill -KILL "$victim"
replaced() { ! grep -qx "$victim" < <(worker_pids); }
wait_for 5 "the death to be noticed" replaced
wait_sluiced
same "a worker killed"
WORKERS=3
TENANTS_YAML+="
- {name: fd, netns: $(ns_name fd), interface: qr0}"
sluice_yaml | sed '/^ *$/d' >"$LAB/$SLUICED.yaml"
sluice reload >>"$LAB/reload.log"
only_new() { sluice status --json | jq -e '[.workers[].generation] | unique | length == 1'; }
wait_for 20 "the old workers to end" only_new
expect_eq "$(tenant fd '[.listeners[].worker] | unique | length')" 3 "workers with listeners"
same "more workers, and a tenant that the file names now"
detach stream

# ---- answered, then killed ---------------------------------------------------------------------------

cookies() { tenant "$1" '[.listeners[].socket_cookie] | sort | join(" ")'; }
absent() { ! sluice tenant show "$1" >/dev/null 2>&1; }
succeed() {
	start sluiced "$BUILD/sluiced" --config "$LAB/$SLUICED.yaml" --instance "$INSTANCE"
	wait_for 20 "the successor to answer" sluice status
}
ns_ip stream link set qr1 down
ns_ip stream link set qr1 name qr0
ns_ip stream link set qr0 up
settled
sluice tenant attach late --netns "$(ns_name stream)" --interface qr0 >>"$LAB/attach.log"
kill_sluiced
keys=$(bpf_map listener_info | jq '[.[].formatted.value.socket_cookie] | sort | join(" ")')
succeed
expect_eq "$(tenant late .state)" attached "a tenant whose attach was answered"
expect_has "$keys" "$(cookies late | cut -d ' ' -f 1)" "listeners from before"
expect_document stream 1024 "by a tenant whose attach was answered"
settled
detach late
kill_sluiced
succeed
absent late || fail "a tenant whose detach was answered is back"
wait_sluiced

# ---- an older file, and one that was cut short -----------------------------------------------------------

settled
lines=$(wc -l <"$state")
cp "$state" "$LAB/older"
attach stream
id=$(tenant stream .id)
settled
expect_ge "$(wc -l <"$state")" $((lines + 1)) "lines after one change more"
kill_sluiced
printf '%s' '{"next_id":1,"next_slot":0,"generation":1,"ten' >>"$LAB/older"
cp "$LAB/older" "$state"
succeed
absent stream || fail "a tenant that no file names is there"
expect_document fd 1024 "after an older file"
attach_again() { sluice tenant attach stream --netns "$(ns_name stream)" --interface qr0 >>"$LAB/attach.log" 2>&1; }
attach_again || true
served() { [ "$(tenant stream .state)" = attached ] && (expect_document stream 1024) 2>/dev/null; }
wait_for 20 "a tenant that the file lacked to be served anew" served
expect_ge "$(tenant stream .id)" $((id + 1)) "its number, after $id"
expect_document fd 1024 "at the end"

# ---- an earlier version whose maps were laid out otherwise -------------------------------------------------

served_by_file() { (expect_document fd 1024) 2>/dev/null; }
filters() { in_ns "$1" tc filter show dev qr0 ingress; }
settled
kill_sluiced
bpftool map update pinned "/sys/fs/bpf/sluice/$INSTANCE/maps/abi" \
	key hex 00 00 00 00 value hex 01 00 00 00 00 00 00 00
sed -i 's/"abi": *[0-9]*/"abi":1/' "$state"
expect_has "$(filters stream)" sl_steer "filters that the earlier one left"
succeed
wait_for 20 "the earlier one's tenant to be served anew" served_by_file
expect_eq "$(filters stream)" "" "filters of a tenant that is known no more"
expect_has "$(cat "$LAB/sluiced.log")" "maps of layout 1" "what the log says"
