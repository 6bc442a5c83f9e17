#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# Requests other than a plain GET: uploads, Expect, HEAD, conditional, 204 and 304, ranges, half
# close, interim responses, HTTP/1.0, Host and path forms; and the refusals with their status.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 1048576 $((4 * MIB))
start_oddorigin mgmt
LIMITS_YAML='body_size: 8388608
head_timeout: 5000'

raw_status() { vm_raw "$1" --half-close raw | head -n 1 | cut -d ' ' -f 2; }

check() {
	local engine=$1 bridge=$2 vm=$3 size got half where="($1, $2)"
	# It is told so while the others go on.
	printf 'GET /10' | vm_raw "$vm" raw >"$LAB/half" &
	half=$!
	for size in 1024 1048576 $((4 * MIB)); do
		got=$(vm_curl "$vm" --data-binary "@$LAB/docs/$size" "$META/odd/echo" | sha256sum | cut -d ' ' -f 1)
		expect_eq "$got" "${SUM[$size]}" "echo of $size bytes $where"
		vm_curl "$vm" -o /dev/null -T "$LAB/docs/$size" "$META/upload/$bridge-$size" || fail "PUT $where"
		expect_eq "$(sha256sum <"$LAB/docs/upload/$bridge-$size" | cut -d ' ' -f 1)" "${SUM[$size]}" \
			"upload of $size bytes $where"
		rm "$LAB/docs/upload/$bridge-$size"
	done
	expect_eq "$(vm_status "$vm" -z "$LAB/docs/1024" "$META/1024")" 304 "not modified $where"
	expect_eq "$(vm_raw "$vm" pipeline /odd/status/204 /odd/status/304 /odd/length/3 | cut -d ' ' -f 1 | xargs)" \
		"204 304 200" "bodiless responses keep the connection in step $where"
	expect_eq "$(vm_raw "$vm" --half-close get /1048576)" "200 1048576 ${SUM[1048576]}" "half close $where"
	expect_pattern "$vm" /odd/interim/5000/3 5000 "interim responses $where"
	expect_eq "$(vm_raw "$vm" --http10 get /1024)" "200 1024 ${SUM[1024]}" "HTTP/1.0 $where"
	expect_eq "$(vm_raw "$vm" --method HEAD pipeline /1048576 /1024 | wc -l)" 2 "HEAD, pipelined $where"
	for size in "$META:8080" "http://169.254.169.254:80"; do
		expect_document "$vm" 1024 "$size $where" "$size/"
	done

	expect_eq "$(vm_status "$vm" -X DELETE "$META/1024")" 405 "DELETE $where"
	expect_eq "$(vm_status "$vm" -X TRACE "$META/1024")" 501 "TRACE $where"
	expect_eq "$(vm_status "$vm" -H 'Host: elsewhere.example' "$META/1024")" 400 "another Host $where"
	expect_eq "$(head -c 9000000 /dev/zero | vm_status "$vm" -H 'Expect:' --data-binary @- "$META/odd/echo")" \
		413 "too large a body $where"
	expect_eq "$(vm_status "$vm" -H "X-Long: $(head -c 20000 /dev/zero | tr '\0' x)" "$META/1024")" \
		431 "too large a head $where"
	expect_eq "$(printf 'GET / HTTP/1.1\r\nHost : x\r\n\r\n' | raw_status "$vm")" 400 "space before colon $where"
	expect_eq "$(printf 'GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' |
		raw_status "$vm")" 400 "two framings $where"
	wait $half || fail "half a head $where"
	expect_eq "$(head -n 1 "$LAB/half" | cut -d ' ' -f 2)" 408 "half a head $where"
	expect_document "$vm" 1024 "after all that $where"
}
each_path check
