#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# The access log: one line for each request with who, what, how much, how long and how it ended;
# never a query, a header or a signature. It is read by "sluice log" in both formats, rotates
# without losing a line, and a flood of requests does not fill it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 1048576
start_oddorigin mgmt
printf 'a-signing-secret\n' >"$LAB/secret"
chmod 600 "$LAB/secret"
SERVICES_YAML="- name: signed
  identity: sluice
  secret_file: $LAB/secret
  origins: [{address: \"tcp:$MGMT_IP:8081\"}]"
ROUTES_YAML='- {path: /new, service: signed}'
LOG_YAML="access: $LAB/access"

# lines TENANT JQ-FILTER: of what "sluice log" says
lines() { sluice log --lines 0 --tenant "$1" --json | jq -r "$2"; }
count() { lines "$1" "select($2) | .id" | wc -l; }
has() { [ "$(count "$1" "$2")" -ge 1 ]; }
are() { [ "$(count "$vm" true)" -ge "$1" ]; }
# A line is written when the exchange is over, which the client may know a moment earlier.
expect_line() { wait_for 5 "a line in the access log with $2" has "$1" "$2"; }

check() {
	local engine=$1 bridge=$2 vm=$3 where="($1, $2)" out
	expect_document "$vm" 1048576 "large $where"
	expect_document "$vm" 1024 "with a query $where" "$META/1024?token=very-private&x="
	vm_curl "$vm" -o /dev/null -H 'Authorization: very-private' "$META/new/length/10"
	expect_eq "$(vm_status "$vm" -X DELETE "$META/1024")" 405 "refused $where"
	expect_eq "$(vm_status "$vm" "$META/missing")" 404 "missing $where"
	expect_eq "$(vm_status "$vm" --path-as-is "$META/a%22%20b%0a%00")" 400 "odd path $where"
	printf 'GET / HTTP/1.1\r\nHost : x\r\n\r\n' | vm_raw "$vm" --half-close raw >/dev/null
	vm_raw "$vm" abort 20 /odd/drip/6000/5 >/dev/null
	vm_curl "$vm" -o /dev/null -T "$LAB/docs/1048576" "$META/upload/$bridge-log"
	expect_fails "a cut response $where" vm_curl "$vm" -o /dev/null "$META/odd/cut-length/100000"

	expect_line "$vm" ".path == \"/1048576\" and .status == 200 and .out > 1048576 and .out < 1049600 and
		.in > 40 and .in < 400 and .engine == \"$engine\" and .end == \"complete\" and .method == \"GET\" and
		.service == \"web\" and .route == \"/\" and (.client | startswith(\"$VM_IP:\")) and
		.connect_ms <= .first_ms and .first_ms <= .total_ms and (.id | length) == 16"
	expect_line "$vm" '.path == "/1024?..." and .engine == "copy"'
	expect_line "$vm" '.status == 405 and .method == "DELETE" and .end == "refused" and .connect_ms == null'
	expect_line "$vm" '.status == 404 and .path == "/missing" and .end == "complete"'
	expect_line "$vm" '.status == 400 and .end == "protocol" and .path == "/a%22%20b%0a%00"'
	expect_line "$vm" '.status == 400 and .end == "protocol" and .path == "" and .method == ""'
	expect_line "$vm" '.end == "client" and .status == 200 and .path == "/odd/drip/6000/5"'
	expect_line "$vm" '.method == "PUT" and .in > 1048576 and .status < 300'
	expect_line "$vm" '.end == "origin" and .status == 200'
	if [ "$bridge" = fd ]; then
		expect_line "$vm" ".origin == \"tcp:$MGMT_IP:80\" and .status == 200"
	fi
	wait_for 5 "lines for 10 requests $where" are 10
	expect_eq "$(count "$vm" true)" 10 "lines for 10 requests $where"
	out=$(sluice log --tenant "$vm" --lines 1)
	expect_has "$out" " tenant=$vm client=$VM_IP:" "text $where"
	expect_eq "$(wc -l <<<"$out")" 1 "one line $where"
	if grep -qa 'very-private\|a-signing-secret\|v1=' "$LAB/access"; then
		fail "a secret is in the access log $where"
	fi
	expect_eq "$(stat -c %a "$LAB/access")" 640 "mode of the log"
}

each_path() {
	local engine format
	for engine in $ENGINES; do
		rm -f "$LAB/access"
		format=text
		[ "$engine" != uring ] || format=json
		LOG_YAML="access: $LAB/access
format: $format"
		start_sluiced "$engine"
		for bridge in $BRIDGES; do attach "$bridge" --bridge "$bridge"; done
		for bridge in $BRIDGES; do check "$engine" "$bridge" "$bridge"; done
		stop_sluiced
	done
}
each_path

# ---- rotation: by command and by signal, under load, with a follower --------------------------
rm -f "$LAB/access"
LOG_YAML="access: $LAB/access
rate: 0"
start_sluiced
attach fd
vm_curl fd -o /dev/null "$META/1024"
start follower "$BUILD/sluice" --instance "$INSTANCE" log --follow --lines 0 --json
start load in_ns fd-vm curl -qs --noproxy '*' -o /dev/null --rate 400/s "$META/1024?[1-2000]"
moved() { readlink /proc/"$(pid_of follower)"/fd/* | grep -qx "$LAB/access"; }
wait_for 5 "the follower to begin" moved
for turn in 1 2 3 4; do
	mv "$LAB/access" "$LAB/access.$turn"
	if [ $((turn % 2)) -eq 0 ]; then
		sluice log rotate >/dev/null
	else
		kill -USR1 "$(pid_of sluiced)"
	fi
	wait_for 5 "the log to be opened again" test -e "$LAB/access"
	# It looks for a new file once a second; one that comes and goes in between it cannot see.
	wait_for 10 "the follower to go over to the new file" moved
done
collect load || fail "load"
all_lines() { [ "$(cat "$LAB"/access "$LAB"/access.[1-4] | wc -l)" -eq 2001 ]; }
wait_for 5 "all 2001 lines in the files together" all_lines
expect_eq "$(cat "$LAB"/access "$LAB"/access.[1-4] | grep -vc '^time=.* end=complete$' || true)" 0 "torn lines"
followed() { [ "$(grep -c '"end":"complete"' "$LAB/follower.log")" -ge 2001 ]; }
wait_for 10 "the follower to print every line" followed
stop follower

# Workers that finish what they have, after a reload or under another parent, change over as well.
late_line() { # WHAT NUMBER COMMAND…
	local what=$1 number=$2 path=/odd/wait/100/$2
	shift 2
	start drip in_ns fd-vm curl -qs --noproxy '*' -o /dev/null "$META$path"
	wait_for 5 "a transfer to begin" grep -qx "waits for $number" "$LAB/oddorigin.log"
	"$@" >/dev/null
	mv "$LAB/access" "$LAB/access.before"
	sluice log rotate >/dev/null
	wait_for 5 "all workers to change over" changed_over
	vm_curl fd "$META/odd/go/$number"
	collect drip || fail "a transfer across: $what"
	late() { grep -q "$path.*end=complete" "$LAB/access"; }
	wait_for 5 "a line of an older worker in the new file, after: $what" late
	rm "$LAB/access.before"
}
changed_over() {
	local pid
	for pid in $(worker_pids); do
		! grep -qx "$LAB/access.before" < <(readlink "/proc/$pid"/fd/*) || return
	done
}
late_line "a reload" 1 sluice reload
crash() {
	kill_sluiced
	# Not start_sluiced: that would wait until the workers it takes over have finished.
	start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
	wait_for 15 "the parent's successor" sluice status
}
late_line "a crash of the parent" 2 crash
stop_sluiced

# ---- a flood ----------------------------------------------------------------------------------
rm -f "$LAB"/access*
LOG_YAML="access: $LAB/access
format: json
rate: 10
burst: 50"
start_sluiced
attach fd
vm_curl fd -o /dev/null "$META/1024?[1-2000]"
expect_le "$(grep -c '"end"' "$LAB/access")" 400 "lines that 2000 requests leave"
said() { [ "$(jq -s '[.[] | .left_out // 1] | add' "$LAB/access")" -eq 2000 ]; }
wait_for 5 "logged and left out to add up to 2000" said
counted() { [ "$(($(tenant fd .relay.log_left_out) + $(grep -c '"end"' "$LAB/access")))" -eq 2000 ]; }
wait_for 5 "the counter of lines left out" counted

# What a worker writes that is somebody else's by now: no terminal obeys it, and no end is no line.
printf '%s\n%s\n%s\n' '{"tenant":"\u001b[2Jmallory"}' "$(printf 'x%.0s' {1..9000})" $'mallory=\e[2J' >>"$LAB/access"
expect_eq "$(sluice log --lines 2)" $'tenant=?[2Jmallory\nmallory=?[2J' "lines of a hostile worker"
expect_eq "$(sluice log --lines 1 --json | jq -r .mallory)" $'\e[2J' "the same as JSON"
stop_sluiced

# ---- who may read it: group sluice, which has no right to the file ----------------------------
readers() {
	local config=$LAB/$SLUICED.yaml gid=64990
	need setpriv unshare
	printf 'root:x:0:\nsluice:x:%s:\n' "$gid" >"$LAB/group"
	rm -f "$LAB"/access
	# shellcheck disable=SC2016 # expanded there
	start sluiced unshare --mount --propagation slave sh -c 'mount --bind "$1" /etc/group; shift; exec "$@"' sh \
		"$LAB/group" "$BUILD/sluiced" --config "$config" --instance "$INSTANCE"
	wait_sluiced
	attach fd
	vm_curl fd -o /dev/null "$META/1024"
	as() { setpriv --reuid 64998 --regid "$1" --clear-groups -- "$BUILD/sluice" --instance "$INSTANCE" log "${@:2}"; }
	logged() { as "$gid" --json | grep -q '"end":"complete"'; }
	wait_for 5 "a line that a member of group sluice can read" logged
	expect_exit 4 "a stranger" as 64998
	expect_exit 4 "a reader that rotates" as "$gid" rotate
	if setpriv --reuid 64998 --regid "$gid" --clear-groups -- cat "$LAB/access" >/dev/null 2>&1; then
		fail "the file itself is open to everybody"
	fi
	stop_sluiced
}
readers

# ---- without one ------------------------------------------------------------------------------
LOG_YAML=''
start_sluiced
attach fd
expect_exit 1 "no log" sluice log
expect_has "$(cat "$LAB/expect.out")" "log.access" "what to do about it"
sluice log rotate >/dev/null
expect_document fd 1024 "no log"
