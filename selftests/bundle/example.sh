#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# What the documentation shows: the example definition makes a bundle (its packages made here, under
# their names), and a bundle goes through the repository to a VM's directory.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
bundle_begin
for package in etcd-server etcd-client patroni postgresql haproxy; do
	make_deb $package 1.0 1000 base
done
: >base-status
sed 's/^machine_sources: true/debs: [debs]/' "$TOP/scripts/bundle.yaml" >example.yaml
make_bundle database.sluice example.yaml
verify database.sluice >/dev/null
expect_eq "$("$BUNDLE" inspect --json database.sluice | jq -r '[.items[] | .name + " " + .role] | join(", ")')" \
	"etcd component, patroni software, haproxy software" "items of the example"
# shellcheck disable=SC2016 # a template
expect_has "$("$BUNDLE" inspect --json database.sluice etcd | jq -r '.configs[0].text')" \
	'ETCD_NAME=${NODE}' "its template"

# Uploaded with sluice-repo, pulled by a VM's address for it, in one command each.
need curl
port=$(free_port)
printf 'state: %s/state\nlisten:\n  - address: tcp:127.0.0.1:%s\n  - address: unix:%s/control.sock\n' "$LAB" "$port" "$LAB" >repod.yaml
start repod "$BUILD/sluice-repod" --config repod.yaml
wait_for 10 "sluice-repod listens" curl -sf --unix-socket control.sock http://sluice-repod/v1/status
"$BUILD/sluice-repo" upload --server "unix:$LAB/control.sock" database.sluice >/dev/null
"$BUNDLE" pull --keys ops.pub "http://127.0.0.1:$port/files/database.sluice" store >/dev/null
verify store >/dev/null
"$BUNDLE" join store -o joined.sluice >/dev/null
cmp joined.sluice database.sluice || fail "what came through the repository is another bundle"
