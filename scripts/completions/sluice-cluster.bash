# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of sluice-cluster(1) for bash.

_sluice_cluster() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words
	local common='--state --json --verbose --help'
	COMPREPLY=()

	case $prev in
	-m | --mode)
		mapfile -t COMPREPLY < <(compgen -W 'auto parallel stream swarm' -- "$cur")
		return
		;;
	-s | --state | -k | --keys | -f | --file | -b | --bundle | -i | --identity | --known-hosts | --write | -t | --timeline)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--approve | --valid | -w | --wait | -r | --run | --ssh | --item) return ;;
	esac
	case ${COMP_WORDS[1]} in
	init) words='--keys' ;;
	enrol) words='--approve --pending --replace --valid' ;;
	bootstrap) words='--bundle --item --ssh --identity --known-hosts --write' ;;
	plan) words='--file --bundle --upgrade --wait --mode' ;;
	apply) words='--file --bundle --upgrade --wait --mode --quiet' ;;
	retry) words='--failed --upgrade --wait --mode --quiet' ;;
	rollback) words='--run --wait --quiet' ;;
	uninstall) words='--wait --quiet' ;;
	report) words='--timeline --list' ;;
	renew) words='--ca --wait' ;;
	*) words= ;;
	esac
	if [ "$COMP_CWORD" -eq 1 ]; then
		words='init enrol serve bootstrap plan apply status report retry rollback uninstall renew revoke --help --version'
		common=
	elif [[ $cur != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words $common" -- "$cur")
}
complete -F _sluice_cluster sluice-cluster
