#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# What somebody with one uploader's token could do to everybody else, what whoever has a VM could undo,
# and what a tired operator mistypes: held space, trees and architectures without end, an upload that
# outlives its token, words that would be passed over.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need sqlite3
REPO_CONF="limits: {upload_size: 20000000, upload_budget: 30000000}" repo_begin
greedy=$("$REPO" token create greedy --role uploader) other=$("$REPO" token create other --role uploader)
as() { local token=$1 path=$2; shift 2; status_of "$URL$path" -H "Authorization: Bearer $token" "$@"; }
session() { as "$1" /v1/uploads -X POST -d "{\"filename\":\"$2\",\"size\":$3}"; }
held() { "$REPO" status --json | jq .uploads_bytes; }

say "what one token's unfinished uploads hold"
expect_eq "$(session "$greedy" one 20000000)" 201 "a session"
one=$(jq -r .id "$LAB/body")
expect_eq "$(session "$greedy" two 10000000)" 201 "another, up to the limit"
expect_eq "$(session "$greedy" three 1)" 429 "one byte more"
expect_eq "$(error_code)" too-much-unfinished "code"
expect_has "$(jq -r .error.message "$LAB/body")" "token:greedy hold 30000000 bytes" "what is said"
expect_has "$(jq -r .error.hint "$LAB/body")" "sluice-repo uploads list" "the next step"
head -c 100 /dev/urandom >"$LAB/small.bin"
expect_eq "$(as "$greedy" /v1/files/small.bin -T "$LAB/small.bin")" 429 "a whole file counts as well"
expect_eq "$(as "$greedy" /v1/files/small.bin -T - <"$LAB/small.bin")" 429 "and one of unknown length"
expect_eq "$(api /v1/status | jq .uploads_refused)" 3 "refusals counted"
expect_eq "$(session "$other" one 20000000)" 201 "another token's"
expect_eq "$(held)" 50000000 "bytes held"
expect_has "$("$REPO" status)" "3 unfinished, holding 47.7 MiB; 3 refused" "what status says"

say "who holds it, and how it ends"
expect_eq "$("$REPO" uploads list --json | jq -r '[.uploads[] | .who + " " + .filename] | sort | join(",")')" \
	"token:greedy one,token:greedy two,token:other one" "everybody's, for an admin"
printf '%s\n' "$other" >"$LAB/token"
chmod 600 "$LAB/token"
expect_eq "$("$REPO" uploads list --json --server "$URL" --token-file "$LAB/token" | jq -r '.uploads[].who')" token:other "its own, for an uploader"
expect_has "$("$REPO" uploads list)" "token:greedy" "the table"
expect_fails "somebody else's" "$REPO" uploads end "$one" --server "$URL" --token-file "$LAB/token"
expect_fails "what is no id" "$REPO" uploads end ../x
"$REPO" uploads end "$one"
expect_eq "$(held)" 30000000 "bytes held"
expect_eq "$(session "$greedy" three 1)" 201 "there is room again"

say "a file of unknown length holds what has come, while it comes"
# drip TOKEN NAME: an upload that goes on until $LAB/end is there
drip() {
	(
		head -c 9000000 /dev/zero
		until [ -e "$LAB/end" ]; do sleep 0.05; done
		printf x
	) | as "$1" "/v1/files/$2" -T -
}
drip "$other" slow.bin >"$LAB/drip.out" &
drip=$!
holds() { [ "$(held)" -ge "$1" ]; }
wait_for 20 "it holds what has come" holds $((30000001 + 9000000))
expect_eq "$(session "$other" more 9999999)" 429 "with it over the limit"
touch "$LAB/end"
wait $drip
expect_eq "$(cat "$LAB/drip.out")" 201 "it ends well"
expect_eq "$(held)" 30000001 "and holds nothing"
expect_eq "$(session "$other" more 9999999)" 201 "room for the next one"

say "a token that is revoked finishes nothing, and holds nothing"
rm "$LAB/end"
drip "$greedy" late.bin >"$LAB/drip.out" &
drip=$!
wait_for 20 "it holds what has come" holds 48000000
id=$("$REPO" token list --json | jq -r '.tokens[] | select(.name == "greedy") | .id')
"$REPO" token revoke "$id"
expect_eq "$("$REPO" uploads list --json | jq -r '[.uploads[].who] | unique | join(",")')" token:other "whose sessions are left"
touch "$LAB/end"
wait $drip
expect_eq "$(cat "$LAB/drip.out")" 401 "what was under way"
expect_eq "$(api_status /files/late.bin)" 404 "what it sent"
expect_eq "$(held)" 29999999 "bytes held"
"$REPO" token revoke "$("$REPO" token list --json | jq -r '.tokens[] | select(.name == "other") | .id')"
uploads_gone() { [ -z "$(ls -A "$STATE/uploads")" ]; }
wait_for 10 "all space is given back" uploads_gone

