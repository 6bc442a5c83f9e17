#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the documentation shows is so: its configurations are good as they are printed, and so are the
# example files, with every commented line made active; its links, files, tests and targets exist.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

lab_begin
need openssl
cd "$TOP"

# blocks FILE LANGUAGE: each fenced block into $LAB/block.N; how many there are
blocks() {
	rm -f "$LAB"/block.*
	awk -v want="\`\`\`$2" -v out="$LAB/block." '
		!inside && $0 == want { inside = 1; n++; next }
		inside && /^```/ { inside = 0; next }
		inside { print >(out n) }
		END { print n + 0 }' "$1"
}
# good WHAT FILE: as sluice.yaml. One that shows routes alone lacks their services, and nothing else.
good() {
	local got=0
	"$BUILD/sluiced" --check-config --config "$2" >"$LAB/check" 2>&1 || got=$?
	[ $got -eq 0 ] || ! grep -qv "no service is named" "$LAB/check" || fail "$1: $(cat "$LAB/check")"
}

say "configurations in pages"
seen=0
for page in docs/*.md; do
	count=$(blocks "$page" yaml)
	for ((i = 1; i <= count; i++)); do
		seen=$((seen + 1))
		case $(head -n 1 "$LAB/block.$i") in
		scrape_configs:*) ;; # Prometheus'
		'# cluster.yaml')
			"$BUILD/sluice-bundle" key new "$LAB/ops" >"$LAB/keys.log" 2>&1
			"$BUILD/sluice-cluster" init --state "$LAB/state" --keys "$LAB/ops.pub" "$LAB/block.$i" \
				>"$LAB/init.log" 2>&1 || fail "$page: $(cat "$LAB/init.log")"
			;;
		*) good "$page, block $i" "$LAB/block.$i" ;;
		esac
	done
done
expect_ge $seen 6 "configurations that were looked at"

say "configurations in man pages, and the examples that are installed"
awk '/^\.Bd -literal/ { inside = 1; text = ""; next }
	inside && /^\.Ed/ { inside = 0; if (text ~ /^services:/) printf "%s", text; next }
	inside { text = text $0 "\n" }' docs/man/sluice.yaml.5 >"$LAB/page.yaml"
[ -s "$LAB/page.yaml" ] || fail "sluice.yaml(5) shows no configuration"
good "sluice.yaml(5)" "$LAB/page.yaml"
good scripts/sluice.yaml scripts/sluice.yaml
sed 's/^#\([a-z]\)/\1/; s/^#  /  /' scripts/sluice.yaml >"$LAB/all.yaml"
expect_ge "$(grep -c '^[a-z]*:' "$LAB/all.yaml")" 12 "parts of sluice.yaml with its examples made active"
good "scripts/sluice.yaml with its examples" "$LAB/all.yaml"
expect_exit 0 scripts/sluice-repod.yaml "$BUILD/sluice-repod" --check-config --config scripts/sluice-repod.yaml

say "links"
# anchors FILE: as they are made of headings
anchors() { sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'; }
for page in README.md docs/*.md; do
	grep -oE '\]\([^)]*\)' "$page" | sed 's/^](//; s/)$//' | grep -v '^http' >"$LAB/links" || true
	while read -r link; do
		file=${link%%#*}
		at=$page
		[ -z "$file" ] || at=$(dirname "$page")/$file
		[ -e "$at" ] || fail "$page links to $link, which is not there"
		case $link in
		*#*) anchors "$at" | grep -qxF "${link#*#}" || fail "$page: $at has no heading for #${link#*#}" ;;
		esac
	done <"$LAB/links"
done

say "files, tests and targets that are named"
for page in README.md docs/*.md; do
	# selftests/net/x.sh, user/lib/x.h, scripts/x; names with a pattern or a variable are nobody's
	grep -oE '(^|[^A-Za-z0-9/._-])(selftests|user|scripts|bpf)/[A-Za-z0-9_./-]+[*{<]?' "$page" |
		sed 's/^[^a-z]*//; s/[.]*$//' | grep -v '[*{<]' | sort -u >"$LAB/paths" || true
	while read -r path; do
		[ -e "$path" ] || [ -e "$path.sh" ] || [ -e "$path.c" ] || fail "$page names $path, which is not there"
	done <"$LAB/paths"
	grep -oE '`make [a-z][a-z-]*' "$page" | cut -d ' ' -f 2 | sort -u >"$LAB/words" || true
	while read -r target; do
		grep -qE "^$target:" Makefile || fail "$page: make $target does not exist"
	done <"$LAB/words"
done
# shellcheck disable=SC2016 # the page is full of them
while read -r test; do
	case $test in
	fuzz/*) file=selftests/fuzz/fuzz_${test#fuzz/}.c ;;
	*) file=selftests/$test ;;
	esac
	[ -e "$file" ] || [ -e "$file.sh" ] || [ -e "$file.c" ] || fail "docs/threats.md: there is no test $test"
done < <(grep -oE '`(unit|net|prog|repo|bundle|cluster|vm|fuzz)/[a-z0-9_]+`' docs/threats.md | tr -d '`' | sort -u)
