# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of sluice-repod(8) for bash.

_sluice_repod() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=''
	case $prev in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-s | --state)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	*) words='--config --state --fsck --repair --check-config --verbose --version --help' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _sluice_repod sluice-repod