say "a misspelt word is not passed over"
while IFS='|' read -r method path body want; do
	expect_eq "$(api_status "$path" -X "$method" -d "$body")" 400 "$method $path $body"
	expect_has "$(jq -r .error.message "$LAB/body")" "$want" "$method $path $body"
done <<-'TABLE'
	POST|/v1/uploads|{"filename":"x","size":1,"visiblity":"none"}|no "visiblity"
	POST|/v1/uploads|{"filename":"x","size":1,"visibility":["none"]}|"visibility" is of the wrong type
	POST|/v1/tokens|{"name":"x","role":"reader","lifetime":"3600"}|"lifetime" is of the wrong type
	POST|/v1/tokens|{"name":"x","role":"reader","lifetime":3600.0}|"lifetime" is of the wrong type
	POST|/v1/tokens|{"name":"x","role":"reader","expires":3600}|no "expires"
	POST|/v1/publish|{"if_generation":"7"}|wrong type
	POST|/v1/publish|{"if_generation":-1}|if_generation is what
	POST|/v1/fsck|{"repair":"no"}|wrong type
	POST|/v1/key|{"action":"create","fingerprint":7}|wrong type
	POST|/v1/tokens|{"\u001b[2J":1}|no "?[2J"
	PUT|/v1/packages/1/visibility|{"visibility":"none","x":1}|no "x"
TABLE
for query in visiblity=none visibility 'visibility=none&visibility=public' x=; do
	expect_eq "$(api_status "/v1/files/x.bin?$query" -T "$LAB/small.bin")" 400 "?$query"
done
expect_eq "$("$REPO" token list --json | jq '.tokens | length')" 2 "tokens"
expect_eq "$("$REPO" list --json | jq 'length')" 1 "packages"

say "an id that is too long is not another one's"
for _ in 1 2; do "$REPO" upload "$(make_deb "p$RANDOM$RANDOM" 1)" >/dev/null; done
for id in 0000000000000000002 00000000000000000020 02 2x 18446744073709551618; do
	expect_eq "$(api_status "/v1/packages/$id" -X DELETE)" 404 "DELETE /v1/packages/$id"
done
"$REPO" instruct-key create
op=$("$REPO" instruct --tenant blue --instance vm-1 --json install x | jq -r .id)
expect_eq "$(api_status "/v1/instructions/${op}0/cancel" -X POST -d '{}')" 404 "an operation's id and more"

say "who has the VM does not undo what the operator took back"
"$REPO" instruct cancel "$op" >/dev/null
tenant_begin blue vm-1
event() { status_of "$RELAY/sluice/v1/events" -X POST -d "{\"events\":[{\"operation\":\"$op\",\"state\":\"$1\",\"percent\":1}]}"; }
state() { "$REPO" instructions --json | jq -r '.[0].state'; }
expect_eq "$(event running)" 204 "a report of what was cancelled"
expect_eq "$(state)" cancelled "its state"
expect_eq "$(api '/v1/instance?tenant=blue&instance=vm-1' | jq '.operations | length')" 0 "what the next document holds"
expect_eq "$(event failed)" 204 "its end"
expect_eq "$(state)" failed "its state"

say "trees and architectures without end"
for n in $(seq 16); do
	names=$(seq -f "t$n-%g" -s , 250)
	expect_eq "$(api_status "/v1/files/many$n?visibility=$names" -T "$LAB/small.bin")" 201 "packages for 250 more tenants"
done
expect_eq "$(api_status "/v1/files/one-more?visibility=t1-1" -T "$LAB/small.bin")" 201 "for one of them"
expect_eq "$(api_status "/v1/files/too-many?visibility=t1-1,new" -T "$LAB/small.bin")" 409 "for a tenant more"
expect_eq "$(error_code)" too-many-tenants "code"
expect_eq "$(api_status /v1/packages/1/visibility -X PUT -d '{"visibility":"new"}')" 409 "by visibility"
expect_eq "$("$REPO" list --json slow.bin | jq -c '.[0] | [.public, .tenants]')" '[true,[]]' "it stays as it was"
mkdir -p "$LAB/arch/DEBIAN"
for n in $(seq 2 33); do
	printf 'Package: a\nVersion: 1\nArchitecture: arch%d\nMaintainer: x\nDescription: x\n' "$n" >"$LAB/arch/DEBIAN/control"
	dpkg-deb -Znone -b "$LAB/arch" "$LAB/arch.deb" >/dev/null
	got=$(api_status /v1/files/a.deb -T "$LAB/arch.deb")
	[ "$n" = 33 ] || expect_eq "$got" 201 "architecture $n"
