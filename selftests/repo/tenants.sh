#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# Two tenants behind relays: each sees what is public and its own, in lists, files, trees and
# by any path; nothing a VM sends changes who it is; a tenant may only read.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need apt-get dpkg
repo_begin
make_key

"$REPO" upload "$(make_deb common 1.0)" >/dev/null
"$REPO" upload --visible blue "$(make_deb bluething 1.0)" >/dev/null
"$REPO" upload --visible red "$(make_deb redthing 1.0)" >/dev/null
"$REPO" upload --visible none "$(make_deb nobodys 1.0)" >/dev/null
echo secret-of-blue >"$LAB/blue.txt"
"$REPO" upload --visible blue "$LAB/blue.txt" >/dev/null
publish
tenant_begin blue
blue=$RELAY
tenant_begin red
red=$RELAY
tenant_begin green # has nothing of its own
green=$RELAY

names() { curl -sS "$@" | jq -r '[.packages[].name] | sort | join(" ")'; }
expect_eq "$(names "$blue/repo/v1/packages")" "blue.txt bluething common" "what blue lists"
expect_eq "$(names "$red/repo/v1/packages")" "common redthing" "what red lists"
expect_eq "$(names "$green/repo/v1/packages")" "common" "what green lists"
expect_eq "$(names "$URL/v1/packages")" "common" "what the anonymous list"
expect_eq "$(names "$red/repo/v1/packages?tenant=blue")" "common redthing" "red asking for blue's list"
case $(curl -sS "$red/repo/v1/packages") in *tenants* | *uploaded_by*) fail "a tenant reads who else sees a package" ;; esac

id_of() { "$REPO" list --json | jq --arg n "$1" '.[] | select(.name == $n) | .id'; }
expect_eq "$(curl -sS "$blue/repo/files/blue.txt")" secret-of-blue "blue's file"
for at in "$red" "$green" "$URL"; do
	for path in /repo/files/blue.txt "/repo/v1/packages/$(id_of blue.txt)" "/repo/v1/packages/$(id_of blue.txt)/content"; do
		expect_eq "$(status_of "$at$path")" 404 "$path from somebody else"
	done
done

# The trees, by real apt.
for tenant in blue red green; do
	apt_setup "$tenant" "${!tenant}"
	apt_update "$tenant" >/dev/null 2>&1
	apt_in "$tenant" -d install common >/dev/null
done
apt_in blue install bluething >"$LAB/blue.out" 2>&1 || fail "blue's own package: $(cat "$LAB/blue.out")"
for tenant in red green; do
	expect_fails "$tenant installs blue's package" apt_in "$tenant" -d install bluething
	expect_fails "$tenant installs nobody's package" apt_in "$tenant" -d install nobodys
done
expect_fails "blue installs red's" apt_in blue -d install redthing

# The very path of blue's package, from everywhere else.
pool=$(cd "$STATE/published/tenant-blue/current" && find apt/pool -name 'bluething*')
expect_eq "$(status_of "$blue/repo/$pool")" 200 "blue's package by its path"
for at in "$red" "$green" "$URL"; do
	expect_eq "$(status_of "$at/repo/$pool")" 404 "blue's package by its path, from somebody else"
	expect_eq "$(status_of "$at/repo/views/tenant-blue/$pool")" "$([ "$at" = "$URL" ] && echo 401 || echo 403)" "blue's view"
done

# Visibility taken away holds at once, also for what is still published.
"$REPO" visibility bluething none >/dev/null
expect_eq "$(status_of "$blue/repo/$pool")" 404 "before the next publish"
publish
case $(curl -sS "$blue/repo/apt/dists/stable/main/binary-amd64/Packages") in *bluething*) fail "the index still names it" ;; esac
while read -r hash; do
	body=$(curl -sS "$blue/repo/apt/dists/stable/main/binary-amd64/by-hash/SHA256/$hash")
	case $body in *bluething*) fail "an old index still names it" ;; esac
done < <(cd "$STATE/published/tenant-blue/current" 2>/dev/null && find . -path '*by-hash/SHA256/*' -printf '%f\n')
"$REPO" visibility common red >/dev/null
publish
apt_update green >/dev/null 2>&1
expect_fails "green installs what is no longer public" apt_in green -d install common
apt_update red >/dev/null 2>&1
apt_in red -d install common >/dev/null 2>&1 || fail "red no longer installs what is its own now"

# What was taken away stays away when it is then deleted, before the next publish and after it; what
# was deleted while one saw it stays for that one alone.
"$REPO" upload --visible blue "$(make_deb fading 1.0)" "$(make_deb brief 1.0)" >/dev/null
"$REPO" upload "$(make_deb everybodys 1.0)" "$(make_deb common2 1.0)" >/dev/null
publish
pool_of() { (cd "$STATE/published/$1/current" && find apt/pool -name "$2_*"); }
fading=$(pool_of tenant-blue fading) brief=$(pool_of tenant-blue brief)
everybodys=$(pool_of public everybodys) common2=$(pool_of public common2)
expect_eq "$(status_of "$blue/repo/$fading")$(status_of "$green/repo/$everybodys")" 200200 "what is going to be taken away"
"$REPO" visibility fading none >/dev/null
"$REPO" visibility everybodys red >/dev/null
for name in fading everybodys brief common2; do "$REPO" delete "$name" >/dev/null; done
# gone WHEN
gone() {
	expect_eq "$(status_of "$blue/repo/$fading")" 404 "taken away, then deleted, $1"
	expect_eq "$(status_of "$green/repo/$everybodys")" 404 "no longer public, then deleted, $1"
	expect_eq "$(status_of "$blue/repo/$brief")" 200 "only deleted, $1"
	expect_eq "$(status_of "$red/repo/$brief")" 404 "only deleted, but another's, $1"
	expect_eq "$(status_of "$green/repo/$common2")" 200 "public, only deleted, $1"
}
gone "before the next publish"
publish
gone "after it"
expect_eq "$(grep -rlE 'Package: (fading|everybodys)' "$STATE"/published/{public,tenant-blue}/current/apt/dists || true)" "" "indices that name them"

