# SPDX-License-Identifier: BSD-2-Clause
"""rewrite.py IN OUT CODE: runs CODE over a container's entries, and writes them as a tar again.

CODE sees "entries", a list of tarfile.TarInfo and bytes pairs, tarfile, io and json; "add(name,
data=b'', **fields)" makes another pair. A TarInfo with fmt set is written in that format.
"""
import io
import json
import sys
import tarfile

source, target, code = sys.argv[1:4]
entries = []
with tarfile.open(source) as tar:
    for info in tar:
        data = tar.extractfile(info)
        entries.append((info, data.read() if data else b""))


def add(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return (info, data)


scope = {"entries": entries, "add": add, "tarfile": tarfile, "io": io, "json": json, "format": tarfile.USTAR_FORMAT}
exec(code, scope)
with tarfile.open(target, "w", format=scope["format"]) as tar:
    for info, data in scope["entries"]:
        if info.isreg():
            info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
