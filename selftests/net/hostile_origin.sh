#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# A hostile origin: conflicting framing, bad chunks, 101, folded fields, splitting, storms of 1xx,
# cut bodies, and bytes behind complete responses on connections that are used again. The client
# sees 502 or a cut; innocent clients of the same origin, before, beside and after, get their own
# answers and nothing else.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need jq
make_management
# shellcheck disable=SC2086 # a list of words
make_tenant $BRIDGES
SERVICES_YAML="- name: hostile
  response_timeout: 20000
  origins: [{address: \"tcp:$MGMT_IP:8084\"}]"
ROUTES_YAML='- {path: /hostile, service: hostile, methods: [GET, HEAD]}'

check() {
	start hostile in_ns mgmt "$PYTHON" "$TOOLS/hostile.py" origin 8084 "$LAB/late"
	wait_for 10 "the hostile origin to listen" grep -q ready "$LAB/hostile.log"
	in_ns "$3-vm" "$PYTHON" "$TOOLS/hostile.py" client 2 "$LAB/late" || fail "the hostile origin, $1, $2"
	stop hostile
	: >"$LAB/hostile.log"
}
each_path check
