# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# sluiced in the lab: an instance of its own, a configuration made from variables, and
# what it counted, from both sides: the control socket and the pinned maps.

INSTANCE=$SL_ID
SLUICED=sluiced  # the process name of the instance that is meant
WORKERS=2
ENGINE=inline
ENGINES=${ENGINES:-inline uring copy}
BRIDGES=${BRIDGES:-fd stream}
# More lines of a section, "KEY: VALUE" each.
GUARD_YAML='' LIMITS_YAML='' LOG_YAML='' RELAY_YAML='' LISTEN_YAML='' SERVICES_YAML='' ROUTES_YAML='' TENANTS_YAML='' DISCOVER_YAML='' BINDINGS_YAML=''

section() {
	[ -z "$2" ] || printf '%s:\n  %s\n' "$1" "${2//$'\n'/$'\n'  }"
}

# Services of every test: web (nginx over TCP), socket (the same over its unix socket), odd.
sluice_yaml() {
	section management "netns: $(ns_name mgw)"$'\n'"source: $MGMT_SOURCE"
	section listen "$LISTEN_YAML"
	section relay "workers: $WORKERS
user: \"64999\"
engine: $ENGINE
$RELAY_YAML"
	section guard "$GUARD_YAML"
	section limits "$LIMITS_YAML"
	section log "$LOG_YAML"
	section services "- name: web
  identity: sluice
  origins: [{address: \"tcp:$MGMT_IP:80\"}]
- name: socket
  identity: sluice
  origins: [{address: \"unix:$LAB/nginx.sock\"}]
- name: odd
  origins: [{address: \"tcp:$MGMT_IP:8081\"}]
$SERVICES_YAML"
	section routes "- {path: /, service: web, methods: [GET, HEAD, PUT, POST]}
- {path: /socket, service: socket}
- {path: /odd, service: odd, methods: [GET, HEAD, PUT, POST]}
$ROUTES_YAML"
	section tenants "$TENANTS_YAML"
	section discover "$DISCOVER_YAML"
	section bindings "$BINDINGS_YAML"
}

# bind_instance TENANT INSTANCE: before start_sluiced; the tenant's VM is known as that instance
bind_instance() {
	jq -nc --arg t "$1" --arg i "$2" --arg a "$VM_IP" --arg m "$(mac_of "$1-vm" eth0)" \
		'{tenant: $t, mac: $m, addresses: [$a], instance: $i, project: "p-1"}' >>"$LAB/bindings"
	BINDINGS_YAML="file: $LAB/bindings
store: $LAB/bindings.d"
}

sluice() { "$BUILD/sluice" --instance "$INSTANCE" "$@"; }

# start_sluiced [ENGINE [PROGRAM]]: returns when it answers and all its workers serve
start_sluiced() {
	local config=$LAB/$SLUICED.yaml program=${2:-$BUILD/sluiced}
	ENGINE=${1:-$ENGINE}
	[ -x "$program" ] || fail "$program is not built: make"
	sluice_yaml | sed '/^ *$/d' >"$config"
	start "$SLUICED" "$program" --config "$config" --instance "$INSTANCE"
	wait_sluiced
}

wait_sluiced() {
	wait_for 15 "sluiced to be ready ($(pid_of "$SLUICED"))" sluiced_ready_or_gone
	alive "$(pid_of "$SLUICED")" || fail "sluiced ended while starting"
}

sluiced_ready_or_gone() { ! alive "$(pid_of "$SLUICED")" || sluiced_ready; }

sluiced_ready() {
	sluice status --json 2>/dev/null |
		jq -e '.workers | length > 0 and all(.pid > 0 and .state == "serving")' >/dev/null
}

# stop_sluiced: SIGTERM; it must end in order and leave neither pin nor socket nor worker.
stop_sluiced() { sluiced_end || fail "sluiced does not end as it should"; }

sluiced_end() {
	local pid status=0 worker workers
	pid=$(pid_of "$SLUICED")
	mapfile -t workers < <(children_of "$pid")
	end_pid "$pid" 10 || status=$?
	forget "$SLUICED"
	if [ $status -ne 0 ]; then
		printf 'FAIL: sluiced ended with status %s\n' $status >&2
	elif [ -e "/sys/fs/bpf/sluice/$INSTANCE" ]; then
		printf 'FAIL: sluiced left pins: %s\n' \
			"$(find "/sys/fs/bpf/sluice/$INSTANCE" | head -5 | tr '\n' ' ')" >&2
		status=1
	elif [ -e "/run/sluice/$INSTANCE/control.sock" ]; then
		printf 'FAIL: sluiced left its control socket\n' >&2
		status=1
	fi
	for worker in ${workers[@]+"${workers[@]}"}; do
		if alive "$worker"; then
			printf 'FAIL: sluiced left worker %s\n' "$worker" >&2
			STRAYS+=("$worker")
			status=1
		fi
	done
	return $status
}

# kill_sluiced [all]: SIGKILL to the parent; with all, to the workers too
kill_sluiced() {
	local pid workers
	pid=$(pid_of "$SLUICED")
	mapfile -t workers < <(children_of "$pid")
	STRAYS+=(${workers[@]+"${workers[@]}"})
	kill -KILL "$pid"
	[ "${1:-}" != all ] || kill -KILL "${workers[@]}"
	wait "$pid" 2>/dev/null || true
	forget "$SLUICED"
}

# saved_state: what the file for a successor says, all of its lines together
saved_state() {
	jq -cs 'reduce .[] as $line ({tenants: {}};
			.tenants as $was | . + $line | .tenants =
				reduce ($line.gone // [])[] as $slot ($was; del(.[$slot | tostring]))
				+ ($line.tenants | INDEX(.slot)))
		| .tenants |= ([.[]] | sort_by(.slot)) | .workers |= sort_by(.pid) | del(.gone)' \
		"/run/sluice/$INSTANCE/state"
}

worker_pids() { sluice status --json | jq -r '.workers[].pid'; }

# attach TENANT OPTION…: interface qr0 unless the options name another
attach() {
	local tenant=$1 interface=(--interface qr0)
	shift
	case " $* " in *" --interface "*) interface=() ;; esac
	sluice tenant attach "$tenant" --netns "$(ns_name "$tenant")" \
		${interface[@]+"${interface[@]}"} "$@" >>"$LAB/attach.log" 2>&1 ||
		fail "attach of $tenant: $(tail -n 3 "$LAB/attach.log")"
}

detach() { sluice tenant detach "$1" >>"$LAB/attach.log"; }

# tenant TENANT JQ-FILTER: of what "tenant show" says
tenant() { sluice tenant show "$1" --json | jq -r "$2"; }

# bpf_map NAME: a pinned map as JSON, as bpftool shows it
bpf_map() { bpftool -j map dump pinned "/sys/fs/bpf/sluice/$INSTANCE/maps/$1"; }

# bpf_verdict TENANT FIELD: what the kernel counted, summed over CPUs
bpf_verdict() { bpf_verdict_of "$(verdict_key "$1")" "$2"; }
verdict_key() { tenant "$1" '"\(.netns_cookie) \(.ifindex)"'; }
bpf_verdict_of() {
	bpf_map verdicts | jq --argjson cookie "${1% *}" --argjson ifindex "${1#* }" "
		[ .[].formatted | select(.key.netns_cookie == \$cookie and .key.ifindex == \$ifindex)
		  | .values[].value.$2 ] | add // 0"
}

# bpf_relay TENANT FIELD: what the relay published
bpf_relay() {
	local id
	id=$(tenant "$1" .id)
	bpf_map relay | jq --argjson id "$id" ".[].formatted | select(.key == \$id) | .value.$2"
}

# each_path FUNCTION: calls FUNCTION ENGINE BRIDGE TENANT for every engine and bridge. Tenants are
# made by the caller and named after the bridges.
each_path() {
	local engine bridge
	for engine in $ENGINES; do
		start_sluiced "$engine"
		for bridge in $BRIDGES; do
			attach "$bridge" --bridge "$bridge"
		done
		for bridge in $BRIDGES; do
			say "$engine, $bridge"
			"$1" "$engine" "$bridge" "$bridge"
		done
		stop_sluiced
	done
}

# path_lab DOCUMENT-SIZE…: the usual stage for each_path
path_lab() {
	lab_begin
	need nginx curl jq openssl
	make_management
	# shellcheck disable=SC2086 # a list of words
	make_tenant $BRIDGES
	make_documents "$@"
	start_nginx nginx
}
