#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# From a definition to a node: closure by apt, order, reproducibility, real apt installing offline
# from what is unpacked; and definitions with mistakes.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
bundle_begin

make_bundle one.sluice
sleep 1.1
make_bundle two.sluice
cmp one.sluice two.sluice || fail "the same inputs made other bytes"
[ ! -e one.sluice.work ] || fail "the work directory stayed"
expect_has "$(verify one.sluice)" "8 blobs: all good" "verify"

"$BUNDLE" inspect --json one.sluice >manifest.json
expect_eq "$(jq -r '[.items[].name] | join(" ")' manifest.json)" "store web tool" "order: components first, then what they require"
expect_eq "$(jq -r '.items[1].packages | map(.name + "=" + .version) | sort | join(" ")' manifest.json)" \
	"app=1.0 base=1.0 lib=1:2.0" "the closure"
expect_eq "$(jq -r '.items[1].install[0]' manifest.json)" "app=1.0" "what apt is asked for"
expect_eq "$(jq -r '.items[0].needs.space' manifest.json)" $((2 * 20 * 1024 + 5 * 1048576)) "space: installed sizes and what is added"
expect_eq "$(jq -r '.items[1].configs[0].text' manifest.json)" "$(cat web.conf)" "a template from a file"
expect_has "$("$BUNDLE" inspect one.sluice)" "NOT checked" "inspect without keys"
expect_has "$("$BUNDLE" inspect one.sluice web)" "requires     store" "inspect an item"

# What the base has already is left out; then only the request remains.
printf 'Package: base\nStatus: install ok installed\nVersion: 1.5\nArchitecture: all\nMaintainer: x\nDescription: y\n\n' >status
make_bundle based.sluice bundle.yaml --base status
expect_eq "$("$BUNDLE" inspect --json based.sluice store | jq -r '[.packages[].name] | join(" ")')" "lib" "a closure over a base"

# A node installs from it with nothing else: unmodified apt, the key from the bundle.
"$BUNDLE" unpack --keys ops.pub one.sluice node store web >/dev/null
expect_eq "$(find node -name '*.tar.gz' | wc -l)" 0 "items that were not asked for"
mkdir -p root/var/lib/dpkg/{info,updates,triggers} state/lists/partial cache/archives/partial
: >root/var/lib/dpkg/status
printf 'deb [signed-by=%s/node/apt/key.gpg] file:%s/node/apt stable main\n' "$LAB" "$LAB" >sources.list
node_apt() {
	APT_CONFIG=/dev/null apt-get -qq -y -o Dir::Etc::sourcelist="$LAB/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State="$LAB/state" -o Dir::State::status="$LAB/root/var/lib/dpkg/status" \
		-o Dir::Cache="$LAB/cache" -o Dir::Log="$LAB" -o APT::Sandbox::User=root -o APT::Architecture=amd64 \
		-o APT::Install-Recommends=false -o DPkg::Options::="--root=$LAB/root" \
		-o DPkg::Options::="--force-not-root" -o DPkg::Options::="--log=/dev/null" -o Debug::NoLocking=true "$@"
}
node_apt update --error-on=any >apt.out 2>&1 || fail "apt-get update on the node: $(cat apt.out)"
node_apt install app=1.0 >apt.out 2>&1 || fail "apt-get install on the node: $(cat apt.out)"
expect_eq "$(cat root/usr/share/app/version) $(cat root/usr/share/lib/version)" "1.0 1:2.0" "what the node has"

# Another publisher's key does not fit the tree.
"$BUNDLE" key new other >/dev/null
gpg --homedir "$(mktemp -d -p "$LAB")" --batch --quiet --dearmor <other.gpg >node/apt/key.gpg 2>/dev/null || true
expect_fails "apt with another key" node_apt update --error-on=any

