# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of sluice-agent(8) and sluice-repod(8) for bash.

_sluice_agent() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=''
	case $prev in
	-k | --key | --sources | -c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-s | --state | --root)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--manager) words='apt dnf' ;;
	-u | --url | -i | --instance | -w | --wait) ;;
	*)
		case ${COMP_WORDS[0]##*/} in
		sluice-repod) words='--config --state --fsck --repair --check --verbose --version --help' ;;
		*) words='--url --key --state --instance --sources --root --manager --wait --once --verbose --version --help' ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _sluice_agent sluice-agent sluice-repod
