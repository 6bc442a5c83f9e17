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

as_stranger() { setpriv --reuid 64998 --regid 64998 --clear-groups -- "$@"; }
ask() { socat -t 3 - "UNIX-CONNECT:$socket"; }

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
expect_fails "what is no namespace" sluice tenant attach x --netns /etc/passwd --interface qr0
expect_document fd 1024 "after all that"
