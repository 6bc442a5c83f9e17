#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Who may do what: roles by token and by unix peer, expiry, revocation, passwords of browsers,
# the audit log, TLS.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
repo_begin

reader=$("$REPO" token create reading)
uploader=$("$REPO" token create ci --role uploader)
admin=$("$REPO" token create boss --role admin)
echo data >"$LAB/x.bin"
as() { local token=$1 path=$2; shift 2; status_of "$URL$path" -H "Authorization: Bearer $token" "$@"; }

# METHOD PATH reader uploader admin anonymous
while read -r method path a b c d; do
	expect_eq "$(as "$reader" "$path" -X "$method")" "$a" "reader: $method $path"
	expect_eq "$(as "$uploader" "$path" -X "$method")" "$b" "uploader: $method $path"
	expect_eq "$(as "$admin" "$path" -X "$method")" "$c" "admin: $method $path"
	expect_eq "$(status_of "$URL$path" -X "$method")" "$d" "anonymous: $method $path"
done <<-TABLE
	GET    /v1/status          200 200 200 401
	GET    /v1/packages        200 200 200 200
	GET    /v1/log             403 403 200 401
	GET    /v1/tokens          403 403 200 401
	GET    /v1/publish         200 200 200 401
	POST   /v1/uploads         403 400 400 401
	POST   /v1/publish         403 400 400 401
	POST   /v1/key             403 403 400 401
	POST   /v1/tokens          403 403 400 401
	POST   /v1/fsck            403 403 400 401
	DELETE /v1/packages/77     403 403 404 401
	DELETE /v1/tokens/77       403 403 404 401
	GET    /                   200 200 200 401
TABLE
expect_eq "$(as "$uploader" /v1/files/x.bin -T "$LAB/x.bin")" 201 "uploader uploads"
expect_eq "$(as "$reader" /v1/files/y.bin -T "$LAB/x.bin")" 403 "reader uploads"

# Tokens that are none.
flipped=${admin%?}$([ "${admin: -1}" = 0 ] && echo 1 || echo 0)
for token in "$flipped" "${admin%?}" "${admin}0" slr_ '' "slr_000000000000_${admin##*_}" "$(printf 'A%.0s' {1..600})"; do
	expect_eq "$(as "$token" /v1/packages)" 401 "the token '${token:0:20}…'"
done
id=$("$REPO" token list --json | jq -r '.tokens[] | select(.name == "boss") | .id')
"$REPO" token revoke "$id"
expect_eq "$(as "$admin" /v1/log)" 401 "a revoked token"
expect_eq "$(as "$uploader" /v1/packages)" 200 "another one still works"
long=$(post /v1/tokens '{"name":"long","role":"reader","lifetime":3600}' | jq -r .token)
expect_eq "$(as "$long" /v1/status)" 200 "a token that has not expired yet"
short=$(post /v1/tokens '{"name":"short","role":"reader","lifetime":1}' | jq -r .token)
sleep 2.1
expect_eq "$(as "$short" /v1/status)" 401 "an expired token"
case $(sqlite3 "$STATE/repo.db" .dump 2>/dev/null) in *"${uploader##*_}"*) fail "the database holds a token" ;; esac
case $(cat "$LAB/repod.log") in *"${uploader##*_}"* | *"$SECRET"*) fail "the log holds a secret" ;; esac

# A browser's password reads, and does nothing else: other sites can make a browser send it.
expect_eq "$(status_of "$URL/" -u "any:$uploader")" 200 "the page with a password"
expect_eq "$(status_of "$URL/v1/publish" -u "any:$uploader" -X POST -d '{}')" 403 "publish with a password"
expect_has "$(curl -sSI "$URL/")" "WWW-Authenticate: Basic" "the page asks for it"

# Unix peers.
if id nobody >/dev/null 2>&1 && command -v setpriv >/dev/null; then
	chmod 711 "$LAB"
	chmod 666 "$SOCK"
	peer() { setpriv --reuid=nobody --clear-groups "$@" curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" "$B/v1/status"; }
	expect_eq "$(peer --regid=65534)" 401 "a user without a role"
	repo_stop
	repo_config "peers: [{user: nobody, role: reader}]"
	repo_start
	chmod 666 "$SOCK"
	expect_eq "$(peer --regid=65534)" 200 "a user with one"
	repo_stop
	repo_config "peers: [{group: daemon, role: reader}]"
	repo_start
	chmod 666 "$SOCK"
	expect_eq "$(setpriv --reuid=nobody --regid=65534 --groups=daemon curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" "$B/v1/status")" 200 "a member of a group with a role"