# What a tenant read the public index of is there when its first own package has been published.
index=$(cd "$STATE/published/public/current" && find apt/dists -path '*/by-hash/SHA256/*' | sort | tail -n 1)
"$REPO" upload --visible green "$(make_deb first 1.0)" >/dev/null
publish
expect_eq "$(curl -sS "$green/repo/apt/dists/stable/main/binary-amd64/Packages" | grep -c '^Package: first$')" 1 "green's own index"
expect_eq "$(curl -sS "$green/repo/$index" | sha256sum | cut -c 1-64)" "${index##*/}" "the public index by its hash"

# A tenant only reads.
for method in PUT POST PATCH DELETE; do
	for path in /repo/v1/files/x.bin /repo/v1/uploads /repo/v1/packages/1 /repo/v1/publish /repo/v1/tokens /repo/v1/key /repo/files/x; do
		got=$(status_of "$blue$path" -X $method)
		case $got in 403 | 404 | 405) ;; *) fail "$method $path from a tenant got $got" ;; esac
	done
done
for path in / /log /v1/log /v1/tokens /v1/status /v1/publish /v1/key /views/public/apt/dists/stable/InRelease; do
	expect_eq "$(status_of "$blue/repo$path")" 403 "GET $path from a tenant"
done
token=$("$REPO" token create t --role admin)
expect_eq "$(status_of "$blue/repo/v1/log" -H "Authorization: Bearer $token")" 403 "a stolen token in a VM"

# Identity is what is signed, and nothing else.
T=$LAB/tenants.sock
# signed TENANT TIME [METHOD TARGET SECRET]: the header lines, as curl options
signed() {
	local text mac
	text=$(printf 'v1\n%s\n\n10.0.0.7\n%s\n%s\n%s\nX' "$1" "${3:-GET}" "${4:-/v1/packages}" "$2")
	mac=$(printf '%s' "${text%X}" | openssl dgst -sha256 -hmac "${5:-$SECRET}" | sed 's/.*= //')
	HEADERS=(-H "X-Sluice-Tenant: $1" -H "X-Sluice-Client: 10.0.0.7" -H "X-Sluice-Time: $2" -H "X-Sluice-Signature: v1=$mac")
}
# forged WANT WHAT [CURL OPTIONS]
forged() {
	local want=$1 what=$2
	shift 2
	expect_eq "$(status_of http://repo/v1/packages --unix-socket "$T" "$@")" "$want" "$what"
	expect_eq "$(status_of "$URL/v1/packages" "$@")" "$want" "$what, on the management address"
}
now=$(date +%s)
signed blue "$now"
forged 200 "a right signature" "${HEADERS[@]}"
expect_eq "$(status_of http://repo/v1/packages --unix-socket "$T")" 403 "no identity on the tenants' socket"
forged 403 "only a name" -H "X-Sluice-Tenant: blue"
forged 403 "any header of that family" -H "x-sluice-anything: 1"
forged 403 "one more of that family" "${HEADERS[@]}" -H "X-Sluice-Role: admin"
forged 403 "a second tenant" "${HEADERS[@]}" -H "X-Sluice-Tenant: red"
forged 403 "another client" "${HEADERS[@]}" -H "X-Sluice-Client: 10.0.0.8"
forged 403 "an instance that was not signed" "${HEADERS[@]}" -H "X-Sluice-Instance: i-1"
expect_eq "$(status_of "http://repo/v1/packages?q=x" --unix-socket "$T" "${HEADERS[@]}")" 403 "another target"
expect_eq "$(status_of http://repo/v1/packages --unix-socket "$T" "${HEADERS[@]}" -I)" 403 "another method"
signed blue $((now - 61)); forged 403 "too old" "${HEADERS[@]}"
# How late a slow machine asks must not matter.
signed blue $(($(date +%s) + 90)); forged 403 "from the future" "${HEADERS[@]}"
signed blue $(($(date +%s) - 30)); forged 200 "a clock a little off" "${HEADERS[@]}"
signed blue "0x$now"; forged 403 "a time that is no number" "${HEADERS[@]}"
signed blue "$now" GET /v1/packages other-secret-0123456789; forged 403 "another secret" "${HEADERS[@]}"
signed ../x "$now"; forged 403 "a name that is a path" "${HEADERS[@]}"
signed blue "$(date +%s)"
expect_eq "$(api_status /v1/log "${HEADERS[@]}")" 403 "an identity on the control socket is not root"
expect_eq "$(status_of "http://169.254.169.254/v1/log" --unix-socket "$SOCK")" 421 "a relay pointed at the control socket"
