# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of sluice-bundle(1) for bash.

_sluice_bundle() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local i word words='' files='' command=()
	local options='--keys --json --quiet --help'
	COMPREPLY=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-k | --keys | -o | --output | -K | --key | -G | --gpg-key | -b | --base | -s | --split | --size | \
			-n | --newer-than | -t | --tries | --token-file | --user-file | --ca) i=$((i + 1)) ;;
		-*) ;;
		*) command+=("$word") ;;
		esac
	done

	case $prev in
	-s | --split | --size | -t | --tries) return ;;
	-k | --keys | -o | --output | -K | --key | -G | --gpg-key | -b | --base | -n | --newer-than | \
		--token-file | --user-file | --ca) files=1 ;;
	*)
		case "${command[*]}" in
		'') words='create delta split join verify inspect diff pull unpack key --help --version' ;;
		create*) words="--output --key --gpg-key --base --split $options" files=1 ;;
		delta*) words="--output $options" files=1 ;;
		split*) words="--output --size $options" files=1 ;;
		join*) words="--output --base $options" files=1 ;;
		verify*) words="--base --newer-than $options" files=1 ;;
		inspect | diff*) words=$options files=1 ;;
		'inspect '*)
			words="$(sluice-bundle inspect --json "${command[1]}" 2>/dev/null |
				sed -n 's/^      "name": "\(.*\)",*$/\1/p') $options"
			;;
		pull*) words="--base --tries --token-file --user-file --ca --allow-older $options" files=1 ;;
		unpack | 'unpack '*) words=$options files=1 ;;
		key) words='new show' ;;
		'key '*) words=$options files=1 ;;
		*) words=$options ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(
		compgen -W "$words" -- "$cur"
		[ -z "$files" ] || compgen -f -- "$cur"
	)
}

complete -o filenames -F _sluice_bundle sluice-bundle