done
expect_eq "$got" 409 "one architecture more"
expect_eq "$(error_code)" too-many-architectures "code"
expect_eq "$(api_status "/v1/files/same.deb" -T "$(make_deb same 1)")" 201 "another package of a known one"
expect_eq "$("$REPO" fsck --json | jq '.problems | length')" 0 "problems found by fsck"

say "what is acknowledged holds nothing for the next one, however soon it comes"
again=$("$REPO" token create again --role uploader)
expect_eq "$(session "$again" one 20000000)" 201 "a session"
expect_eq "$(session "$again" two 9999900)" 201 "another, up to what one small file needs"
# Two connections in turn: the server may still be at the end of one when the other asks.
"$PYTHON" - "$PORT" "$again" "$LAB/small.bin" >"$LAB/again.out" <<'PY'
import collections, http.client, sys

port, token, path = sys.argv[1:]
body = open(path, "rb").read()
both = [http.client.HTTPConnection("127.0.0.1", int(port), timeout=180) for _ in range(2)]
seen = collections.Counter()
for n in range(300):
    both[n % 2].request("PUT", "/v1/files/again.bin", body, {"Authorization": "Bearer " + token})
    reply = both[n % 2].getresponse()
    reply.read()
    seen[reply.status] += 1
print(", ".join(f"{count} {status}" for status, count in sorted(seen.items(), reverse=True)))
PY
expect_eq "$(cat "$LAB/again.out")" "1 201, 299 200" "one file after the other"

say "what takes long does not keep an operator from what is short"
FAULTY=$BUILD/selftests/repo/sluice-repod
[ -x "$FAULTY" ] || skip "$FAULTY is not built"
token=$("$REPO" token create busy --role uploader)
repo_stop
export SLUICE_FAULT_WAIT=upload-sync:$LAB/go-on SLUICE_FAULT_LOG=$LAB/steps
REPOD=$FAULTY repo_start
slow=()
for n in 1 2 3 4 5; do
	as "$token" "/v1/files/slow$n" -T "$LAB/small.bin" >"$LAB/slow$n.out" &
	slow+=($!)
done
finishing() { [ "$(grep -cx upload-sync "$LAB/steps")" -ge 4 ]; }
wait_for 20 "four uploads that are being finished" finishing
"$REPO" delete slow.bin >/dev/null
"$REPO" token revoke "$("$REPO" token list --json | jq -r '.tokens[] | select(.name == "busy") | .id')"
expect_eq "$(cat "$LAB"/slow?.out)" "" "uploads that have ended"
touch "$LAB/go-on"
for job in "${slow[@]}"; do wait "$job"; done
expect_eq "$(cat "$LAB"/slow?.out | fold -w 3 | sort | tr '\n' ' ')" "201 201 201 201 401 " "four were being finished, one came too late"

say "a connection that is kept gets answers while what is under way ends"
token=$("$REPO" token create last --role admin)
rm "$LAB/go-on" "$LAB/steps"
as "$token" /v1/files/last -T "$LAB/small.bin" >"$LAB/last.out" 2>&1 &
last=$!
wait_for 20 "an upload that is being finished" grep -qsx upload-sync "$LAB/steps"
"$PYTHON" - "$PORT" "$token" "$LAB" >"$LAB/kept.out" 2>&1 <<'PY' &
import http.client, pathlib, sys, time

port, token, lab = sys.argv[1:]
server = http.client.HTTPConnection("127.0.0.1", int(port), timeout=180)


def ask(method, path):
    server.request(method, path, headers={"Authorization": "Bearer " + token})
    server.auto_open = 0
    reply = server.getresponse()
    reply.read()
    return reply.status


try:
    print(ask("GET", "/v1/publish"))
    pathlib.Path(lab, "kept").touch()
    while (status := ask("DELETE", "/v1/tokens/none")) == 404:
        time.sleep(0.1)
    print(status, ask("GET", "/v1/instructions"), ask("DELETE", "/v1/tokens/none"))
finally:
    pathlib.Path(lab, "go-on").touch()
PY
kept=$!
wait_for 20 "a connection that is kept" test -e "$LAB/kept"
repo_stop
wait "$kept" || true
expect_eq "$(tr '\n' ' ' <"$LAB/kept.out")" "200 503 200 503 " "what it was told"
wait "$last" || true
