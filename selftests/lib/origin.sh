# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Origins of the lab and what is fetched from them: documents with known sums, a real
# nginx, the odd origin for what nginx cannot do on demand, and fetching with sums.

META=http://169.254.169.254
MIB=1048576
# 256 MiB is what the promise says; with sanitizers that would only test patience.
# shellcheck disable=SC2034 # for tests
if [ -z "${SANITIZE:-}" ]; then BIG=$((256 * MIB)); else BIG=$((32 * MIB)); fi

declare -A SUM # of documents, by name

# make_document NAME SIZE: random-looking, the same every time, never periodic
make_document() {
	local file=$LAB/docs/$1
	mkdir -p "$(dirname "$file")"
	head -c "$2" /dev/zero |
		openssl enc -aes-128-ctr -nosalt -K 736c75696365 -iv 0 2>/dev/null >"$file"
	SUM[$1]=$(sha256sum <"$file" | cut -d ' ' -f 1)
}

# make_documents SIZE…: named after their sizes
make_documents() {
	local size
	for size in "$@"; do
		make_document "$size" "$size"
	done
}

# start_nginx NAME [NAMESPACE]: serves $LAB/docs on port 80 of the namespace, and on the unix
# socket $LAB/NAME.sock. By location:
#   /           files          /mine/     files of the tenant that asks (X-Sluice-Tenant)
#   /chunked/   files, chunked /eof/      files, ended by closing
#   /whoami     who asks       /upload/   accepts PUT
start_nginx() {
	local name=$1 ns=${2:-mgmt}
	local dir=$LAB/$name.d
	mkdir -p "$dir" "$LAB/docs/upload"
	cat >"$dir/conf" <<-CONF
		daemon off;
		user root;
		worker_processes 2;
		pid $dir/pid;
		error_log $LAB/$name-error.log warn;
		events { worker_connections 4096; }
		http {
			log_format lab '"\$request" \$status \$body_bytes_sent "\$http_x_sluice_tenant" "\$http_x_sluice_client"';
			access_log $dir/access lab;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			default_type application/octet-stream;
			sendfile on;
			tcp_nopush on;
			keepalive_requests 1000000;
			client_max_body_size 64m;
			server {
				listen 80;
				listen [::]:80;
				listen unix:$LAB/$name.sock;
				root $LAB/docs;
				location = /whoami { return 200 "\$http_x_sluice_tenant\n"; }
				location = /origin { return 200 "$name\n"; }
				location /mine/ { alias $LAB/docs/tenants/\$http_x_sluice_tenant/; }
				location /chunked/ {
					alias $LAB/docs/;
					sub_filter_types *;
					sub_filter 'no document holds this' '';
				}
				location /eof/ {
					alias $LAB/docs/;
					sub_filter_types *;
					sub_filter 'no document holds this' '';
					chunked_transfer_encoding off;
				}
				location /upload/ { dav_methods PUT; }
			}
		}
	CONF
	start "$name" in_ns "$ns" nginx -e "$LAB/$name-error.log" -p "$dir" -c "$dir/conf"
	wait_for 5 "nginx to listen" in_ns "$ns" curl -qsf --noproxy '*' -o /dev/null http://127.0.0.1/whoami
}

# start_oddorigin NAMESPACE [PORT]
start_oddorigin() {
	start oddorigin in_ns "$1" \
		"$PYTHON" "$TOOLS/oddorigin.py" 0.0.0.0 "${2:-8081}"
	wait_for 5 "the odd origin to listen" grep -q ready "$LAB/oddorigin.log"
}

# vm_curl TENANT ARGUMENT…: plain curl in the tenant's VM
vm_curl() {
	local tenant=$1
	shift
	in_ns "$tenant-vm" curl -q -sS --fail --noproxy '*' --connect-timeout $((5 * PATIENCE)) \
		--max-time $((60 * PATIENCE)) "$@"
}

# vm_raw TENANT ARGUMENT…: the odd client in the tenant's VM
vm_raw() {
	local tenant=$1
	shift
	in_ns "$tenant-vm" "$PYTHON" "$TOOLS/rawhttp.py" --timeout $((20 * PATIENCE)) "$@"
}

# vm_sum TENANT URL…: SHA-256 of what curl gets
vm_sum() { vm_curl "$@" | sha256sum | cut -d ' ' -f 1; }

# vm_status TENANT ARGUMENT…: the status code alone, whatever it is
vm_status() {
	local tenant=$1
	shift
	in_ns "$tenant-vm" curl -q -sS --noproxy '*' -o /dev/null -w '%{http_code}' \
		--connect-timeout $((5 * PATIENCE)) --max-time $((30 * PATIENCE)) "$@"
}

# expect_document TENANT DOCUMENT [WHAT [URL-PREFIX]]
expect_document() {
	local got
	got=$(vm_sum "$1" "${4:-$META/}$2") || fail "${3:-fetch}: curl of $2 in $1 failed"
	expect_eq "$got" "${SUM[$2]}" "${3:-fetch}: SHA-256 of $2 in $1"
}

# pattern_sum SIZE: of the odd origin's bodies
pattern_sum() { "$PYTHON" "$TOOLS/rawhttp.py" sum "$1"; }

# expect_pattern TENANT PATH SIZE WHAT: the odd client gets the odd origin's body whole
expect_pattern() {
	local got
	got=$(vm_raw "$1" get "$2") || fail "$4: the client failed on $2"
	expect_eq "$got" "200 $3 $(pattern_sum "$3")" "$4: $2 in $1"
}
