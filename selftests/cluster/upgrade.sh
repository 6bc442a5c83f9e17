#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
#
# One bundle after the other at the same path, as it is upgraded: a running server sends the newer one,
# also where what it has for a node is not new, and has let go of the medium when nobody asks any more.
# An older one is refused by the nodes too, when the control machine's database is from an old copy. An
# item that did not become healthy is retried while it holds the port that it needs.
# shellcheck source-path=SCRIPTDIR source=lib/cluster.sh disable=SC2016
. "$(dirname "$0")/lib/cluster.sh"
cluster_lab 1
need sqlite3
make_keys
make_deb clt-app 1.0
make_deb clt-server 1.0
mkdir "$LAB/tool" "$LAB/stick"
# bundle VERSION TOOL: at the path where all of them are; the tool of that version
bundle() {
	printf '%s\n' "$2" >"$LAB/tool/run"
	tar -C "$LAB/tool" -cf "$LAB/tool.tar" --mtime=@0 .
	write_bundle <<-YAML
		  - name: app
		    role: component
		    packages: [clt-app]
		    health:
		      - run: test -e /usr/share/clt-app/data
		  - name: tool
		    role: software
		    tarball: $LAB/tool.tar
		    target: /opt/clt-tool
		    version: "$2"
		  - name: server
		    role: software
		    packages: [clt-server]
		    ports: [{port: 7007, protocol: tcp}]
		    install:
		      - run: |
		          python3 -m http.server 7007 </dev/null >/dev/null 2>&1 &
		          echo \$! >/var/server.pid
		          until curl -so /dev/null http://127.0.0.1:7007; do sleep 0.2; done
		    health:
		      - run: test -e /var/server.ready
		        tries: 1
	YAML
	make_bundle "$1"
	cp "$LAB/$1.sluice" "$LAB/stick/next"
	mv "$LAB/stick/next" "$LAB/stick/edge.sluice"
}
lines='components: [app]
software: [tool]
step_deadline: 120'
write_cluster 1 "$lines"
apply() { ctl apply --file "$LAB/cluster.yaml" --bundle "$LAB/stick/edge.sluice" --wait 30 --json >"$LAB/apply.json" 2>"$LAB/apply.err"; }
done_with() {
	apply || fail "$1: $(jq -c '[.nodes[]? | {state, why}], .plan.problems, .plan.nodes[]?.problems' "$LAB/apply.json") $(cat "$LAB/apply.err")"
	expect_eq "$(on 1 cat /opt/clt-tool/run)" "$2" "$1: what is installed"
}
bundle 1 one
cluster_init
enrol 1
agent_start 1
done_with "the first bundle" one
sqlite3 "$LAB/state/cluster.db" ".backup $LAB/old.db"
bundle 2 two
done_with "another one at its path" two
expect_eq "$(jq -r '[.nodes[0].items[] | .name + ":" + .action] | join(" ")' "$LAB/apply.json")" "app:keep tool:change" "what it changes"
bundle 3 two
done_with "a newer one with the same in it" two

let_go() { ! find "/proc/$(pid_of serve)/fd" -lname "$LAB/stick/*" | grep -q .; }
wait_for 60 "the server to let go of the medium" let_go

# A health check that fails, of what listens where the item is to.
write_cluster 1 "${lines/tool]/tool, server]}"
expect_exit 3 "a server that is not healthy" ctl apply --file "$LAB/cluster.yaml" --wait 30 --json
expect_has "$(jq -r '.nodes[0].why' "$LAB/expect.out")" "server: health" "the reason"
on 1 touch /var/server.ready
ctl retry --failed --wait 30 --json >"$LAB/retry.json" || fail "retry: $(jq -c '[.nodes[]? | {state, why}], .plan.nodes[]?.problems' "$LAB/retry.json")"
on 1 sh -c 'kill $(cat /var/server.pid)'
write_cluster 1 "$lines"

# A control machine that knows of the first bundle alone.
stop serve
cp "$LAB/old.db" "$LAB/state/cluster.db"
rm -f "$LAB/state"/cluster.db-*
cp "$LAB/1.sluice" "$LAB/stick/edge.sluice"
serve
status=0
apply || status=$?
expect_eq "$status" 3 "an older bundle"
expect_has "$(jq -r '.nodes[0].why' "$LAB/apply.json")" "version 1, older than 3" "the reason"
expect_eq "$(on 1 cat /opt/clt-tool/run)" two "an older bundle: what is installed"
cp "$LAB/3.sluice" "$LAB/stick/edge.sluice"
done_with "the newest again" two