# Mistakes in definitions are named with their line; nothing is left behind.
bad() {
	definition | sed "$2" >bad.yaml
	expect_exit 1 "$1" "$BUNDLE" create --key ops.key -o bad.sluice bad.yaml
	said "$3" "$1"
	[ -z "$(ls -d bad.sluice* 2>/dev/null)" ] || fail "$1: something was left behind"
}
# shellcheck disable=SC2016 # the last line, for sed
bad "a circle" 's/kernel: "6.1"/requires: [store2]/; $a\  - {name: store2, role: component, requires: [store], packages: [base]}' \
	"items require each other: store -> store2 -> store"
bad "a component on software" 's/kernel: "6.1"/requires: [tool]/' "component store requires tool, which is software"
bad "an unknown item" 's/requires: \[store\]/requires: [stoer]/' "web requires stoer, which is not there"
bad "an unknown key" 's/packages: \[app\]/package: [app]/' "no key 'package'"
bad "an unknown package" 's/packages: \[app\]/packages: [nowhere]/' "no source has a package 'nowhere'"
bad "a version that is not there" 's/packages: \[app\]/packages: [app=9]/' "app"
bad "an old kernel's word" 's/"6.1"/"six"/' "'kernel' may not be 'six'"
bad "a path that leads elsewhere" 's,/etc/web.conf,/etc/../web.conf,' "'path' may not be"
bad "a missing template" 's/web.conf}/nowhere.conf}/' "nowhere.conf: No such file"
bad "no payload" 's/    packages: \[app\]//' "item web needs one of"
make_deb broken 1.0 1000 'nothing-like-this'
bad "a dependency nobody has" 's/packages: \[app\]/packages: [broken]/' "broken"
rm debs/broken*
expect_exit 2 "no key" "$BUNDLE" create -o x.sluice bundle.yaml
said "key new" "what to do without a key"

# A node's tarball may hold nothing that leads elsewhere.
for what in '../out' '/abs'; do
	"$PYTHON" - "$what" <<-'PY'
		import sys, tarfile, io
		with tarfile.open("tool.tar.gz", "w:gz") as tar:
		    info = tarfile.TarInfo(sys.argv[1])
		    info.size = 1
		    tar.addfile(info, io.BytesIO(b"x"))
	PY
	bad "a tarball with $what" 's/x/x/' "$what"
done
ln -sf /etc/shadow tool/link && tar czf tool.tar.gz -C tool .
bad "a tarball with a link out" 's/x/x/' "leads out of the target"
(rm tool/link && mkdir tool/d && ln -s d tool/link && touch tool/d/x && tar cf tool.tar -C tool d link && mv tool/link tool/other &&
	mkdir tool/link && touch tool/link/y && tar rf tool.tar -C tool link/y && gzip -c tool.tar >tool.tar.gz)
bad "a tarball that writes through its link" 's/x/x/' "goes through a link"

rm -rf tool/link tool/other && touch tool/suid && chmod 4755 tool/suid && tar czf tool.tar.gz -C tool .
bad "a tarball with a set-id bit" 's/x/x/' "'./suid' has a set-id bit"
rm tool/suid
chmod 2755 tool && mkdir tool/group && chmod 2775 tool/group # who unpacks leaves it out

# A tarball that means to shut others out: who makes it is told that it will not.
chmod 750 tool && definition >bundle.yaml && tar czf tool.tar.gz -C tool .
make_bundle closed.sluice
expect_has "$(cat create.out)" "warning: tool.tar.gz: its \"./\" is not open to all, but /opt/tool will be" "a closed tarball"
chmod 2755 tool
tar czf tool.tar.gz -C tool .
make_bundle open.sluice
! grep warning create.out || fail "a warning of an open tarball"

# Interrupted, it takes its work and the copy of its secret key away.
mkdir tmp
start interrupted env TMPDIR="$LAB/tmp" "$BUNDLE" create --key ops.key -o interrupted.sluice bundle.yaml
pid=$(pid_of interrupted)
wait_for 10 "it works" sh -c "ls tmp | grep -q sluice-gpg"
kill -TERM "$pid"
status=0
collect interrupted || status=$?
expect_eq "$status" 143 "exit status when interrupted"
expect_eq "$(ls tmp)" "" "the copy of the key"
[ ! -e interrupted.sluice.work ] || fail "its work stayed"
make_bundle interrupted.sluice
