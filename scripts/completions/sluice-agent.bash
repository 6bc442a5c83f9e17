# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of sluice-agent(8) for bash.

_sluice_agent() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=''
	case $prev in
	-k | --key | --sources | --token-file)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-s | --state | --root | -d | --directory)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--manager) words='apt dnf' ;;
	-u | --url | -i | --instance | -t | --tenant | -w | --wait | --server | --token | --name | --ca) ;;
	*)
		# Words before the cursor: the one under it is not whole yet.
		case "${COMP_WORDS[*]:1:COMP_CWORD-1} " in
		'cluster enrol '*) words='--server --token-file --token --name --ca --wait --directory --help' ;;
		'cluster run '*) words='--directory --wait --verbose --help' ;;
		'cluster '*) words='enrol run' ;;
		*) words='cluster --url --key --state --instance --tenant --sources --root --manager --wait --once --verbose --version --help' ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _sluice_agent sluice-agent
