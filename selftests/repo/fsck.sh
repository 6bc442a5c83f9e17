#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fsck finds damage and repairs what it can; a backup taken while the daemon works restores; a
# replica of what is published serves the same; a web server can stand in.
# shellcheck source-path=SCRIPTDIR source=lib/repo.sh
. "$(dirname "$0")/lib/repo.sh"
need sqlite3
FAULTY=$BUILD/selftests/repo/sluice-repod
[ -x "$FAULTY" ] || skip "$FAULTY is not built"
repo_begin
make_key

for n in 1 2 3 4; do
	head -c 50000 /dev/urandom >"$LAB/f$n.bin"
	"$REPO" upload "$LAB/f$n.bin" >/dev/null
done
"$REPO" upload "$(make_deb hello 1.0)" "$(make_deb world 1.0)" >/dev/null
publish
"$REPO" fsck >/dev/null || fail "fsck finds something in order wrong"
blob() { printf '%s/blobs/%.2s/%s' "$STATE" "$1" "$1"; }
sum() { sha256sum "$1" | cut -c 1-64; }
problems() { "$REPO" fsck "$@" --json | jq -r '.problems[] | [.what, .subject, .repaired // "-"] | join("|")'; }

# Missing, flipped, cut, foreign; a package's file also from the published tree.
rm "$(blob "$(sum "$LAB/f1.bin")")"
chmod 644 "$(blob "$(sum "$LAB/f2.bin")")"
printf X | dd of="$(blob "$(sum "$LAB/f2.bin")")" bs=1 seek=100 conv=notrunc status=none
truncate -s 100 "$(blob "$(sum "$LAB/f3.bin")")"
hello=$(sum "$LAB/debs/hello_1.0_all.deb")
rm "$(blob "$hello")"
echo junk >"$STATE/blobs/00/junk"
orphan=$(printf junk | sha256sum | cut -c 1-64)
printf junk >"$(blob "$orphan")"
expect_exit 1 "fsck of a damaged state" "$REPO" fsck
found=$(problems || true)
expect_eq "$(printf '%s\n' "$found" | wc -l)" 6 "problems: $found"
expect_eq "$(api_status /files/f1.bin)" 500 "a missing file"
expect_eq "$(error_code)" damaged "code"
found=$(problems --repair)
expect_has "$found" "the file is missing|hello 1.0 all|taken back from a published tree" "repair"
expect_has "$found" "f2.bin  |the package was removed" "repair"
"$REPO" fsck >/dev/null || fail "fsck after a repair"
expect_eq "$(api /v1/packages | jq -r '[.packages[].name] | sort | join(" ")')" "f4.bin hello world" "what is left"
expect_eq "$(api /files/hello_1.0_all.deb | sha256sum | cut -c 1-64)" "$hello" "the file taken back"
expect_ge "$(find "$STATE/quarantine" -type f | wc -l)" 3 "files in quarantine"
"$REPO" upload "$LAB/f1.bin" "$LAB/f2.bin" "$LAB/f3.bin" >/dev/null

# A file that is damaged where it is gets well by being uploaded again after its row is gone,
# and a good upload never trusts a bad file of the same name.
f4=$(sum "$LAB/f4.bin")
"$REPO" delete f4.bin >/dev/null
printf damaged >"$(blob "$f4")"
"$REPO" upload "$LAB/f4.bin" >/dev/null
expect_eq "$(api /files/f4.bin | sha256sum | cut -c 1-64)" "$f4" "a bad file of the right name is replaced"

# A file that was damaged when fsck looked, and has been uploaded again since, is whole.
for how in --repair ''; do
	printf damaged >"$LAB/damaged"
	mv "$LAB/damaged" "$(blob "$f4")"
	repo_stop
	rm -f "$LAB/go-on" "$LAB/steps"
	SLUICE_FAULT_WAIT=fsck-judged:$LAB/go-on SLUICE_FAULT_LOG=$LAB/steps REPOD=$FAULTY repo_start
	"$REPO" fsck ${how:+"$how"} >"$LAB/fsck.out" 2>&1 & fscking=$!
	wait_for 10 "fsck to have looked" grep -q fsck-judged "$LAB/steps"
	"$REPO" upload "$LAB/f4.bin" >/dev/null
	touch "$LAB/go-on"
	wait $fscking || fail "fsck has found something wrong: $(cat "$LAB/fsck.out")"
	expect_eq "$(api /files/f4.bin | sha256sum | cut -c 1-64)" "$f4" "what was uploaded while fsck ran"
done
repo_stop
repo_start

