#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""An origin that records what reaches it: every byte, and every request as a strict reader sees it.

  recorder.py LOG LISTENER...     LISTENER is NAME=PORT or NAME=unix:PATH

For each request one line of JSON goes to LOG: listener, connection, method, target, body (hex),
fields (pairs), and "whole": false when the connection ended in its middle, with the bytes (hex)
that came. What a strict reader refuses is a line with "error". The answer tells what was seen:

  X-Seen: METHOD TARGET-SHA256 BODY-LENGTH BODY-SHA256
"""
import asyncio
import hashlib
import json
import re
import signal
import sys

HEAD_MAX = 65536
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*")
NUMBER = re.compile(rb"[0-9]{1,18}")
CHUNK = re.compile(rb"[0-9A-Fa-f]{1,16}")


class Refused(Exception):
    """What this reader does not accept."""


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def seen(method, target, body):
    """What the answer says of a request."""
    return f"{method} {digest(target)} {len(body)} {digest(body)}"


def parse_head(text):
    """(method, target, minor, fields) of a head without its empty line."""
    lines = text.split(b"\r\n")
    line = REQUEST_LINE.fullmatch(lines[0])
    if not line:
        raise Refused(f"request line {lines[0][:80]!r}")
    fields = []
    for entry in lines[1:]:
        field = FIELD.fullmatch(entry)
        if not field:
            raise Refused(f"field {entry[:80]!r}")
        fields.append((field[1].lower(), field[2]))
    return line[1], line[2], int(line[3]), fields


def values(fields, name):
    return [value for key, value in fields if key == name]


class Peer:
    """One connection: reads requests one after the other, keeping the bytes of the present one."""

    def __init__(self, reader):
        self.reader = reader
        self.buffer = b""
        self.raw = b""

    async def more(self):
        data = await self.reader.read(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def take(self, count):
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        self.raw += data
        return data

    async def until(self, mark):
        while mark not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise Refused("no end in sight")
            await self.more()
        return self.take(self.buffer.index(mark) + len(mark))[:-len(mark)]

    async def exactly(self, count):
        while len(self.buffer) < count:
            await self.more()
        return self.take(count)

    async def chunks(self):
        body = b""
        while True:
            size = await self.until(b"\r\n")
            if not CHUNK.fullmatch(size):
                raise Refused(f"chunk size {size[:40]!r}")
            if not int(size, 16):
                break
            body += await self.exactly(int(size, 16))
            if await self.exactly(2) != b"\r\n":
                raise Refused("chunk longer than its size")
        while line := await self.until(b"\r\n"):
            if not FIELD.fullmatch(line):
                raise Refused(f"trailer {line[:80]!r}")
        return body

    async def body(self, minor, fields, writer):
        lengths, codings = values(fields, b"content-length"), values(fields, b"transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise Refused("more than one framing")
        if values(fields, b"expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if codings:
            if codings != [b"chunked"] or minor == 0:
                raise Refused(f"coding {codings!r}")
            return await self.chunks()
        if not lengths:
            return b""
        if not NUMBER.fullmatch(lengths[0]):
            raise Refused(f"length {lengths[0]!r}")
        return await self.exactly(int(lengths[0]))


class Recorder:
    def __init__(self, path):
        self.log = open(path, "w", encoding="ascii", buffering=1)
        self.connections = 0

    def write(self, **what):
        self.log.write(json.dumps(what) + "\n")

    async def serve(self, name, reader, writer):
        self.connections += 1
        number = self.connections
        peer = Peer(reader)
        try:
            while await self.request(name, number, peer, writer):
                pass
        except (EOFError, ConnectionError):
            if peer.raw or peer.buffer:
                self.write(listener=name, connection=number, whole=False,
                           raw=(peer.raw + peer.buffer).hex())
        except Refused as error:
            self.write(listener=name, connection=number, error=str(error),
                       raw=(peer.raw + peer.buffer).hex())
        except asyncio.CancelledError:
            pass
        writer.close()

    async def request(self, name, number, peer, writer):
        peer.raw = b""
        method, target, minor, fields = parse_head(await peer.until(b"\r\n\r\n"))
        if minor == 1 and len(values(fields, b"host")) != 1:
            raise Refused("not one Host")
        body = await peer.body(minor, fields, writer)
        method = method.decode()
        self.write(listener=name, connection=number, whole=True, method=method,
                   target=target.decode(), body=body.hex(), raw=peer.raw.hex(),
                   fields=[(key.decode(), value.decode("latin-1")) for key, value in fields])
        text = b"" if method == "HEAD" else target
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Seen: %s\r\n\r\n%s"
                     % (len(target), seen(method, target, body).encode(), text))
        await writer.drain()
        words = b",".join(values(fields, b"connection")).lower()
        return minor == 1 and b"close" not in words


async def main():
    recorder = Recorder(sys.argv[1])
    for listener in sys.argv[2:]:
        name, _, where = listener.partition("=")

        def serve(reader, writer, name=name):
            return recorder.serve(name, reader, writer)

        if where.startswith("unix:"):
            await asyncio.start_unix_server(serve, where[5:], backlog=1024)
        else:
            await asyncio.start_server(serve, "0.0.0.0", int(where), backlog=1024)
    print("ready", flush=True)
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    await done.wait()


if __name__ == "__main__":
    asyncio.run(main())
