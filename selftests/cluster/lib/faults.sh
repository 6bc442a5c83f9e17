# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Two nodes and a bundle whose package can be told to fail; source it. n2 gets the faults, n1 is done
# all the same.
#
#   settings MAX_FAILED [LINES]   the cluster file
#   apply                         of it, with JSON
#   fails WHAT WHY                apply ends with 3 and, of n2, WHY, while n1 is done; n2 is not
#   mended WHAT                   retry --failed ends done, with the right bytes and dpkg content
#   fresh WHAT                    uninstalled, and as it was before; no blob is left
# shellcheck disable=SC2016

# shellcheck source-path=SCRIPTDIR source=cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
again=
cluster_lab 2
make_keys
# Each script does once what a file orders: "kill dpkg", "kill apt", "hang here".
script='order=/var/order-$0
[ -e $order ] || exit 0
read -r what whom <$order
rm $order
case $what-$whom in
kill-dpkg) kill -KILL $PPID; exit 1 ;;
kill-apt) kill -KILL $(sed -n "s/^PPid:[[:space:]]*//p" /proc/$PPID/status); exit 1 ;;
hang-*) until [ -e /var/go-on ]; do sleep 0.2; done ;;
esac'
make_deb clt-app 1.0 3000
dpkg-deb -R "$LAB/debs/clt-app_1.0_all.deb" "$LAB/app"
for name in preinst postinst prerm; do
	printf '#!/bin/sh\n%s\n' "${script//\$0/$name}" >"$LAB/app/DEBIAN/$name"
	chmod 755 "$LAB/app/DEBIAN/$name"
done
dpkg-deb -Znone --root-owner-group -b "$LAB/app" "$LAB/debs/clt-app_1.0_all.deb" >/dev/null
make_deb clt-soft 1.0 10
mkdir "$LAB/tool"
head -c 100000 /dev/urandom >"$LAB/tool/run"
tar -C "$LAB/tool" -cf "$LAB/tool.tar" .
write_bundle <<-YAML
	  - name: app
	    role: component
	    packages: [clt-app]
	    health:
	      - run: test -s /usr/share/clt-app/data
	  - name: tool
	    role: component
	    tarball: $LAB/tool.tar
	    target: /opt/clt-tool
	    version: "1"
	  - name: soft
	    role: software
	    packages: [clt-soft]
YAML
make_bundle 1
settings() {
	write_cluster 2 "components: [app, tool]
software: [soft]
max_failed: $1
${2:-}"
}
settings 1
cluster_init
B=/var/lib/sluice-node/bundle
want=$(sha256sum <"$LAB/app/usr/share/clt-app/data" && sha256sum <"$LAB/tool/run")
whole() {
	expect_eq "$(on "$1" sh -c 'sha256sum </usr/share/clt-app/data; sha256sum </opt/clt-tool/run')" "$want" "$2: bytes on n$1"
	expect_eq "$(on "$1" dpkg --audit)" '' "$2: what dpkg has to complain of on n$1"
	expect_eq "$(version_on "$1" clt-soft)" 1.0 "$2: clt-soft on n$1"
}
for i in 1 2; do
	enrol $i
	selections $i >"$LAB/before$i"
	agent_start $i
	wait_for 20 "the agent of n$i runs" grep -q 'control machine' "$LAB/agent-n$i.log"
done
apply() { ctl apply --file "$LAB/cluster.yaml" --bundle "$LAB/1.sluice" --wait 30 --json; }
fresh() {
	ctl uninstall --wait 30 --json >"$LAB/uninstall.json" || fail "$1: uninstall: $(jq -c '[.nodes[]? | {name, why}]' "$LAB/uninstall.json")"
	for i in 1 2; do
		selections $i | diff "$LAB/before$i" - >&2 || fail "$1: selections of n$i"
		on $i rm -rf $B
	done
}
fails() {
	local status=0
	apply >"$LAB/fails.json" || status=$?
	expect_eq "$status" 3 "$1: exit status; $(jq -c '[.nodes[]? | {name, state, why}], .plan.problems, .plan.nodes[]?.problems' "$LAB/fails.json")"
	expect_eq "$(jq -r '[.state, .nodes[0].state, .nodes[1].state] | join(" ")' "$LAB/fails.json")" "failed done failed" "$1: states"
	expect_has "$(jq -r '.nodes[1].why' "$LAB/fails.json")" "$2" "$1: the reason"
	whole 1 "$1"
	say "$1: $(jq -r '.nodes[1].why' "$LAB/fails.json")"
}
mended() {
	ctl retry --failed --wait 30 --json >"$LAB/mended.json" || fail "$1: retry: $(jq -c '[.nodes[]? | {name, state, why}], .plan.problems, .plan.nodes[]?.problems' "$LAB/mended.json")"
	whole 2 "$1"
	[ -z "$again" ] || return 0
	again=1
	apply >"$LAB/again.json" || fail "$1: again: $(jq -c '[.nodes[]? | {name, state, why}]' "$LAB/again.json")"
	expect_eq "$(jq -r '[.nodes[].items[].action] | unique | join(" ")' "$LAB/again.json")" keep "$1: a second apply"
}
