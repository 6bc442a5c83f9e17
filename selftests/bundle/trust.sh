#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Who may make bundles: keys, sets of keys, rotation; versions that only rise; signatures moved from
# one bundle to another.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
bundle_begin
"$BUNDLE" key new next >/dev/null
"$BUNDLE" key new stranger >/dev/null
expect_exit 1 "a key over a key" "$BUNDLE" key new ops
expect_eq "$(stat -c %a ops.key ops.gpg ops.pub | xargs)" "600 600 644" "modes of keys"
expect_eq "$("$BUNDLE" key show ops.key)" "$("$BUNDLE" key show ops.pub)" "the public half of a private key"
expect_exit 1 "a key that is none" "$BUNDLE" key show bundle.yaml

make_bundle one.sluice
expect_exit 3 "a stranger's key" "$BUNDLE" verify --keys stranger.pub one.sluice
said "none of the trusted keys" "a stranger's key"
expect_exit 3 "pull with a stranger's key" "$BUNDLE" pull --keys stranger.pub one.sluice store
[ ! -e store ] || fail "an untrusted bundle left something"
expect_exit 1 "keys that are none" "$BUNDLE" verify --keys bundle.yaml one.sluice
expect_exit 2 "verify without keys" "$BUNDLE" verify one.sluice
expect_exit 2 "create without a key" "$BUNDLE" create bundle.yaml
expect_exit 1 "create with a public key" "$BUNDLE" create --key ops.pub -o none.sluice bundle.yaml
said "ops.pub holds no private key" "create with a public key"

# Rotation: both sign, either is enough; a set of keys holds several.
"$BUNDLE" create --key ops.key,next.key -o both.sluice bundle.yaml >/dev/null
for keys in ops next; do
	verify both.sluice >/dev/null
	"$BUNDLE" verify --keys $keys.pub both.sluice >/dev/null || fail "signed by $keys, and not verified"
done
cat stranger.pub next.pub >set.pub
"$BUNDLE" verify --keys set.pub both.sluice >/dev/null || fail "a set of keys"
expect_eq "$("$BUNDLE" key show --json set.pub | jq length)" 2 "keys of a set"
expect_exit 3 "none of a set" "$BUNDLE" verify --keys set.pub one.sluice

# Unsigned, and signed for something else.
rewrite one.sluice unsigned.sluice 'i = json.loads(entries[1][1]); del i["annotations"]; entries[1] = (entries[1][0], json.dumps(i, separators=(",", ":")).encode())'
expect_exit 3 "an unsigned bundle" "$BUNDLE" verify --keys ops.pub unsigned.sluice
said "is not signed" "an unsigned bundle"
sed 's/^version: 1/version: 2/' bundle.yaml >two.yaml
make_bundle two.sluice two.yaml
"$PYTHON" - <<'PY'
import json, tarfile
def index(path):
    with tarfile.open(path) as tar:
        return json.load(tar.extractfile("index.json"))
with open("signatures", "w") as f:
    f.write(index("two.sluice")["annotations"]["org.sluice.bundle.signatures"])
PY
rewrite one.sluice moved.sluice 'i = json.loads(entries[1][1]); i["annotations"]["org.sluice.bundle.signatures"] = open("signatures").read(); entries[1] = (entries[1][0], json.dumps(i, separators=(",", ":")).encode())'
expect_exit 3 "another bundle's signature" "$BUNDLE" verify --keys ops.pub moved.sluice

# Versions only rise, where they are pulled to and where it is asked.
verify --newer-than one.sluice two.sluice >/dev/null
expect_exit 3 "an older one" "$BUNDLE" verify --keys ops.pub --newer-than two.sluice one.sluice
expect_exit 3 "the same one" "$BUNDLE" verify --keys ops.pub --newer-than 1 one.sluice
"$BUNDLE" pull --keys ops.pub two.sluice store >/dev/null
expect_exit 3 "pulling an older one" "$BUNDLE" pull --keys ops.pub one.sluice store
said "newer than 1" "pulling an older one"
"$BUNDLE" pull --keys ops.pub --allow-older one.sluice store >/dev/null
expect_has "$(verify store)" "version 1" "an older one, allowed"
sed 's/80/81/' bundle.yaml >again.yaml
make_bundle again.sluice again.yaml
expect_exit 3 "the same version with another content" "$BUNDLE" pull --keys ops.pub again.sluice store
sed 's/^name: edge/name: core/' two.yaml >core.yaml
make_bundle core.sluice core.yaml
expect_exit 3 "another bundle over this one" "$BUNDLE" pull --keys ops.pub core.sluice store
verify store >/dev/null

# Only what was signed: a directory that somebody edits.
name=$(jq -r '.items[] | select(.name == "web") | .packages[0].sha256' <("$BUNDLE" inspect --json store))
printf x >>"store/blobs/sha256/$name"
expect_exit 3 "a directory's blob that grew" "$BUNDLE" verify --keys ops.pub store
said "$name" "the blob that grew"
"$BUNDLE" pull --keys ops.pub one.sluice store >/dev/null
verify store >/dev/null || fail "pull believed what was there"