fi

# Who did what is in the log.
expect_eq "$("$REPO" log --json | jq -r '[.entries[] | select(.action == "upload")][0] | [.who, .subject] | join(" ")')" "token:ci file x.bin" "the audit log"
expect_has "$("$REPO" log)" "token-revoke" "the audit log"

# Nobody without a token when that is configured.
repo_stop
repo_config "anonymous: none"
repo_start
expect_eq "$(status_of "$URL/v1/packages")" 401 "anonymous: none"
expect_eq "$(status_of "$URL/files/x.bin")" 401 "anonymous: none"
expect_eq "$(as "$reader" /files/x.bin)" 200 "a token"

# TLS.
repo_stop
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$LAB/tls.key" -out "$LAB/tls.crt" -days 2 -subj /CN=localhost \
	-addext subjectAltName=IP:127.0.0.1 2>/dev/null
chmod 600 "$LAB/tls.key"
repo_config "tls: {certificate: $LAB/tls.crt, key: $LAB/tls.key}"
sed -i "s,address: tcp:127.0.0.1:$PORT,&\n    tls: true," "$CONF"
repo_start
printf '%s\n' "$uploader" >"$LAB/token"
chmod 600 "$LAB/token"
head -c 3000000 /dev/urandom >"$LAB/tls.bin"
tls=("--server=https://127.0.0.1:$PORT" "--token-file=$LAB/token" "--ca=$LAB/tls.crt")
"$REPO" upload "${tls[@]}" "$LAB/tls.bin" >/dev/null
"$REPO" get "${tls[@]}" tls.bin -o "$LAB/tls.back" >/dev/null
cmp "$LAB/tls.bin" "$LAB/tls.back"
expect_fails "a certificate that is not trusted" "$REPO" list "--server=https://127.0.0.1:$PORT"
expect_fails "plain HTTP" curl -sSf "$URL/v1/packages"

# Mistakes in the configuration are named, with their place.
while IFS='|' read -r line want; do
	printf '%b\n' "$line" >"$LAB/bad.yaml"
	expect_exit 1 "configuration '$line'" "$REPOD" --check-config --config "$LAB/bad.yaml"
	expect_has "$(cat "$LAB/expect.out")" "$LAB/bad.yaml:$want" "configuration '$line'"
done <<-TABLE
	state: relative|1:8: state is 'relative'; write an absolute path
	nonsense: 1|1:1: no key 'nonsense' exists here
	listn: []|1:1: no key 'listn' exists here; did you mean 'listen'?
	suite: x|1:1: no key 'suite' exists here; it belongs into: publish
	limits: {threads: 2k}|1:19: threads is '2k'; write a whole number
	limits: {threads: 65}|1:19: threads is 65; write up to 64
	listen: [{address: "tcp:localhost:1"}]|1:20: 'tcp:localhost:1' is no address
	listen: [{address: "unix:/x", for: tenants}]|1:36: 'for: tenants' needs the secret
	listen: [{address: "tcp:127.0.0.1:1", tls: true}]|1:44: tls needs a certificate
	peers: [{user: nobody, role: king}]|1:30: role is 'king'; write reader, uploader or admin
	peers: [{user: no-such-user, role: admin}]|1:16: there is no user 'no-such-user'
	anonymous: everybody|1:12: anonymous is 'everybody'; write public or none
	publish: {suite: "../x"}|1:18: suite is '../x'; write one word
	tenants: {secret_file: /nonexistent}|1:24: /nonexistent: No such file
	state: /x\nstate: /y|2:1: 'state' is given twice
	state:\t/x\n\tlisten: []|2:1: found
TABLE
printf 'anonymous: none\nlimits: {threads: 65}\npublish: {suite: a b}\n' >"$LAB/bad.yaml"
expect_exit 1 "three mistakes" "$REPOD" --check-config --config "$LAB/bad.yaml"
expect_eq "$(wc -l <"$LAB/expect.out")" 2 "mistakes told at once"
expect_eq "$("$REPOD" --check-config --config "$CONF")" "$CONF: ok" "a configuration without mistake"
