#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Who may ask what: root everything, a stranger nothing; nonsense is answered by an error and does
# not disturb the daemon.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
need setpriv socat
start_sluiced
attach fd
socket=/run/sluice/$INSTANCE/control.sock

mkfifo "$LAB/fifo"
as_stranger() { setpriv --reuid 64998 --regid 64998 --clear-groups -- "$@"; }
ask() { socat -t $((5 * PATIENCE)) - "UNIX-CONNECT:$socket"; }

expect_eq "$(stat -c %u "$socket")" 0 "owner of the control socket"
case $(stat -c %a "$socket") in *[1-7]) [ "$(stat -c %a "/run/sluice/$INSTANCE")" != 755 ] ||
	fail "the control socket is open to everybody" ;; esac
if as_stranger "$BUILD/sluice" --instance "$INSTANCE" tenant detach fd >"$LAB/stranger" 2>&1; then
	fail "a stranger may detach"
fi
expect_eq "$(tenant fd .state)" attached "the tenant a stranger wanted to detach"

for line in 'nonsense' '{}' '[]' '{"command": 7}' '{"command": "no.such"}' \
	'{"command": "tenant.show"}' '{"command": "tenant.show", "arguments": {"name": 5}}' \
	'{"command": "tenant.attach", "arguments": {"name": "../x", "netns": "a", "interface": "b"}}'; do
	expect_eq "$(printf '%s\n' "$line" | ask | jq -r .ok)" false "answer to $line"
done
head -c 300000 /dev/zero | tr '\0' x | ask >/dev/null 2>&1 || true
expect_eq "$(printf '{"command": "status"}\n' | ask | jq -r .ok)" true "status after all that"

expect_exit 1 "an unknown tenant" sluice tenant show nobody
expect_fails "an unknown namespace" sluice tenant attach x --netns none --interface qr0
expect_fails "an unknown interface" sluice tenant attach x --netns "$(ns_name fd)" --interface none
for path in /etc/passwd "$LAB" "/proc/self/ns/uts" "$LAB/fifo"; do
	expect_fails "what is no network namespace: $path" timeout 10 "$BUILD/sluice" --instance "$INSTANCE" \
		tenant attach x --netns "$path" --interface qr0
done
expect_document fd 1024 "after all that"

stop_sluiced

# A machine with the group that may read, seen by sluiced alone.
READERS=64997
{ grep -v '^sluice:' /etc/group; printf 'sluice:x:%s:\n' $READERS; } >"$LAB/group"
cat >"$LAB/sluiced-with-group" <<SH
#!/bin/sh
exec unshare --mount --propagation slave sh -c 'mount --bind "$LAB/group" /etc/group && exec "\$@"' \
	sh "$BUILD/sluiced" "\$@"
SH
chmod 755 "$LAB/sluiced-with-group"
start_sluiced inline "$LAB/sluiced-with-group"
attach fd

# Members of group sluice read and change nothing. However many connections they hold, and however
# much they ask at once, others are answered.
as_reader() { setpriv --reuid 64998 --regid "$READERS" --clear-groups -- "$@"; }
as_reader "$BUILD/sluice" --instance "$INSTANCE" status >"$LAB/reader" || fail "a reader may not read"
expect_fails "a reader detaches" as_reader "$BUILD/sluice" --instance "$INSTANCE" tenant detach fd
cat >"$LAB/hold.py" <<'PY'
import json, socket, sys, threading, time
ask = b'{"command": "status"}\n'
held, busy = [], 0
for i in range(100):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(120)
    s.connect(sys.argv[1])
    try:
        s.sendall(ask)
    except BrokenPipeError:
        pass  # the answer is there already
    answer = s.makefile("rb").readline()
    if json.loads(answer)["ok"]:
        held.append(s)
    else:
        assert json.loads(answer)["error"]["code"] == "busy", answer
        busy += 1
print("ready", len(held), busy, flush=True)
def flood(s):
    lines = s.makefile("rb")
    while True:
        s.sendall(ask * 500)
        for _ in range(500):
            assert json.loads(lines.readline())["ok"]
for s in held[:4]:
    threading.Thread(target=flood, args=(s,), daemon=True).start()
time.sleep(6000)
PY
start readers as_reader "$PYTHON" "$LAB/hold.py" "$socket"
wait_for 20 "readers to hold all they can" grep -q ready "$LAB/readers.log"
expect_eq "$(cut -d ' ' -f 2,3 "$LAB/readers.log")" "48 52" "readers served and turned away"
for _ in 1 2 3 4 5; do
	timeout $((10 * PATIENCE)) "$BUILD/sluice" --instance "$INSTANCE" status >"$LAB/status" || fail "an administrator is kept out"
done
expect_document fd 1024 "beside readers that flood"
stop readers
