#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""An origin that misbehaves on request: a mock for what no real server does on demand.

The path says what to do, so that a test reads as what it asks for:

  /length/N            N bytes with Content-Length
  /chunked/N           N bytes in chunks of uneven sizes
  /trailers/N          the same with a trailer field
  /eof/N               N bytes ended by closing the connection
  /pause/N/MS          head, MS of silence, half the body, MS of silence, the rest
  /delay/N/MS          MS of silence before the head
  /wait/N/NUMBER       silence before the head until somebody has asked for /go/NUMBER or a higher one;
                       "waits for NUMBER" is printed
  /drip/N/MS           the body a byte at a time, MS apart
  /interim/N/COUNT     COUNT responses 103 before the real one
  /cut-length/N        closes after half of the promised N bytes
  /cut-chunked/N       closes in the middle of a chunk
  /cut-eof/N           resets after half of an EOF-delimited body
  /status/CODE         a response without a body
  /retry/CODE          the same, with Retry-After
  /close /reset        ends the connection instead of answering
  /garbage             answers what is not HTTP
  /switch              101 Switching Protocols
  /headers             the request head as it arrived, as the body
  /echo                the request body, as the body (X-Sum: its SHA-256)

Bodies are pattern(N) of rawhttp.py, so that a client can hash without asking.
usage: oddorigin.py ADDRESS PORT | oddorigin.py unix:PATH
"""
import hashlib
import os
import signal
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True  # leave no cache in the source tree
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rawhttp import Reader, Truncated, pattern  # noqa: E402

ROUTES = ("odd", "new", "hasty", "patient", "limited")  # those that tests reach this origin by
CHUNKS = (1, 7, 4096, 65536, 13, 100000, 16, 262144)


class Hangup(Exception):
    """The connection is to be closed now."""


class Gate:
    """Opened for one number after the other."""

    def __init__(self):
        self.changed = threading.Condition()
        self.open = -1

    def go(self, number):
        with self.changed:
            self.open = max(self.open, number)
            self.changed.notify_all()

    def wait(self, number):
        print("waits for", number, flush=True)
        with self.changed:
            self.changed.wait_for(lambda: self.open >= number)


gate = Gate()


def read_request(reader):
    """Returns (method, path, head bytes, body) or None at end of stream."""
    head = reader.head()
    if head is None:
        return None
    lines = head.split(b"\r\n")
    method, path, _ = lines[0].split(b" ", 2)
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip()
    if fields.get(b"expect", b"").lower() == b"100-continue":
        reader.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
        body = b"".join(reader.chunks())
    else:
        body = reader.exactly(int(fields.get(b"content-length", b"0")))
    return method.decode(), path.decode(), head, body


def head_of(status, *fields):
    lines = ["HTTP/1.1 " + status, "Server: oddorigin", *fields, "", ""]
    return "\r\n".join(lines).encode()


def chunked(body):
    at = turn = 0
    while at < len(body):
        piece = body[at:at + CHUNKS[turn % len(CHUNKS)]]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
        at += len(piece)
        turn += 1


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Hangup


def answer(sock, method, path, head, request_body):
    """Answers one request; raises Hangup when the connection is to end after it."""
    words = path.split("?")[0].strip("/").split("/")
    if words[0] in ROUTES:
        words.pop(0)
    kind = words[0]
    numbers = [int(word) for word in words[1:] if word.isdigit()]
    size = numbers[0] if numbers else 0
    delay = numbers[1] / 1000 if len(numbers) > 1 else 0
    length = f"Content-Length: {size}"
    body = b"" if method == "HEAD" or kind == "status" else pattern(size)
    half = len(body) // 2

    if kind in ("length", "delay"):
        time.sleep(delay)
        sock.sendall(head_of("200 OK", length) + body)
    elif kind == "wait":
        gate.wait(numbers[1])
        sock.sendall(head_of("200 OK", length) + body)
    elif kind == "go":
        gate.go(size)
        sock.sendall(head_of("200 OK", "Content-Length: 0"))
    elif kind in ("chunked", "trailers"):
        fields = ["Trailer: X-Sum"] if kind == "trailers" else []
        sock.sendall(head_of("200 OK", "Transfer-Encoding: chunked", *fields))
        if method != "HEAD":
            for piece in chunked(body):
                sock.sendall(piece)
            sock.sendall(b"0\r\n" + (b"X-Sum: end\r\n" if fields else b"") + b"\r\n")
    elif kind == "eof":
        sock.sendall(head_of("200 OK", "Connection: close") + body)
        raise Hangup
    elif kind == "pause":
        sock.sendall(head_of("200 OK", length))
        time.sleep(delay)
        sock.sendall(body[:half])
        time.sleep(delay)
        sock.sendall(body[half:])
    elif kind == "drip":
        sock.sendall(head_of("200 OK", length))
        for i in range(len(body)):
            sock.sendall(body[i:i + 1])
            time.sleep(delay)
    elif kind == "interim":
        for _ in range(numbers[1]):
            sock.sendall(head_of("103 Early Hints", "Link: </style.css>; rel=preload"))
        sock.sendall(head_of("200 OK", length) + body)
    elif kind == "cut-length":
        sock.sendall(head_of("200 OK", length) + body[:half])
        raise Hangup
    elif kind == "cut-chunked":
        sock.sendall(head_of("200 OK", "Transfer-Encoding: chunked"))
        sock.sendall(b"%x\r\n%s" % (size, body[:half]))
        raise Hangup
    elif kind == "cut-eof":
        sock.sendall(head_of("200 OK", "Connection: close") + body[:half])
        time.sleep(0.2)  # let the half arrive: a reset discards what is still queued
        reset(sock)
    elif kind == "status":
        none = size in (204, 304) or 100 <= size < 200
        sock.sendall(head_of(f"{size} Status", *([] if none else ["Content-Length: 0"])))
    elif kind == "retry":
        sock.sendall(head_of(f"{size} Status", "Content-Length: 0", "Retry-After: 17"))
    elif kind == "close":
        raise Hangup
    elif kind == "reset":
        reset(sock)
    elif kind == "garbage":
        sock.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n" * 4)
        raise Hangup
    elif kind == "switch":
        sock.sendall(head_of("101 Switching Protocols", "Upgrade: tunnel", "Connection: Upgrade"))
        time.sleep(0.2)
        raise Hangup
    elif kind == "headers":
        sock.sendall(head_of("200 OK", f"Content-Length: {len(head)}") + head)
    elif kind == "echo":
        digest = hashlib.sha256(request_body).hexdigest()
        fields = (f"Content-Length: {len(request_body)}", f"X-Sum: {digest}")
        sock.sendall(head_of("200 OK", *fields) + request_body)
    else:
        sock.sendall(head_of("404 Not Found", "Content-Length: 0"))


def serve(sock):
    try:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(sock)
        while (request := read_request(reader)) is not None:
            answer(sock, *request)
    except (Hangup, Truncated, OSError, ValueError):
        pass  # the peer is gone or sent no HTTP: nothing to tell it
    finally:
        sock.close()


def main():
    if len(sys.argv) == 2 and sys.argv[1].startswith("unix:"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sys.argv[1][5:])
        os.chmod(sys.argv[1][5:], 0o666)
    elif len(sys.argv) == 3:
        family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((sys.argv[1], int(sys.argv[2])))
    else:
        sys.exit(__doc__)
    listener.listen(512)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("ready", flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
