#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The command line by itself, against a mock of the control socket: what it sends, what it
# prints, what it says and returns when something is wrong.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need jq "$PYTHON"
unset NO_COLOR
start mock "$PYTHON" "$TOP/selftests/net/cli_mock.py" "$LAB/control.sock" "$LAB/requests"
wait_for 5 "the mock to listen" test -S "$LAB/control.sock"

cli() { "$BUILD/sluice" --socket "$LAB/control.sock" "$@"; }
sent() { tail -n 1 "$LAB/requests" | jq -cS "$1"; }
# said CODE WORDS COMMAND…: fails with CODE, says WORDS on stderr and nothing on stdout
said() {
	local want=$1 words=$2 got=0
	shift 2
	"$@" >"$LAB/out" 2>"$LAB/err" || got=$?
	expect_eq "$got" "$want" "exit status of $* ($(cat "$LAB/err"))"
	expect_has "$(cat "$LAB/err")" "$words" "$*"
	[ ! -s "$LAB/out" ] || fail "$*: printed on stdout: $(cat "$LAB/out")"
}

say "requests"
cli tenant attach blue --netns qrouter-1 --interface qr0 >"$LAB/out"
expect_eq "$(sent .)" '{"arguments":{"interface":"qr0","name":"blue","netns":"qrouter-1"},"command":"tenant.attach"}' "attach"
expect_eq "$(cat "$LAB/out")" "blue: attached to qr0 in qrouter-1" "attach says"
cli tenant attach --netns 4711 --interface=qr0 --l3-interface br0 --bridge stream --fail drop \
	--guard xdp-generic --port 80 --port 8080 --no-ipv6 blue --json >"$LAB/out"
expect_eq "$(sent .arguments)" '{"bridge":"stream","fail":"drop","guard":"xdp-generic","interface":"qr0","ipv6":false,"l3_interface":"br0","name":"blue","netns":4711,"ports":[80,8080]}' "attach with everything"
jq -e '.name == "blue" and .verdicts.bytes == 9007199254740993' "$LAB/out" >/dev/null || fail "attach --json"
grep -q 9007199254740993 "$LAB/out" || fail "a 64-bit counter lost digits"
cli tenant detach blue >/dev/null
expect_eq "$(sent .)" '{"arguments":{"name":"blue"},"command":"tenant.detach"}' "detach"
expect_eq "$(cli reload)" "reloaded" "reload"
expect_eq "$(sent .command)" '"reload"' "reload"

say "--json is the data, unchanged"
for command in status "tenant list" "tenant show blue"; do
	# shellcheck disable=SC2086 # two words
	cli $command --json | jq -e 'type == "object" or type == "array"' >/dev/null ||
		fail "$command --json"
	# shellcheck disable=SC2086
	[ "$(cli --json $command)" = "$(cli $command -j)" ] || fail "$command: --json depends on its place"
done

say "pages"
page=$(cli status)
expect_has "$page" "sluiced 0.0.1-mock, instance mock, pid 4711, up 1d 2h, kernel 6.1.0" "status"
expect_has "$page" "services are reached from namespace mgmt, source 10.0.0.1; engine inline" "status"
expect_has "$page" "degraded: one listener shared" "status"
expect_has "$page" "-steer_reuseport" "status"
grep -Eq 'repo +tcp:10.0.0.6:80 +resting +0 +9$' <<<"$page" || fail "a dead origin: $page"
grep -Eq 'repo +unix:/x +unused +0 +0$' <<<"$page" || fail "an unused origin: $page"
grep -Eq 'blue +attached +qrouter-1/qr0 +xdp-native +1\.0M +12\.4k +4242 +3\.0 GiB +syn_budget 12\.3k, malformed 4, bad_port 4$' <<<"$page" ||
	fail "a tenant's line: $page"
expect_has "$page" "bodies moved: inline 6.0 GiB, copied 24.0 KiB" "status"
expect_has "$page" "red: conflict: haproxy holds 169.254.169.254:80?[2J" "status shows no escapes"
case $page in *$'\033'*) fail "colour where no terminal is" ;; esac
! grep -q ' $' <<<"$page" || fail "blanks at the end of a line"

page=$(cli tenant show blue)
expect_has "$page" "auto, active xdp-native, XDP raised 2 and lowered 1 times" "show"
expect_has "$page" "over the source's SYN budget" "show explains verdicts"
expect_has "$page" "body bytes moved by splice(2)" "show explains relay counters"
expect_has "$page" "not_known_here" "show keeps what it does not know"
grep -q bad_proto <<<"$page" && fail "show prints zeroes"
expect_has "$(cli version)" "sluiced 0.0.1-mock (instance mock)" "version"

say "colour on terminals only, and not with NO_COLOR"
if command -v script >/dev/null; then
	page=$(TERM=xterm script -qec "$BUILD/sluice --socket $LAB/control.sock status" /dev/null </dev/null)
	expect_has "$page" $'\033[32m' "colour on a terminal"
	page=$(NO_COLOR=1 TERM=xterm script -qec "$BUILD/sluice --socket $LAB/control.sock status" /dev/null </dev/null)
	case $page in *$'\033'*) fail "colour in spite of NO_COLOR" ;; esac
