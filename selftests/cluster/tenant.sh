#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# A cluster in an isolated tenant, through the opening: its control machine pulls the bundle from
# sluice-repod by 169.254.169.254, over the XDP guard, the steer program and the relay, going on where
# it was when all of sluiced is killed on the way; the other machines of the tenant's network, bare
# until bootstrap's stick, are installed from it. Nobody in that network has another way out, and
# another tenant does not see the bundle. (full/tenant does it with virtual machines.)
# shellcheck source-path=SCRIPTDIR source=../repo/lib/repo.sh disable=SC2016
. "$(dirname "$0")/../repo/lib/repo.sh"
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh
. "$(dirname "$0")/lib/cluster.sh"
need nginx jq bpftool
TENANT_GATEWAY=10.9.0.254
M=http://169.254.169.254
[ -x "$BUILD/sluiced" ] || fail "$BUILD/sluiced is not built"
repo_begin
CONTROL_STATE=$LAB/control # the repository has a state as well

# Management: the bundle, for this tenant alone.
make_keys
make_deb clt-base 1.0 500
make_deb clt-web 1.0 20000 clt-base
mkdir -p "$LAB/agent/DEBIAN" "$LAB/agent/usr/sbin"
cp "$AGENT" "$LAB/agent/usr/sbin/"
printf 'Package: sluice-agent\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Test <test@example.org>\nDescription: agent\n' \
	>"$LAB/agent/DEBIAN/control"
dpkg-deb -Znone --root-owner-group -b "$LAB/agent" "$LAB/debs/sluice-agent_1.0_amd64.deb" >/dev/null
write_bundle <<-YAML
	  - name: sluice-agent
	    role: component
	    packages: [sluice-agent]
	  - name: web
	    role: software
	    packages: [clt-web]
	    variables:
	      - name: node
	    install:
	      - run: echo "\$node" >/var/clt-web.installed
YAML
make_bundle 1
mv "$LAB/1.sluice" "$LAB/edge-1.sluice"
"$REPO" upload --visible blue "$LAB/edge-1.sluice" >"$LAB/upload.log"

# The tenant's network: the lab's switch, with the gateway qr0 as one more port. It forwards nothing.
cluster_net 2
make_ns blue
make_link sw pgw blue qr0
ns_ip sw link set pgw master br0
ns_ip blue address add $TENANT_GATEWAY/24 dev qr0
ns_ip c route add 169.254.169.254/32 via $TENANT_GATEWAY
make_management
make_tenant red
# shellcheck disable=SC2034 # sluice_yaml uses both
SERVICES_YAML="- name: repo
  identity: sluice
  secret_file: $LAB/secret
  origins: [{address: \"unix:$LAB/tenants.sock\"}]"
# shellcheck disable=SC2034
ROUTES_YAML="- {path: /repo, service: repo}"
start_sluiced
attach blue --guard xdp-native
attach red --guard xdp-native
expect_eq "$(tenant blue .guard.active)" xdp-native "the guard of the tenant"
for ns in c n1 n2; do
	expect_fails "$ns has another way out" in_ns $ns ip route get "$MGMT_IP"
done
expect_fails "the management network is in reach" in_ns c curl -s --connect-timeout 2 --noproxy '*' "http://$MGMT_IP/"

# The control machine pulls, by the opening. In the middle all of sluiced is killed.
export no_proxy=169.254.169.254
pull() { in_ns c "$BUNDLE" pull --keys "$LAB/ops.pub" "$@" "$M/repo/files/edge-1.sluice" "$LAB/store"; }
start pull nsenter --net="$(ns_path c)" -- "$BUNDLE" pull --keys "$LAB/ops.pub" --tries 30 \
	"$M/repo/files/edge-1.sluice" "$LAB/store"
some() { [ -n "$(find "$LAB/store/partial" -type f -size +0 2>/dev/null)" ] || [ -e "$LAB/store/index.json" ]; }
wait_for 30 "a blob to come" some
kill_sluiced all
start_sluiced
attach blue --guard xdp-native
attach red --guard xdp-native
collect pull || fail "pull: $(tail -n 3 "$LAB/pull.log")"
"$BUNDLE" verify --keys "$LAB/ops.pub" "$LAB/store" >/dev/null || fail "what was pulled"
expect_eq "$(pull --json | jq .blobs_fetched)" 0 "blobs that a second pull fetches"
expect_ge "$(bpf_verdict blue established)" 10 "packets that the guard admitted"
expect_eq "$(in_ns red-vm curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' "$M/repo/files/edge-1.sluice")" 404 \
	"the bundle, asked for by another tenant"

# From there the tenant's other machines, by bootstrap's stick and by agents.
write_cluster 2 'components: [sluice-agent]
software: [web]'
cluster_init
for i in 1 2; do
	on $i rm -f /usr/sbin/sluice-agent
	ctl bootstrap --bundle "$LAB/store" --write "$LAB/stick$i" n$i >>"$LAB/bootstrap.log" || fail "bootstrap of n$i"
	expect_eq "$(stat -c %a "$LAB/stick$i/install.sh")" 700 "mode of the script with the token"
	on $i mkdir /tmp/stick
	tar -C "$LAB/stick$i" -cf - . | on $i tar -C /tmp/stick -xf -
	on $i sh /tmp/stick/install.sh >"$LAB/install$i.log" 2>&1 || fail "install.sh on n$i: $(tail -n 3 "$LAB/install$i.log")"
done
expect_exit 1 "a stick that is written on twice" ctl bootstrap --bundle "$LAB/store" --write "$LAB/stick1" n1
expect_has "$(cat "$LAB/expect.out")" "take an empty directory" "why"
AGENT=/usr/sbin/sluice-agent
for i in 1 2; do agent_start $i; done
ctl apply --bundle "$LAB/store" --json >"$LAB/apply.json" || fail "apply: $(jq -c '[.problems, (.nodes[] | {name, state, why})]' "$LAB/apply.json")"
for i in 1 2; do
	expect_eq "$(version_on $i clt-web)" 1.0 "clt-web on n$i"
	expect_eq "$(on $i cat /var/clt-web.installed)" "n$i" "the step on n$i"
	on $i dpkg -s sluice-agent >/dev/null || fail "the agent's package on n$i"
done
expect_eq "$(ctl plan --json | jq .changes)" 0 "changes of a second plan"
stop_sluiced
