#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
#
# The pages: packages, visibility, the log; nothing from a package becomes markup; search and
# paging work without scripts; a real browser shows them.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
repo_begin

dir=$LAB/evil
mkdir -p "$dir/DEBIAN"
printf 'Package: evil\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: <script>alert(1)</script> "&\n' >"$dir/DEBIAN/control"
dpkg-deb -Znone --root-owner-group -b "$dir" "$LAB/evil.deb" >/dev/null
"$REPO" upload --visible blue,red "$LAB/evil.deb" >/dev/null
for n in $(seq 1 230); do
	printf '%s' "$n" | api "/v1/files/file-$n.txt" -T - >/dev/null
done
token=$("$REPO" token create look)
page() { curl -sS -u ":$token" "$URL$1"; }

expect_eq "$(status_of "$URL/")" 401 "without a token"
html=$(page /)
case $html in *"<script"*) fail "a package's text became markup" ;; esac
expect_has "$html" "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&amp;" "the summary"
expect_has "$html" "<span class=tag>blue</span><span class=tag>red</span>" "who sees it"
expect_has "$html" "./?after=200" "the next page's link"
expect_has "$(page '/?after=200')" "file-230.txt" "the next page"
expect_has "$(page '/?q=FILE-229')" "file-229.txt" "search"
case $(page '/?q=FILE-229') in *file-22.txt*) fail "search finds what does not match" ;; esac
expect_has "$(page '/?q=%22%3E%3Cscript%3E')" 'value="&quot;&gt;&lt;script&gt;"' "the search field"
expect_has "$(page /log)" "<td>token-create</td>" "the log"
expect_has "$(curl -sSI -u ":$token" "$URL/")" "Content-Security-Policy: default-src 'none'" "policy"

# Only when there is a browser: most machines have none.
if command -v chromium >/dev/null; then
	browser=(chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run
		--user-data-dir="$LAB/browser" "--window-size=1200,800")
	HOME=$LAB timeout $((60 * PATIENCE)) "${browser[@]}" --dump-dom "http://x:$token@127.0.0.1:$PORT/?q=evil" >"$LAB/dom" 2>"$LAB/browser.out" ||
		fail "chromium: $(tail -n 3 "$LAB/browser.out")"
	expect_has "$(cat "$LAB/dom")" '<span class="tag">blue</span>' "what the browser made of it"
	HOME=$LAB timeout $((60 * PATIENCE)) "${browser[@]}" --screenshot="$LAB/page.png" "http://x:$token@127.0.0.1:$PORT/?q=" >/dev/null 2>&1
	expect_ge "$(stat -c %s "$LAB/page.png")" 10000 "bytes of the screenshot"
	[ -z "${SHOT:-}" ] || cp "$LAB/page.png" "$SHOT"
fi
