# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of sluice-repo(1) for bash.

_sluice_repo_names() {
	# A server that does not answer must not disturb the prompt.
	sluice-repo list --json "${common[@]}" 2>/dev/null |
		sed -n 's/^    "name": "\(.*\)",*$/\1/p' | sort -u
}

_sluice_repo() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local i word words='' command=() common=()
	local options='--server --token-file --ca --json --quiet --help'
	COMPREPLY=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-s | --server | -t | --token-file | --ca)
			[ $((i + 1)) -ge "$COMP_CWORD" ] || common+=("$word" "${COMP_WORDS[i + 1]}")
			i=$((i + 1))
			;;
		-V | --visible | -n | --name | -r | --version | --role | -a | --arch | --tries | -k | --kind | \
			-T | --tenant | -I | --instance | --key | --timeout | -o | --output | -g | --if-generation | -d | --days | --lines | -u | --url | --suite | --component)
			i=$((i + 1))
			;;
		-*) ;;
		*) command+=("$word") ;;
		esac
	done

	case $prev in
	-k | --kind) words='deb rpm file' ;;
	--role) words='reader uploader admin' ;;
	-V | --visible) words='public none' ;;
	-t | --token-file | --ca | -o | --output | --key)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-s | --server | -n | --name | -a | --arch | --tries | -T | --tenant | -I | --instance | --timeout | -g | --if-generation | -d | \
		--days | --lines | --version | -u | --url | --suite | --component) return ;;
	*)
		case "${command[*]}" in
		'') words='upload uploads list search get delete visibility instruct instructions instruct-key report user-data publish key token log status fsck --help --version' ;;
		uploads) words='list end' ;;
		'uploads '*) words=$options ;;
		upload*)
			mapfile -t COMPREPLY < <(
				compgen -W "--visible --name --version --arch --tries --publish $options" -- "$cur"
				compgen -f -- "$cur"
			)
			return
			;;
		list | search | 'search '*) words="--name --version --arch --kind --tenant $options" ;;
		get) words="$(_sluice_repo_names) --output --tries $options" ;;
		delete) words="$(_sluice_repo_names) $options" ;;
		visibility) words="$(_sluice_repo_names) $options" ;;
		'visibility '*) words="public none $options" ;;
		instruct) words="install remove upgrade cancel --tenant --instance --key --days --watch --timeout $options" ;;
		'instruct cancel'*) words="--force --key $options" ;;
		'instruct '*) words="$(_sluice_repo_names) --tenant --instance --key --days --watch --timeout $options" ;;
		instructions) words="--tenant --instance --lines --log $options" ;;
		report) words="--tenant $options" ;;
		user-data) words="--tenant --instance --url --suite --component $options" ;;
		instruct-key) words='show create trust distrust' ;;
		publish) words="--if-generation --show $options" ;;
		key) words='show create import retire' ;;
		'key create') words="--name $options" ;;
		'key import' | 'instruct-key trust' | 'instruct-key distrust')
			mapfile -t COMPREPLY < <(
				compgen -W "$options" -- "$cur"
				compgen -f -- "$cur"
			)
			return
			;;
		token) words='create list revoke' ;;
		'token create' | 'token create '*) words="--role --days $options" ;;
		log) words="--lines $options" ;;
		fsck) words="--repair $options" ;;
		*) words=$options ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _sluice_repo sluice-repo
