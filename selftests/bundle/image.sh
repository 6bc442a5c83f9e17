#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
#
# Container images ride along: real skopeo reads them out of the bundle, and the bundle itself as an
# OCI artifact; what is unpacked for a node is an OCI archive of that image alone.
# shellcheck source-path=SCRIPTDIR source=lib/bundle.sh
. "$(dirname "$0")/lib/bundle.sh"
need skopeo
bundle_begin

# A little image by hand: one layer, a config, a manifest.
"$PYTHON" - <<'PY'
import gzip, hashlib, io, json, os, tarfile
os.makedirs("img/blobs/sha256")
def blob(data):
    name = hashlib.sha256(data).hexdigest()
    open("img/blobs/sha256/" + name, "wb").write(data)
    return {"digest": "sha256:" + name, "size": len(data)}
raw = io.BytesIO()
with tarfile.open(fileobj=raw, mode="w") as tar:
    info = tarfile.TarInfo("hello"); info.size = 6
    tar.addfile(info, io.BytesIO(b"hello\n"))
layer = blob(gzip.compress(raw.getvalue(), mtime=0))
config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/hello"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw.getvalue()).hexdigest()]}}).encode())
v = "application/vnd.oci.image."
manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": v + "manifest.v1+json",
    "config": dict(config, mediaType=v + "config.v1+json"),
    "layers": [dict(layer, mediaType=v + "layer.v1.tar+gzip")]}).encode())
json.dump({"imageLayoutVersion": "1.0.0"}, open("img/oci-layout", "w"))
json.dump({"schemaVersion": 2, "manifests": [dict(manifest, mediaType=v + "manifest.v1+json",
    annotations={"org.opencontainers.image.ref.name": "latest"})]}, open("img/index.json", "w"))
PY
cat >>bundle.yaml <<-YAML
	  - name: hello
	    role: software
	    version: "1.2"
	    image: oci:$LAB/img:latest
	    reference: registry.example/hello:1.2
YAML
make_bundle one.sluice
make_bundle two.sluice
cmp one.sluice two.sluice || fail "the same image made other bytes"
verify one.sluice >/dev/null

skopeo inspect "oci-archive:one.sluice:registry.example/hello:1.2" >inspect.json 2>skopeo.out ||
	fail "skopeo inspect: $(cat skopeo.out)"
expect_eq "$(jq -r .Architecture inspect.json)" amd64 "what skopeo inspects"
skopeo copy --quiet --insecure-policy "oci-archive:one.sluice:registry.example/hello:1.2" dir:out >skopeo.out 2>&1 ||
	fail "skopeo copy: $(cat skopeo.out)"
expect_eq "$(jq -r '.layers | length' out/manifest.json)" 1 "layers copied"

# The bundle as an artifact, blob for blob.
skopeo inspect --raw "oci-archive:one.sluice:bundle" | jq -e '.config.mediaType == "application/vnd.sluice.bundle.manifest.v1+json"' >/dev/null ||
	fail "the artifact's type"
skopeo copy --quiet --insecure-policy "oci-archive:one.sluice:bundle" dir:artifact >skopeo.out 2>&1 ||
	fail "skopeo copy of the artifact: $(cat skopeo.out)"
expect_eq "$(jq '.layers | length' artifact/manifest.json)" "$("$BUNDLE" inspect --json one.sluice | jq '.blobs | length')" "blobs of the artifact"

# For a node: the image alone, which is what containerd imports.
"$BUNDLE" unpack --keys ops.pub one.sluice node hello >/dev/null
expect_eq "$(find node -type f)" node/images/hello.tar "what a node gets for an image"
skopeo inspect "oci-archive:node/images/hello.tar" | jq -e '.Layers | length == 1' >/dev/null || fail "the node's archive"

# A pulled bundle is a layout that skopeo reads in place.
"$BUNDLE" pull --keys ops.pub one.sluice store >/dev/null
skopeo inspect "oci:store:registry.example/hello:1.2" >/dev/null 2>skopeo.out || fail "skopeo on the directory: $(cat skopeo.out)"

# An image whose layer was changed is refused.
layer=$(jq -r '.layers[0].digest' "img/blobs/sha256/$(jq -r '.manifests[0].digest' img/index.json | cut -d: -f2)" | cut -d: -f2)
printf x >>"img/blobs/sha256/$layer"
expect_exit 1 "a damaged image" "$BUNDLE" create --key ops.key -o bad.sluice bundle.yaml
