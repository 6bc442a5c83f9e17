#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# Clocks. A machine that has been up for 49.7 days, when milliseconds leave 32 bits: transfers, time
# limits and a reload go on across that moment. And, where the machine is the test's own (a virtual
# limits and a reload go on across that moment. Where the machine is the test's own instead (a virtual
# signatures, the access log and the log tell the new time at once.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 1048576
start_oddorigin mgmt
printf 'not told\n' >"$LAB/secret"
chmod 600 "$LAB/secret"
SERVICES_YAML="- {name: signed, identity: sluice, secret_file: $LAB/secret, origins: [{address: \"tcp:$MGMT_IP:8081\"}]}
- {name: hasty, response_timeout: 1000, origins: [{address: \"tcp:$MGMT_IP:8081\"}]}"
ROUTES_YAML='- {path: /new/headers, service: signed}
- {path: /hasty, service: hasty}'
LOG_YAML="access: $LAB/access.json"$'\nformat: json'

# transfer NAME SECONDS: a body that takes about so long
transfer() {
	start "$1" in_ns fd-vm curl -qsS --fail --noproxy '*' --limit-rate $((1048576 / $2)) -o "$LAB/$1" "$META/1048576"
}
whole() {
	collect "$1" || fail "the transfer $2"
	expect_eq "$(sha256sum <"$LAB/$1" | cut -d ' ' -f 1)" "${SUM[1048576]}" "the transfer $2"
}
# near SECONDS WHAT: a moment after the last jump (a clock of ticks may be one behind), and not after now
near() {
	expect_ge "$1" $((jumped - 1)) "seconds of $2"
	expect_le "$1" "$(date +%s)" "seconds of $2"
}
lines() { wc -l <"$LAB/access.json"; }
more_lines() { [ "$(lines)" -gt "$before" ]; }

# ---- up for weeks -------------------------------------------------------------------------------

forked() { children_of "$(pid_of weeks)" | grep -q .; }
# The answer comes before the end that is counted.
ended() { [ "$(tenant fd .relay.closed_timeout)" -eq 1 ]; }

up_for_weeks() {
	local ahead=6 uptime started
	uptime=$(cut -d . -f 1 /proc/uptime)
	start weeks unshare --time --monotonic $((4294967 - ahead * SLOW - uptime)) --fork sleep 6000
	wait_for 5 "a time namespace" forked
	cat >"$LAB/sluiced-old" <<SH
#!/bin/sh
exec nsenter --time=/proc/$(pid_of weeks)/ns/time_for_children "$BUILD/sluiced" "\$@"
SH
	chmod 755 "$LAB/sluiced-old"
	start_sluiced inline "$LAB/sluiced-old"
	expect_ne "$(readlink "/proc/$(pid_of sluiced)/ns/time")" "$(readlink /proc/self/ns/time)" "time namespace of sluiced"
	attach fd
	transfer across $((ahead * 2 * SLOW))
	started=$SECONDS
	while [ $((SECONDS - started)) -lt $((ahead * SLOW + 2)) ]; do
		expect_document fd 1024 "around the 50th day"
		expect_eq "$(vm_status fd "$META/new/headers")" 200 "around the 50th day"
		sleep 0.2
	done
	sluice reload >>"$LAB/reload.log"
	whole across "around the 50th day"
	# Time limits still end what is late.
	expect_eq "$(vm_status fd "$META/hasty/delay/10/20000")" 504 "an origin that is late, after the 50th day"
	wait_for 5 "the connection that a time limit ended to be counted" ended
	stop_sluiced
	# Its parent, unshare, ends with it alone.
	kill "$(children_of "$(pid_of weeks)")"
	stop weeks
}

# ---- the wall clock -----------------------------------------------------------------------------

wall_clock_jumps() {
	local right jump before jumped sent
	right=$(($(date +%s) - $(cut -d . -f 1 /proc/uptime)))
	start_sluiced
	attach fd
	for jump in '+1 hour' '-2 days' '+400 days' '-20 years' right; do
		transfer jumped $((4 * SLOW))
		wait_for 5 "the transfer to begin" test -s "$LAB/jumped"
		[ "$jump" != right ] || jump="@$((right + $(cut -d . -f 1 /proc/uptime)))"
		before=$(lines)
		date -s "$(date -d "$jump")" >>"$LAB/date.log"
		jumped=$(date +%s)
		sent=$(vm_curl fd "$META/new/headers" | tr -d '\r' | sed -n 's/^X-Sluice-Time: //p')
		near "$sent" "the signature's time ($jump)"
		wait_for 5 "a line in the access log ($jump)" more_lines
		near "$(date -d "$(tail -n 1 "$LAB/access.json" | jq -r .time)" +%s)" "the access log's ($jump)"
		sluice tenant attach nobody --netns none --interface qr0 >/dev/null 2>&1 || true
		sluice reload >>"$LAB/reload.log"
		near "$(date -d "$(tail -n 1 "$LAB/sluiced.log" | cut -d ' ' -f 1)" +%s)" "the log's ($jump)"
		whole jumped "while the clock jumped: $jump"
	done
	expect_eq "$(tenant fd '.relay | .closed_timeout + .closed_shutdown + .closed_origin')" 0 "connections that were cut"
}

if [ -z "${SL_CLOCK:-}" ]; then up_for_weeks; else wall_clock_jumps; fi