# A publish that fails at one view says what became of the others, and so does the log.
"$REPO" upload "$(make_deb forall 1.0)" >/dev/null
"$REPO" upload --visible blue "$(make_deb ours 1.0)" >/dev/null
ours=$(sum "$LAB/debs/ours_1.0_all.deb")
mv "$(blob "$ours")" "$LAB/away"
expect_eq "$(api_status /v1/publish -X POST -d '{}')" 500 "publish without a tenant's file"
expect_has "$(jq -r .error.hint "$LAB/body")" "views switched to generation 2: 1; the others are as before; run \"sluice-repo fsck\"" "the next step"
expect_has "$(curl -sS "$URL/repo/apt/dists/stable/main/binary-amd64/Packages")" "Package: forall" "the public index"
expect_eq "$(api '/v1/log?limit=1' | jq -r '.entries[0] | .action + "|" + .subject + "|" + .detail')" "publish|generation 2|not all views" "the log"
expect_eq "$(api_status /v1/publish -X POST -d '{}')" 500 "publish again"
expect_has "$(jq -r .error.hint "$LAB/body")" "nothing was switched; run" "the next step"
mv "$LAB/away" "$(blob "$ours")"
publish

# Backup while the daemon runs: files, database, files again. Restore elsewhere.
mkdir "$LAB/backup"
cp -a "$STATE/blobs" "$LAB/backup/"
sqlite3 "$STATE/repo.db" ".backup $LAB/backup/repo.db"
cp -an "$STATE/blobs/." "$LAB/backup/blobs/"
cp -a "$STATE/gnupg" "$STATE/signing-keys" "$STATE/key.asc" "$STATE/key.gpg" "$LAB/backup/"
repo_stop
mv "$STATE" "$LAB/lost"
mv "$LAB/backup" "$STATE"
expect_exit 0 "offline fsck of the backup" "$REPOD" --config "$CONF" --fsck --repair
repo_start
publish
expect_eq "$(api /files/f4.bin | sha256sum | cut -c 1-64)" "$f4" "a file from the backup"
curl -sS "$URL/repo/apt/dists/stable/InRelease" | gpgv --keyring "$STATE/key.gpg" >/dev/null 2>&1 || fail "the restored key does not sign"

# One state, one daemon.
expect_fails "a second daemon on the same state" "$REPOD" --config "$CONF" --fsck

# A database of another program or a later version is refused, not touched.
repo_stop
cp "$STATE/repo.db" "$LAB/good.db"
sqlite3 "$STATE/repo.db" "PRAGMA user_version = 999"
before=$(sum "$STATE/repo.db")
expect_fails "a later schema" "$REPOD" --config "$CONF"
expect_has "$(cat "$LAB/expect.out")" "schema version 999" "what is said"
expect_eq "$(sum "$STATE/repo.db")" "$before" "the file"
head -c 40960 /dev/urandom >"$STATE/repo.db"
rm -f "$STATE"/repo.db-*
expect_fails "noise as the database" "$REPOD" --config "$CONF"
expect_has "$(cat "$LAB/expect.out")" "restore a backup" "what is said"
cp "$LAB/good.db" "$STATE/repo.db"
repo_start

# A replica of the public tree behind nginx: the same bytes, and apt accepts them.
if command -v nginx >/dev/null && command -v apt-get >/dev/null; then
	mkdir -p "$LAB/replica"
	cp -a "$STATE/published/public/." "$LAB/replica/"
	port=$(free_port)
	chmod 755 "$LAB"
	cat >"$LAB/nginx.conf" <<-CONF
		daemon off; master_process off; pid $LAB/nginx.pid; error_log stderr;
		events {}
		http {
			access_log off;
			client_body_temp_path $LAB/n1; proxy_temp_path $LAB/n2; fastcgi_temp_path $LAB/n3;
			uwsgi_temp_path $LAB/n4; scgi_temp_path $LAB/n5;
			server {
				listen 127.0.0.1:$port;
				location /repo/apt/ { alias $LAB/replica/current/apt/; }
			}
		}
	CONF
	start nginx nginx -p "$LAB" -c "$LAB/nginx.conf"
	wait_for 10 "nginx listens" curl -sf "http://127.0.0.1:$port/repo/apt/dists/stable/InRelease"
	apt_setup replica "http://127.0.0.1:$port" 2>/dev/null || true
	curl -sSf "$URL/key.gpg" >"$LAB/apt-replica/key.gpg"
	printf 'deb [signed-by=%s] http://127.0.0.1:%s/repo/apt stable main\n' "$LAB/apt-replica/key.gpg" "$port" >"$LAB/apt-replica/etc/sources.list"
	apt_update replica >"$LAB/replica.out" 2>&1 || fail "apt from the replica: $(cat "$LAB/replica.out")"
	apt_in replica install hello >"$LAB/replica.out" 2>&1 || fail "apt from the replica: $(cat "$LAB/replica.out")"
fi
