# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Load under which nothing may fail, for tests of what must go unnoticed: small requests on new
# and on kept connections, and one large body that is read slowly, in each tenant named.

LOAD_BIG=$((32 * MIB))

# load_begin TENANT…: needs the documents 1024 and $LOAD_BIG
load_begin() {
	local tenant mode
	LOAD_TENANTS=("$@")
	rm -f "$LAB/stop"
	for tenant in "$@"; do
		for mode in new kept; do
			start "steady-$mode-$tenant" in_ns "$tenant-vm" "$PYTHON" "$TOOLS/steady.py" \
				$mode "$META/1024" "${SUM[1024]}" "$LAB/stop"
		done
		start "slow-$tenant" in_ns "$tenant-vm" curl -qsS --fail --noproxy '*' \
			--limit-rate "${LOAD_RATE:-4M}" -o "$LAB/slow-$tenant" "$META/$LOAD_BIG"
		wait_for 10 "the large body of $tenant to come" test -s "$LAB/slow-$tenant"
	done
}

# load_end WHAT: the large bodies are whole, no request failed
load_end() { load_ended || fail "$1: $LOAD_WHY"; }

# load_ended: the same, as a status with the reason in LOAD_WHY
load_ended() {
	local tenant mode made
	LOAD_WHY=
	for tenant in "${LOAD_TENANTS[@]}"; do
		collect "slow-$tenant" || load_wrong "the large body of $tenant was cut: $(tail -n 2 "$LAB/slow-$tenant.log")"
		[ "$(sha256sum <"$LAB/slow-$tenant" | cut -d ' ' -f 1)" = "${SUM[$LOAD_BIG]}" ] ||
			load_wrong "the large body of $tenant is another one"
		rm -f "$LAB/slow-$tenant" "$LAB/slow-$tenant.log"
	done
	touch "$LAB/stop"
	for tenant in "${LOAD_TENANTS[@]}"; do
		for mode in new kept; do
			collect "steady-$mode-$tenant" ||
				load_wrong "requests of $tenant: $(tail -n 4 "$LAB/steady-$mode-$tenant.log")"
			read -r made _ < <(tail -n 1 "$LAB/steady-$mode-$tenant.log") || true
			[ "$made" -ge 20 ] || load_wrong "$mode requests of $tenant: $made, want at least 20"
			rm -f "$LAB/steady-$mode-$tenant.log"
		done
	done
	[ -z "$LOAD_WHY" ]
}
load_wrong() { LOAD_WHY=${LOAD_WHY:-$*}; }
