#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# sluice top: true rates, once and as JSON; on a terminal a page that fits, sorts, follows its size
# and gives the terminal back.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx curl jq "$PYTHON"
make_management
make_tenant blue green
make_documents 1024
start_nginx nginx
start_sluiced
attach blue
attach green

busy() { while :; do vm_curl blue -o /dev/null "$META/1024" || return; sleep 0.05; done; }
busy &
requester=$!

say "once, as JSON"
# Who asks may stand still for an interval: then the next one tells.
blue_is_busy() {
	sluice top --once --interval 2 --json >"$LAB/top.json"
	jq -e '.seconds > 1.5' "$LAB/top.json" >/dev/null || return
	jq -e '.tenants[0] | .name == "blue" and .requests_per_s > 1 and .bytes_per_s > 1000 and .p99_ms > 0 and .errors_per_s == 0' \
		"$LAB/top.json" >/dev/null
}
wait_for 10 "two seconds in which blue is busy" blue_is_busy
jq -e '.tenants[1] | .name == "green" and .requests_per_s == 0 and .p99_ms == null' "$LAB/top.json" >/dev/null ||
	fail "green: $(cat "$LAB/top.json")"
jq -e '.all.requests_per_s == .tenants[0].requests_per_s' "$LAB/top.json" >/dev/null || fail "the sum"

say "once, as a table; and where no terminal is"
BLUE='^blue +attached +tc +[0-9.]+ +0 +0\.[0-9] +0 +[0-9]+ +[0-9.]+ ms$'
blue_on_page() {
	page=$(sluice top --once --interval 1 --sort name)
	grep -Eq "$BLUE" <<<"$page"
}
wait_for 10 "blue's line, with a time" blue_on_page
grep -Eq '^TENANT +STATE +GUARD +REQ/S +5XX/S +MB/S +DROPS/S +OPEN +P99$' <<<"$page" || fail "the heading: $page"
expect_eq "$(sed -n '2s/ .*//p;3s/ .*//p' <<<"$page" | tr '\n' ' ')" "blue green " "the order by name"
case $page in *$'\033'*) fail "escapes where no terminal is" ;; esac
expect_eq "$(TERM=dumb sluice top --interval 1 --lines 1 | grep -c attached)" 1 "lines with --lines 1"
expect_exit 2 "an unknown column" sluice top --sort beauty

say "on a terminal"
"$PYTHON" "$TOOLS/toptty.py" "$BUILD/sluice" --instance "$INSTANCE" top --interval 1 >"$LAB/tty" 2>&1 ||
	fail "on a terminal: $(tail -n 20 "$LAB/tty")"
grep -Eq '^blue +attached +tc +[1-9]' "$LAB/tty" || fail "blue is not busy: $(cat "$LAB/tty")"
expect_has "$(sed -n '/^== sorted/,/^== rev/p' "$LAB/tty")" "s sort (errors)" "after s"
expect_has "$(sed -n '/^== rev/,/^== small/p' "$LAB/tty")" "(errors, reversed)" "after r"
small=$(sed -n '/^== small/,/^== end/p' "$LAB/tty")
expect_has "$small" "REQ/S" "the small page"
case $small in *STATE* | *5XX*) fail "the small page has columns that do not fit: $small" ;; esac

kill "$requester" 2>/dev/null || true
wait "$requester" 2>/dev/null || true
stop_sluiced
expect_exit 3 "top without a daemon" sluice top --once
