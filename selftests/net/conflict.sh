#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Somebody else already answers on 169.254.169.254:80 (neutron's proxy): attach says "conflict" and
# names it, and the traffic stays theirs. When they leave, the gate completes by itself. So it is with
# a filter of theirs in the place of one of ours.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
vm=fd
ns_ip $vm addr add 169.254.169.254/32 dev lo
cat >"$LAB/theirs.py" <<'PY'
import http.server, sys
class Theirs(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"theirs\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("169.254.169.254", 80), Theirs).serve_forever()
PY
# A process is named by whoever starts it: in no character set, to change a terminal, or as another.
odd=$'th(pid 1)\xff\e[31m'
ln -s "$(readlink -f "$PYTHON")" "$LAB/$odd"
start theirs in_ns $vm "$LAB/$odd" "$LAB/theirs.py"
theirs() { [ "$(vm_curl $vm --max-time $((5 * PATIENCE)) "$META/whoami")" = theirs ]; }
wait_for 5 "their server" theirs

start_sluiced
sluice tenant attach $vm --netns "$(ns_name $vm)" --interface qr0 >>"$LAB/attach.log" 2>&1 || true
expect_eq "$(tenant $vm .state)" conflict "state beside another owner"
expect_has "$(tenant $vm .reason)" 169.254.169.254 "the reason"
expect_has "$(tenant $vm .reason)" "th(pid 1)??[31m (pid $(pid_of theirs)) listens" "who holds it"
sluice doctor $vm --json >"$LAB/doctor.json" || true
expect_eq "$(jq -r '.checks[] | select(.link == "listener") | .fix' "$LAB/doctor.json")" \
	"kill $(pid_of theirs)" "what doctor says to do"
for i in 1 2 3; do
	theirs || fail "their server no longer answers ($i)"
done

stop theirs
attached() { [ "$(tenant $vm .state)" = attached ]; }
wait_for 10 "attach to complete after they left" attached
expect_document $vm 1024 "after they left"

# A filter of somebody else's in the place of the guard's: no service without a guard, and the reason told.
kill -STOP "$(pid_of sluiced)"
in_ns $vm tc qdisc del dev qr0 clsact
in_ns $vm tc qdisc add dev qr0 clsact
in_ns $vm tc filter add dev qr0 ingress prio 16 protocol ip u32 match u32 0 0 flowid 1:1
kill -CONT "$(pid_of sluiced)"
ns_ip $vm link set qr0 alias looked-at
failed() { [ "$(tenant $vm .state)" = failed ]; }
wait_for 15 "the filter in the way to be noticed" failed
expect_has "$(tenant $vm .reason)" "TC ingress priority 16 is taken" "the reason"
grep -q "tenant $vm: failed: TC ingress priority 16 is taken" "$LAB/sluiced.log" || fail "the log does not say it"
expect_fails "service without a guard" in_ns $vm-vm curl -qsS --noproxy '*' --max-time 3 "$META/1024"
in_ns $vm tc filter del dev qr0 ingress prio 16
wait_for 15 "attach to complete without that filter" attached
expect_document $vm 1024 "after that filter was gone"