fi

say "refusals of the daemon"
attach=(tenant attach --netns n --interface i)
said 1 "  do this instead" cli tenant show missing
said 4 "sluice tenant attach: uid 1000 may only read" cli "${attach[@]}" denied
said 2 "sluice tenant attach: bad name" cli "${attach[@]}" usage
said 1 "state failed: because of the mock" cli "${attach[@]}" failed
said 0 "state conflict: because of the mock" cli "${attach[@]}" conflict
said 1 "the answer is not sluiced's" cli "${attach[@]}" garbage
said 3 "closed the connection without an answer" cli "${attach[@]}" cut

say "no daemon"
said 3 "start it with: sluiced --instance $SL_ID" "$BUILD/sluice" --instance "$SL_ID" status
said 3 "nobody listens on $LAB/none" "$BUILD/sluice" --socket "$LAB/none" status
stop mock
said 3 "sluiced is not running: nobody listens" cli status
expect_has "$(cli version)" "sluice " "version without a daemon"

say "usage"
said 2 "a command is missing; try 'sluice --help'" "$BUILD/sluice"
said 2 "no command 'tennant lits' exists; did you mean 'tenant list'?" "$BUILD/sluice" tennant lits
said 2 "no command 'tenant lits' exists; did you mean 'tenant list'?" "$BUILD/sluice" tenant lits
said 2 "no command 'statsu' exists; did you mean 'status'?" "$BUILD/sluice" statsu --json
said 2 "no command 'restart' exists; try 'sluice --help'" "$BUILD/sluice" restart
said 2 "no option --jsno exists; did you mean --json? Try 'sluice help status'" "$BUILD/sluice" status --jsno
said 2 "--in is short for several options: --interval, --instance" "$BUILD/sluice" top --in 3
said 2 "'tenant' needs one more word" "$BUILD/sluice" tenant
said 2 "--netns is missing" "$BUILD/sluice" tenant attach a
said 2 "--interface is missing" "$BUILD/sluice" tenant attach a --netns n
said 2 "NAME is missing; try 'sluice help tenant show'" "$BUILD/sluice" tenant show
said 2 "--port is '0', not a number from 1 to 65535" "$BUILD/sluice" tenant attach a --port 0
said 2 "--bridge is 'tcp', not one of fd, stream" "$BUILD/sluice" tenant attach a --bridge tcp
said 2 "cannot be an instance" "$BUILD/sluice" -i ../a status
said 2 "its path is too long" "$BUILD/sluice" -s "/$(printf 'a%.0s' {1..200})" status
for words in "help" "--help" "tenant --help" "help tenant" "help tenant attach" "tenant attach --help" "status -h"; do
	# shellcheck disable=SC2086 # several words
	expect_exit 0 "sluice $words" "$BUILD/sluice" $words
done
expect_has "$("$BUILD/sluice" tenant attach -h)" "--l3-interface IF" "help of a command"
if [ -w /dev/full ]; then
	got=0
	"$BUILD/sluice" help status >/dev/full 2>"$LAB/err" || got=$?
	expect_eq "$got" 1 "exit status when the output cannot be written"
fi

# The other programs of many commands are no different: what was meant, and common options anywhere.
say "sluice-repo, sluice-bundle, sluice-cluster"
said 2 "there is no command 'uplaod'; did you mean 'upload'?" "$BUILD/sluice-repo" uplaod x
said 2 "there is no command 'token creat'; did you mean 'token create'?" "$BUILD/sluice-repo" token creat x
said 2 "'token' needs one more word: token create, token list, token revoke" "$BUILD/sluice-repo" token
said 2 "there is no command 'frobnicate'; try 'sluice-repo --help'" "$BUILD/sluice-repo" frobnicate
said 2 "no option --visble exists; did you mean --visible? Try 'sluice-repo upload --help'" \
	"$BUILD/sluice-repo" upload --visble blue x
said 2 "did you mean 'verify'?" "$BUILD/sluice-bundle" verfy x
said 2 "no command 'aply' exists; did you mean 'apply'?" "$BUILD/sluice-cluster" aply
said 2 "NODE... is missing" "$BUILD/sluice-cluster" revoke
for program in sluice-repo sluice-bundle sluice-cluster; do
	got=0
	"$BUILD/$program" >"$LAB/out" 2>"$LAB/err" || got=$?
	expect_eq "$got" 2 "exit status of $program alone"
	[ ! -s "$LAB/out" ] || fail "$program alone prints on stdout"
	"$BUILD/$program" help | diff - "$LAB/err" || fail "$program help"
	"$BUILD/$program" --json --help | diff - "$LAB/err" || fail "$program --json --help"
done
expect_eq "$("$BUILD/sluice-repo" help upload)" "$("$BUILD/sluice-repo" upload --help)" "help of a command"
expect_eq "$("$BUILD/sluice-cluster" help plan)" "$("$BUILD/sluice-cluster" plan -h)" "help of a command"
said 1 "$LAB/none holds no cluster" "$BUILD/sluice-cluster" --state "$LAB/none" status
said 1 "there is no $LAB/none.sluice, and no $LAB/none.sluice.001" "$BUILD/sluice-bundle" --quiet inspect "$LAB/none.sluice"
