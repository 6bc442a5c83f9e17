#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
#
# Differential test: about 600 raw requests (corpus/raw_requests.py), each with an innocent one
# behind it, through the relay to an origin that records every byte, and to nginx and haproxy,
# which stand before the same recorder. All three read what reaches them in the same way, a
# refused request reaches nobody, and the next request is never swallowed or invented.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need nginx haproxy curl jq
make_management
# shellcheck disable=SC2086 # a list of words
make_tenant $BRIDGES

start_proxies() {
	local dir=$LAB/proxies
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-CONF
		daemon off;
		user root;
		pid $dir/nginx.pid;
		events { worker_connections 2048; }
		http {
			access_log off;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			large_client_header_buffers 8 64k;
			keepalive_requests 1000000;
			server {
				listen 8082;
				merge_slashes off;
				location / {
					proxy_pass http://unix:$LAB/nginx-behind.sock;
					proxy_http_version 1.1;
					proxy_set_header Host \$http_host;
					proxy_set_header Connection "";
				}
			}
		}
	CONF
	cat >"$dir/haproxy.cfg" <<-CONF
		global
			maxconn 2000
			tune.bufsize 65536
		defaults
			mode http
			timeout connect 10s
			timeout client 60s
			timeout server 60s
			timeout http-request 60s
		frontend in
			bind :8083
			default_backend out
		backend out
			server recorder unix@$LAB/haproxy-behind.sock
	CONF
	start nginx in_ns mgmt nginx -e "$LAB/nginx-error.log" -p "$dir" -c "$dir/nginx.conf"
	start haproxy in_ns mgmt haproxy -db -f "$dir/haproxy.cfg"
	wait_for 10 "nginx to listen" in_ns mgmt curl -qsf --noproxy '*' -o /dev/null http://127.0.0.1:8082/
	wait_for 10 "haproxy to listen" in_ns mgmt curl -qsf --noproxy '*' -o /dev/null http://127.0.0.1:8083/
}

PORT=8081
sluice_yaml() {
	section management "netns: $(ns_name mgw)"$'\n'"source: $MGMT_SOURCE"
	section relay "workers: 2
user: \"64999\"
engine: $ENGINE"
	section services "- name: origin
  identity: sluice
  origins: [{address: \"tcp:$MGMT_IP:$PORT\"}]"
	section routes "- {path: /, service: origin, methods: [GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS]}"
}

# differ BRIDGE ORIGIN [OPTION…]
differ() {
	local bridge=$1
	shift
	say "$bridge, $*"
	in_ns "$bridge-vm" env VM_IP="$VM_IP" "$PYTHON" "$TOOLS/differential.py" "$LAB/record.json" "$@" ||
		fail "the corpus, $bridge, $*"
}

start recorder in_ns mgmt "$PYTHON" "$TOOLS/recorder.py" "$LAB/record.json" direct=8081 \
	"nginx=unix:$LAB/nginx-behind.sock" "haproxy=unix:$LAB/haproxy-behind.sock"
wait_for 10 "the recorder to listen" grep -q ready "$LAB/recorder.log"
start_proxies

while read -r origin PORT; do
	start_sluiced
	for bridge in $BRIDGES; do
		attach "$bridge" --bridge "$bridge"
		differ "$bridge" "$origin"
		[ "$origin" != direct ] || differ "$bridge" direct --split 7
	done
	stop_sluiced
done <<-ORIGINS
	direct 8081
	nginx 8082
	haproxy 8083
ORIGINS
