#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Three nodes with roots of their own and no route out: planned, installed, configured; a second
# apply changes nothing; drift is repaired; a new configuration goes where it belongs; uninstalling
# gives back what was there.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 3
make_keys
make_deb clt-base 1.0 200
make_deb clt-store 1.0 2000 clt-base
make_deb clt-web 1.0 50 clt-base
write_bundle <<-YAML
	  - name: store
	    role: component
	    packages: [clt-store]
	    variables:
	      - name: node
	      - name: peers
	      - name: level
	        value: "3"
	    configs:
	      - path: /etc/clt-store.conf
	        mode: "0640"
	        text: |
	          name=\${node}
	          peers=\${peers}
	          level=\${level} for \$\$5
	    health:
	      - run: test -e /usr/share/clt-store/data && test "\$level" -gt 0
	        tries: 3
	        interval: 1
	    uninstall:
	      - run: echo bye >/var/clt-store.bye
	  - name: web
	    role: software
	    packages: [clt-web]
	    requires: [store]
	    install:
	      - run: echo "\$node" >/var/clt-web.installed
	  - name: tool
	    role: software
	    tarball: $LAB/tool.tar
	    target: /opt/clt-tool
	    version: "7"
YAML
mkdir "$LAB/tool" && echo run >"$LAB/tool/run"
tar -C "$LAB/tool" -cf "$LAB/tool.tar" .
make_bundle 1
printf '    software: [web, tool]\n    variables:\n      - {name: level, value: "9"}\n' >"$LAB/n3.yaml"
lines='components: [store]
software: [web]
variables:
  - name: peers
    value: n1,n2,n3'
write_cluster 3 "$lines"
cluster_init
for i in 1 2 3; do
	enrol $i
	on $i sh -c 'echo old >/etc/clt-store.conf'
	selections $i >"$LAB/before$i"
	agent_start $i
done

# The plan says what will be, and touches nothing.
ctl plan --bundle "$LAB/1.sluice" --json >"$LAB/plan.json" || fail "plan: $(jq -c '[.problems, .nodes[].problems]' "$LAB/plan.json")"
expect_eq "$(jq -r '[.nodes[].items[] | .name + ":" + .action] | join(" ")' "$LAB/plan.json")" \
	"store:install web:install store:install web:install store:install web:install tool:install" "the plan"
expect_eq "$(jq -r '.nodes[0].items[0].new | join(",")' "$LAB/plan.json")" "clt-base 1.0,clt-store 1.0" "new packages"
expect_eq "$(version_on 1 clt-store)" none "nothing is touched by a plan"

ctl apply --bundle "$LAB/1.sluice" --json >"$LAB/apply.json" || fail "apply: $(jq -c '[.nodes[] | {name, state, why}]' "$LAB/apply.json")"
for i in 1 2 3; do
	expect_eq "$(version_on $i clt-web)" 1.0 "clt-web on n$i"
	expect_eq "$(on $i cat /var/clt-web.installed)" "n$i" "the install step's environment on n$i"
	expect_eq "$(on $i stat -c %a /etc/clt-store.conf)" 640 "mode of the configuration"
	expect_eq "$(item_state $i store)" healthy "state of store on n$i"
done
expect_eq "$(on 1 cat /etc/clt-store.conf | tr '\n' ' ')" 'name=n1 peers=n1,n2,n3 level=3 for $5 ' "configuration of n1"
expect_eq "$(on 3 sed -n 3p /etc/clt-store.conf)" 'level=9 for $5' "n3's own variable"
expect_eq "$(on 3 cat /opt/clt-tool/run)" run "the tarball"
expect_fails "the tarball is for n3 alone" on 1 test -e /opt/clt-tool
run=$(jq -r .run "$LAB/apply.json")
jq -e '.spans | map(.state) | contains(["sending", "installing"])' "$LAB/state/runs/$run.timeline.json" >/dev/null ||
	fail "the timeline: $(cat "$LAB/state/runs/$run.timeline.json")"
grep -q '<rect.*installing' "$LAB/state/runs/$run.svg" || fail "the picture of it"

# Again: nothing changes.
log=$(on 1 sha256sum /var/log/dpkg.log)
expect_eq "$(ctl plan --json | jq .changes)" 0 "changes in a second plan"
ctl apply --json >"$LAB/again.json" || fail "apply again: $(jq -c '[.nodes[] | {name, state, why}]' "$LAB/again.json")"
expect_eq "$(on 1 sha256sum /var/log/dpkg.log)" "$log" "dpkg's log after a second apply"
expect_eq "$(jq -r '[.nodes[].items[].action] | unique | join(" ")' "$LAB/again.json")" keep "actions of a second apply"

# Somebody took a package away: seen, and repaired. A variable changed: only there.
on 2 dpkg --purge clt-web >/dev/null 2>&1
repair() { [ "$(ctl plan --json | jq -r '.nodes[1].items[1].action')" = repair ]; }
wait_for 20 "the plan sees that a package is gone" repair
ctl apply --json >"$LAB/repair.json" || fail "repair: $(jq -c '[.nodes[] | {name, state, why}]' "$LAB/repair.json")"
expect_eq "$(version_on 2 clt-web)" 1.0 "repaired"
sed -i 's/value: "9"/value: "8"/' "$LAB/n3.yaml"
write_cluster 3 "$lines"
ctl apply --file "$LAB/cluster.yaml" --json >"$LAB/change.json" || fail "change: $(jq -c '[.nodes[] | {name, state, why}]' "$LAB/change.json")"
expect_eq "$(jq -r '[.nodes[] | .name as $n | .items[] | select(.action == "change") | $n + ":" + .name] | join(" ")' "$LAB/change.json")" \
	n3:store "what the changed variable changes"
expect_eq "$(on 3 sed -n 3p /etc/clt-store.conf)" 'level=8 for $5' "the changed variable"

# Taken away: selections and files are as they were.
ctl uninstall --json >"$LAB/uninstall.json" || fail "uninstall: $(jq -c '[.nodes[] | {name, state, why, items}]' "$LAB/uninstall.json")"
for i in 1 2 3; do
	selections $i | diff "$LAB/before$i" - >&2 || fail "selections of n$i"
	expect_eq "$(on $i cat /etc/clt-store.conf)" old "the file that was there before"
	expect_eq "$(on $i cat /var/clt-store.bye)" bye "the uninstall step"
done
expect_fails "the tarball's directory is gone" on 3 test -e /opt/clt-tool
