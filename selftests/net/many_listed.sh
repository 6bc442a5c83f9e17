#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Lists of all tenants come in parts: complete, each tenant once, whole JSON on one line; also to who
# asks twice in one go, and to who reads late, while tenants go. Others are served meanwhile.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

MANY=500
path_lab 1024
socket=/run/sluice/$INSTANCE/control.sock
# Tenants of namespaces that are not there: listed as failed, and tried again and again.
name_tenants() { # COUNT
	TENANTS_YAML=$(seq -f %04g "$1" | sed "s/.*/- {name: far-&, netns: $SL_ID-nowhere, interface: qr&}/")
}
name_tenants $MANY
start_sluiced
attach fd

for words in status "tenant list" top; do
	# shellcheck disable=SC2086 # a command's words
	sluice $words --json >"$LAB/list.json"
	expect_eq "$(jq '[if type == "array" then . else .tenants end | .[].name] | "\(length) \(unique | length)"' \
		"$LAB/list.json")" "\"$((MANY + 1)) $((MANY + 1))\"" "tenants and names in $words"
done
sluice status >"$LAB/status.txt"
expect_eq "$(grep -o 'far-[0-9]*' "$LAB/status.txt" | sort -u | wc -l)" $MANY "tenants that status prints"

cat >"$LAB/late.py" <<'PY'
import json, os, socket, sys, time

def names(line):
    assert line.endswith(b"}\n"), line[-40:]
    found = [one["name"] for one in json.loads(line)["data"]["tenants"]]
    assert len(found) == len(set(found)), "a tenant twice"
    return found

s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
lines = s.makefile("rb")
s.sendall(b'{"command": "status"}\n{"command": "status"}\n{"command": "top"}\n')
for _ in range(3):
    assert len(names(lines.readline())) == int(sys.argv[2]) + 1
s.sendall(b'{"command": "status"}\n')
print("asked", flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.05)
found = names(lines.readline())
assert "far-0001" in found and f"far-{int(sys.argv[2]):04}" not in found, found[-3:]
s.sendall(b'{"command": "status"}\n')
assert len(names(lines.readline())) == 21
print("done", flush=True)
PY
start late "$PYTHON" "$LAB/late.py" "$socket" $MANY "$LAB/go"
wait_for 20 "somebody who does not read his answer" grep -q asked "$LAB/late.log"
expect_document fd 1024 "beside him"
name_tenants 20
sluice_yaml | sed '/^ *$/d' >"$LAB/$SLUICED.yaml"
sluice reload
expect_eq "$(sluice status --json | jq '.tenants | length')" 21 "tenants after the reload"
touch "$LAB/go"
wait_for 20 "his answers" grep -q "done" "$LAB/late.log"
expect_document fd 1024 "after all that"
