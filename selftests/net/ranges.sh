#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
#
# What package managers ask: parts of a file, many at once, from the end, the rest of a download that
# was cut, only if it has changed. Each answer is the origin's own, head and body, to the byte, as if
# nobody stood between: nothing added (Via, Content-Encoding), nothing dropped, order and case kept.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024 $((4 * MIB))
SIZE=$((4 * MIB))
DIRECT=http://127.0.0.1:80
touch -d '2026-01-02 03:04:05 UTC' "$LAB/docs/$SIZE"
many=bytes=0-9
for ((i = 1; i < 255; i++)); do many+=,$((i * 1000))-$((i * 1000 + 9)); done

# ask NAMESPACE URL OPTION…: head and body. What differs between any two answers, and Connection,
# which is for one hop, is taken out.
ask() {
	local ns=$1 url=$2
	shift 2
	in_ns "$ns" curl -qsS --noproxy '*' -i "$@" "$url" | LC_ALL=C sed -E \
		-e 's/^Date: [^\r]*/Date: x/' -e '/^Connection: /d' -e 's/(boundary=|^--)[0-9]{10,}/\1x/'
}

# same WHAT STATUS OPTION…: through the relay and straight from the origin; the status is checked, too
same() {
	local what=$1 status=$2
	shift 2
	ask mgmt "$DIRECT/$SIZE" "$@" >"$LAB/direct"
	ask "$VM-vm" "$META/$SIZE" "$@" >"$LAB/relayed"
	cmp "$LAB/direct" "$LAB/relayed" >"$LAB/cmp" || fail "$what $WHERE: $(cat "$LAB/cmp"): $(head -c 600 "$LAB/relayed")"
	expect_eq "$(head -n 1 "$LAB/relayed" | cut -d ' ' -f 2)" "$status" "$what $WHERE"
}

check() {
	VM=$3 WHERE="($1, $2)"
	same "all of it" 200
	same "the first bytes" 206 -r 0-99
	same "a large part" 206 -r 100000-3000000
	same "the last bytes" 206 -r -1000
	same "more than there is" 206 -r 4000000-9000000
	same "nothing that there is" 416 -r 9000000-9000009
	same "255 parts" 206 -H "Range: $many"
	same "unchanged since" 206 -r 10-19 -H 'If-Range: Fri, 02 Jan 2026 03:04:05 GMT'
	same "changed since" 200 -r 10-19 -H 'If-Range: Thu, 01 Jan 2026 03:04:05 GMT'
	same "not modified" 304 -H 'If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT'
	same "only the head" 200 -I
	same "compressed, if it were" 200 -H 'Accept-Encoding: gzip, br'
	# A download that was cut goes on where it ended.
	vm_curl "$VM" -r 0-1234566 -o "$LAB/part" "$META/$SIZE"
	vm_curl "$VM" -C - -o "$LAB/part" "$META/$SIZE"
	expect_eq "$(sha256sum <"$LAB/part" | cut -d ' ' -f 1)" "${SUM[$SIZE]}" "a download in two parts $WHERE"
}
each_path check
