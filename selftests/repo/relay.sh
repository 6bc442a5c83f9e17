#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
#
# The whole way: VMs of two tenants, in their namespaces, install with unmodified apt from
# http://169.254.169.254/repo through the BPF programs and the relay, over both bridges; each sees
# its own; a VM's own identity headers are worth nothing; a cut package is gone on with.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need apt-get dpkg nginx
[ -x "$BUILD/sluiced" ] || skip "$BUILD/sluiced is not built"
repo_begin
make_key
"$REPO" upload "$(make_deb common 1.0 3000000)" >/dev/null
"$REPO" upload --visible fd "$(make_deb fdthing 1.0)" >/dev/null
"$REPO" upload --visible stream "$(make_deb streamthing 1.0)" >/dev/null
publish

make_management
make_tenant fd stream
# shellcheck disable=SC2034 # sluice_yaml uses both
SERVICES_YAML="- name: repo
  identity: sluice
  secret_file: $LAB/secret
  origins: [{address: \"unix:$LAB/tenants.sock\"}]"
# shellcheck disable=SC2034
ROUTES_YAML="- {path: /repo, service: repo}"
start_sluiced
attach fd --bridge fd
attach stream --bridge stream

M=http://169.254.169.254
vm() { local ns=$1; shift; nsenter --net="$(ns_path "$ns-vm")" -- "$@"; }
# apt_in reads nothing but its own directories, so it can run in the VM's network namespace.
# shellcheck disable=SC2016 # the inner shell expands it
apt_vm() { vm "$1" bash -c '. "$0"; LAB=$1; shift; apt_in "$@"' "$HERE/repo.sh" "$LAB" "$@"; }

for tenant in fd stream; do
	mkdir -p "$LAB/apt-$tenant"
	apt_setup "$tenant" "$M" # the key comes over the management address
	own=${tenant}thing other=$([ $tenant = fd ] && echo streamthing || echo fdthing)
	apt_vm $tenant update --error-on=any >"$LAB/update.out" 2>&1 || fail "update in $tenant: $(cat "$LAB/update.out")"
	apt_vm $tenant install common "$own" >"$LAB/install.out" 2>&1 || fail "install in $tenant: $(cat "$LAB/install.out")"
	expect_eq "$(cat "$LAB/apt-$tenant/root/usr/share/$own/version")" 1.0 "$tenant's own package"
	expect_fails "$tenant installs $other" apt_vm $tenant install "$other"
	pool=$(cd "$STATE/published/tenant-${other%thing}/current" && find apt/pool -name "$other*")
	expect_eq "$(vm $tenant curl -sS -o /dev/null -w '%{http_code}' "$M/repo/$pool")" 404 "$other by its path"
	expect_eq "$(vm $tenant curl -sS -o /dev/null -w '%{http_code}' -H "X-Sluice-Tenant: ${other%thing}" "$M/repo/$pool")" 404 "with a header of the VM's own"
	expect_eq "$(vm $tenant curl -sS "$M/repo/v1/packages" | jq -r '[.packages[].name] | sort | join(" ")')" \
		"$(printf '%s\n' common "$own" | sort | paste -sd' ')" "what $tenant lists"
	case $(vm $tenant curl -sS -o /dev/null -w '%{http_code}' -X POST -d '{}' "$M/repo/v1/publish") in
	403 | 405) ;;
	*) fail "a VM may POST to the repository" ;;
	esac
	# Parallel ranges and resumption through the relay.
	file=$(cd "$STATE/published/public/current" && find apt/pool -name 'common*')
	head -c 1000000 "$LAB/debs/common_1.0_all.deb" >"$LAB/part.$tenant"
	vm $tenant curl -sS -C - -o "$LAB/part.$tenant" "$M/repo/$file"
	cmp "$LAB/part.$tenant" "$LAB/debs/common_1.0_all.deb"
	if command -v aria2c >/dev/null; then
		vm $tenant aria2c -q -d "$LAB" -o "aria.$tenant" -x 8 -s 8 -k 1M --file-allocation=none "$M/repo/$file"
		cmp "$LAB/aria.$tenant" "$LAB/debs/common_1.0_all.deb"
	fi
done

# The daemon restarts while VMs ask: requests fail or not, packages never break.
repo_stop
repo_start
apt_vm fd update --error-on=any >"$LAB/update.out" 2>&1 || fail "after a restart of sluice-repod: $(cat "$LAB/update.out")"
stop_sluiced
