# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of sluice(8) for bash.

_sluice_tenants() {
	# A daemon that does not answer must not disturb the prompt.
	sluice "${common[@]}" tenant list --json 2>/dev/null |
		sed -n 's/^    "name": "\(.*\)",*$/\1/p'
}

_sluice() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local i word words='' command=() common=()
	local options='--instance --socket --json --help'
	COMPREPLY=()

	# What stands before the cursor: the command's words, and the options that choose a daemon.
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-i | --instance | -s | --socket)
			[ $((i + 1)) -ge "$COMP_CWORD" ] || common+=("$word" "${COMP_WORDS[i + 1]}")
			i=$((i + 1))
			;;
		--netns | --interface | --l3-interface | --bridge | --fail | --guard | --port | --lines | --tenant | --interval | --sort | --config | --mac | --instance-id | --project-id | --expires)
			i=$((i + 1))
			;;
		-*) ;;
		*) command+=("$word") ;;
		esac
	done

	case $prev in
	-i | --instance) words=$(ls /run/sluice 2>/dev/null) ;;
	-s | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--netns | --into) words=$(ip netns list 2>/dev/null | cut -d ' ' -f 1) ;;
	--bridge)
		case "${command[*]}" in
		*create*) words=$(ip -o link show type bridge 2>/dev/null | cut -d : -f 2) ;;
		*) words='fd stream' ;;
		esac
		;;
	--mac | --instance-id | --project-id | --expires | --link | --veth | --subnet | --gateway | --router | --interface-name | --vlan | --dns | --address | --route) return ;;
	--tenant) words=$(_sluice_tenants) ;;
	--fail) words='pass drop' ;;
	--guard) words='auto tc xdp-native xdp-generic' ;;
	--interface | --l3-interface | --port | --lines | --interval) return ;;
	--sort) words='name requests errors bytes drops open p99' ;;
	--config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	*)
		case "${command[*]}" in
		'') words="status tenant gateway port doctor top trace metrics log reload upgrade version help $options --version" ;;
		help) words="status tenant gateway port doctor top trace metrics log reload upgrade version $options" ;;
		tenant | 'help tenant') words='attach detach list show create delete' ;;
		gateway | 'help gateway') words='create delete' ;;
		port | 'help port') words='set del list' ;;
		'port set') words="$(_sluice_tenants) --mac --address --instance-id --project-id --expires $options" ;;
		'port set '*) words="--mac --address --instance-id --project-id --expires $options" ;;
		'port del') words="$(_sluice_tenants) --mac $options" ;;
		'port del '*) words="--mac $options" ;;
		'port list') words="$(_sluice_tenants) $options" ;;
		'tenant create' | 'tenant create '*)
			words="--subnet --gateway --router --forward --netns --into --bridge --interface-name --vlan --dns --no-dhcp $options"
			;;
		'gateway create') words="--netns --link --veth --bridge --address --route $options" ;;
		'gateway delete') words="--netns $options" ;;
		'tenant attach' | 'tenant attach '*)
			words="--netns --interface --l3-interface --bridge --fail --guard --port --no-ipv6 $options"
			;;
		doctor | 'doctor '*) words="--all --config $(_sluice_tenants) $options" ;;
		top) words="--once --interval --lines --sort $options" ;;
		trace | 'trace '*) words="--drops --requests --lines $(_sluice_tenants) $options" ;;
		log) words="rotate --follow --lines --tenant $options" ;;
		'tenant detach' | 'tenant show' | 'tenant delete') words="$(_sluice_tenants) $options" ;;
		*) words=$options ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _sluice sluice
