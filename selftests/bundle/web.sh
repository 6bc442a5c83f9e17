#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Pulling from a real nginx: parts, redirects, credentials, TLS, a server that breaks off. A redirect
# is followed to the same server and to https, never to http elsewhere, and not for ever; credentials
# come from files that others cannot read, are on no command line, and are sent to nobody else.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
need nginx curl openssl
APP_SIZE=6000000 bundle_begin
make_bundle one.sluice
mkdir -p web/parts web/gap web/cut web/private
cp one.sluice web/
cp one.sluice web/private/
"$BUNDLE" split one.sluice --size 2 -o web/parts/one.sluice >/dev/null
expect_eq "$(find web/parts -type f | wc -l)" 3 "parts"
cp web/parts/one.sluice.00[13] web/gap/
cp web/parts/* web/cut/ && truncate -s 1000000 web/cut/one.sluice.002

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout tls.key -out tls.crt -days 2 \
	-subj /CN=sluice-test -addext 'subjectAltName = IP:127.0.0.1' 2>/dev/null
printf 'ops:%s\n' "$(openssl passwd -apr1 'a:secret')" >users
(umask 077 && printf 'ops:a:secret\n' >user && printf 'token-7f\n' >token && printf 'ops:wrong\n' >wrong)

# web_start: on ports that are kept; a URL is a behaviour
PLAIN=$(free_port) OTHER=$(free_port) TLS=$(free_port)
WEB=http://127.0.0.1:$PLAIN
web_conf() {
	mkdir -p nginx
	cat >nginx.conf <<-CONF
		daemon off;
		user root;
		worker_processes 1;
		pid $LAB/nginx/pid;
		error_log $LAB/nginx-error.log warn;
		events { worker_connections 256; }
		http {
			log_format sent '\$server_port \$status \$body_bytes_sent \$uri "\$http_authorization"';
			access_log $LAB/access sent;
			client_body_temp_path $LAB/nginx/body;
			proxy_temp_path $LAB/nginx/proxy;
			default_type application/octet-stream;
			root $LAB/web;
			server {
				listen 127.0.0.1:$PLAIN;
				location /slow/ { alias $LAB/web/; limit_rate ${1:-0}; }
				location /basic/ { alias $LAB/web/private/; auth_basic sluice; auth_basic_user_file $LAB/users; }
				location /token/ {
					alias $LAB/web/private/;
					if (\$http_authorization != "Bearer token-7f") { return 401; }
				}
				location /here/ { rewrite ^/here/(.*) /\$1 redirect; }
				location /full/ { return 302 http://127.0.0.1:$PLAIN/one.sluice; }
				location /loop/ { return 302 /loop/\$request_id; }
				location /down/ { return 302 http://127.0.0.1:$OTHER/one.sluice; }
				location /up/ { return 307 https://127.0.0.1:$TLS\$uri; }
				location /file/ { return 302 file:///etc/passwd; }
				location /user/ { return 302 http://a:b@127.0.0.1:$PLAIN/one.sluice; }
				location /noranges/ { alias $LAB/web/; max_ranges 0; }
				location /endless/ { return 302 /endless.txt; }
			}
			server { listen 127.0.0.1:$OTHER; }
			server {
				listen 127.0.0.1:$TLS ssl;
				ssl_certificate $LAB/tls.crt;
				ssl_certificate_key $LAB/tls.key;
				location /up/ { alias $LAB/web/; }
				location /up/down/ { return 302 $WEB/one.sluice; }
			}
		}
	CONF
}
web_start() {
	web_conf "${1:-}"
	start nginx nginx -e "$LAB/nginx-error.log" -p "$LAB/nginx" -c "$LAB/nginx.conf"
	wait_for 10 "nginx listens" curl -qsf --noproxy '*' -o /dev/null "$WEB/one.sluice" -r 0-0
}
export no_proxy=127.0.0.1
web_start
pull() { "$BUNDLE" pull --keys ops.pub --tries 2 "$@"; }
# pulled WHAT URL [OPTION…]: whole
pulled() {
	rm -rf got
	pull "${@:3}" "$2" got >out 2>&1 || fail "$1: $(cat out)"
	verify got >/dev/null
}
# refused WHAT TEXT URL [OPTION…]: nothing is written
refused() {
	rm -rf got
	expect_exit 1 "$1" "$BUNDLE" pull --keys ops.pub --tries 2 "${@:4}" "$3" got
	said "$2" "$1"
	[ ! -e got ] || fail "$1: something was written"
}

# Parts: by their common name, by the first, with a query behind; what is wrong with them is named.
pulled "parts by their name" "$WEB/parts/one.sluice"
pulled "parts by the first" "$WEB/parts/one.sluice.001"
pulled "parts, and a query" "$WEB/parts/one.sluice?x=1"
"$BUNDLE" join got -o joined.sluice >/dev/null
cmp one.sluice joined.sluice || fail "what came in parts is not what was cut"
refused "no file, no parts" "no such file" "$WEB/nothing.sluice"
refused "a gap" "one.sluice.002 is missing" "$WEB/gap/one.sluice"
rm -rf got
expect_exit 3 "a part that is short" "$BUNDLE" pull --keys ops.pub "$WEB/cut/one.sluice" got
said "one.sluice.002 is not as large" "the part is named"

# Redirects.
pulled "to the same server, by path" "$WEB/here/one.sluice"
pulled "parts behind a redirect" "$WEB/here/parts/one.sluice"
pulled "to the same server, in full" "$WEB/full/"
pulled "to https" "$WEB/up/one.sluice" --ca tls.crt
refused "to http on another port" "not followed" "$WEB/down/"
refused "from https down to http" "not followed" "https://127.0.0.1:$TLS/up/down/" --ca tls.crt
refused "in a circle" "more than 5 times" "$WEB/loop/"
refused "to a file" "no http URL" "$WEB/file/"
refused "to a URL with a password" "password in it" "$WEB/user/"
refused "without ranges" "does not answer with ranges" "$WEB/noranges/one.sluice"
expect_fails "a certificate nobody trusts" "$BUNDLE" pull --keys ops.pub --tries 1 "https://127.0.0.1:$TLS/up/one.sluice" got

# Credentials.
refused "none" "--token-file or --user-file" "$WEB/basic/one.sluice"
refused "wrong ones" "answers 401" "$WEB/basic/one.sluice" --user-file wrong
pulled "a user" "$WEB/basic/one.sluice" --user-file user
pulled "a token" "$WEB/token/one.sluice" --token-file token
refused "in the URL" "password in it" "http://ops:secret@127.0.0.1:$PLAIN/basic/one.sluice"
refused "both" "not both" "$WEB/basic/one.sluice" --user-file user --token-file token
chmod o+r token
refused "a file that all can read" "can be read by everybody" "$WEB/token/one.sluice" --token-file token
chmod o= token
: >access
pulled "a token, and a redirect to https elsewhere" "$WEB/up/one.sluice" --token-file token --ca tls.crt
grep -q "^$PLAIN .*Bearer token-7f" access || fail "the server that was named saw no token: $(head -n 3 access)"
! grep "^$TLS .*Bearer" access || fail "the token went to another server"
: >access
pulled "and one to the same server" "$WEB/here/token/one.sluice" --token-file token

# Broken off in the middle: what came stays, the rest is fetched.
stop nginx
web_start 1m
rm -rf got
start half "$BUNDLE" pull --keys ops.pub --tries 1 "$WEB/slow/parts/one.sluice" got
some() { [ "$(find got/partial -type f -size +1M 2>/dev/null | wc -l)" -gt 0 ]; }
wait_for 20 "a blob to be half there" some
stop nginx
status=0
collect half || status=$?
expect_eq "$status" 1 "a pull whose server is gone"
[ ! -e got/index.json ] || fail "half a bundle counts as one"
: >access
web_start
pull --json "$WEB/parts/one.sluice" got >out.json
expect_ge "$(jq .bytes_resumed out.json)" 1000000 "bytes gone on with"
sent=$(awk '{ n += $3 } END { print n }' access)
expect_le "$sent" $(($(stat -c %s one.sluice) - 500000)) "bytes that nginx sent after it"
verify got >/dev/null
stop nginx
