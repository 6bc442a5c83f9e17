#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 60
#
# The parent is killed while the file is wrong: its successor goes on with the configuration that was
# in force, tenants, access log and metrics included, and takes the file once it is right.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

path_lab 1024
LOG_YAML="access: $LAB/access"
eval "$(declare -f sluice_yaml | sed '1s/sluice_yaml/plain_yaml/')"
sluice_yaml() {
	plain_yaml
	section metrics "listen: \"unix:$LAB/metrics.sock\"
user: \"64998\""
}
TENANTS_YAML=$(for bridge in $BRIDGES; do
	printf -- '- {name: %s, netns: %s, interface: qr0, bridge: %s}\n' "$bridge" "$(ns_name "$bridge")" "$bridge"
done)
start_sluiced
attached() { for bridge in $BRIDGES; do [ "$(tenant "$bridge" .state)" = attached ] || return 1; done; }
wait_for 10 "the tenants" attached
generations() { sluice status --json | jq -c '[.workers[].generation] | unique'; }
is() { [ "$(generations)" = "[$1]" ]; }
logged() { [ "$(sluice log --lines 0 --json | wc -l)" -ge "$1" ]; }
exporter() { pgrep -P "$(pid_of sluiced)" -f -- '^sluiced --exporter$'; }
succeed() {
	start sluiced "$BUILD/sluiced" --config "$LAB/sluiced.yaml" --instance "$INSTANCE"
	wait_sluiced
}
requests=0
# fetch WHAT: and each has its line in the access log
fetch() {
	for bridge in $BRIDGES; do
		expect_document "$bridge" 1024 "$1"
		requests=$((requests + 1))
	done
	wait_for 10 "lines in the access log, $1" logged $requests
}
is 1 || fail "generations at first: $(generations)"
fetch "at first"
cp "$LAB/sluiced.yaml" "$LAB/right.yaml"

for generation in 2 3; do
	printf 'services: [\n' >"$LAB/sluiced.yaml"
	kill_sluiced
	succeed
	expect_eq "$(grep -c "going on with the configuration in force" "$LAB/sluiced.log")" $((generation - 1)) \
		"successors that said what they go on with"
	attached || fail "a tenant of the configuration in force is not attached"
	wait_for 20 "the workers to be replaced" is "$generation"
	fetch "with a wrong file, generation $generation"
	wait_for 10 "the exporter" exporter
	expect_eq "$(awk '/^Uid/ { print $3 }' "/proc/$(exporter)/status")" 64998 "the exporter's uid"
	sluice log rotate >>"$LAB/rotate.log" || fail "log rotate: $(cat "$LAB/rotate.log")"
	expect_fails "a reload" sluice reload
done

cp "$LAB/right.yaml" "$LAB/sluiced.yaml"
sluice reload >"$LAB/reload.log" || fail "reload of a right file"
wait_for 20 "the reload" is 4
fetch "after a reload"

# What belongs to the configuration and is not there any more is done without.
printf 'services: [\n' >"$LAB/sluiced.yaml"
kill_sluiced
rm "$LAB/access"
mkdir "$LAB/access"
succeed
expect_has "$(cat "$LAB/sluiced.log")" "done without: log.access: $LAB/access" "what the log says"
wait_for 20 "the workers to be replaced" is 5
for bridge in $BRIDGES; do expect_document "$bridge" 1024 "without an access log"; done
sluice log rotate >>"$LAB/rotate.log" || fail "log rotate without a log: $(cat "$LAB/rotate.log")"
is 5 || fail "generations at the end: $(generations)"
stop_sluiced
