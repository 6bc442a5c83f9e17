#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""An HTTP client that misbehaves on request: a mock for what curl does not do.

  rawhttp.py [options] get PATH            one request
  rawhttp.py [options] pipeline PATH...    all requests in one write, answers in order
  rawhttp.py [options] abort BYTES PATH    resets after BYTES of the body
  rawhttp.py [options] hold SECONDS COUNT  COUNT connections that say nothing
  rawhttp.py [options] spread COUNT PATH   COUNT connections open at once, a request on each
  rawhttp.py [options] raw                 standard input as it is; all answers until the end
  rawhttp.py sum SIZE...                   SHA-256 of the pattern of SIZE bytes; no connection

Each answer is a line "STATUS BYTES SHA256". A body that ends before its framing says so is
an error: exit status 3 and "truncated" on standard error.

options:
  --to ADDRESS[:PORT]   default 169.254.169.254:80; [IPV6%IF]:PORT
  --from ADDRESS        the client's own address
  --slow RATE           read RATE bytes a second, through a small receive buffer
  --bytewise            send the request a byte at a time
  --half-close          shut the sending side down after the request
  --close               send Connection: close
  --http10              speak HTTP/1.0
  --header LINE         one more header field (repeatable)
  --method METHOD       default GET
  --linger SECONDS      spread: keep the connections open so long after the last answer
  --timeout SECONDS     for each wait; default 120
"""
import argparse
import functools
import hashlib
import random
import socket
import struct
import sys
import time

HEAD_MAX = 65536


class Truncated(Exception):
    """The stream ended before the message did."""


@functools.lru_cache(maxsize=32)
def pattern(size):
    """The body of SIZE bytes every tool agrees on: never periodic, so that a shift shows."""
    return random.Random(size).randbytes(size) if size else b""


class Reader:
    """Buffered reading of HTTP messages from a socket; strict about every end."""

    def __init__(self, sock, rate=0):
        self.sock = sock
        self.rate = rate
        self.buffer = b""

    def more(self):
        if self.rate:
            want = min(65536, max(1, self.rate // 20))
            data = self.sock.recv(want)
            time.sleep(len(data) / self.rate)
        else:
            data = self.sock.recv(262144)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise ValueError("no end in sight")
            if not self.more():
                raise Truncated(f"end of stream before {mark!r}")
        line, _, self.buffer = self.buffer.partition(mark)
        return line

    def head(self):
        """The next head without its empty line, or None at a clean end of stream."""
        if not self.buffer and not self.more():
            return None
        return self.until(b"\r\n\r\n")

    def pieces(self, size):
        while size:
            if not self.buffer and not self.more():
                raise Truncated(f"{size} bytes missing")
            piece, self.buffer = self.buffer[:size], self.buffer[size:]
            size -= len(piece)
            yield piece

    def exactly(self, size):
        return b"".join(self.pieces(size))

    def chunks(self):
        while size := int(self.until(b"\r\n"), 16):
            yield from self.pieces(size)
            if self.exactly(2) != b"\r\n":
                raise ValueError("chunk does not end where its size says")
        while self.until(b"\r\n"):
            pass  # trailers

    def rest(self):
        if self.buffer:
            yield self.buffer
            self.buffer = b""
        while self.more():
            yield self.buffer
            self.buffer = b""


class Answer:
    """One response: its final head and what its body hashes to."""

    def __init__(self, reader, method, stop_after=None):
        self.bytes = 0
        self.digest = hashlib.sha256()
        self.until_eof = False
        while True:
            head = reader.head()
            if head is None:
                raise Truncated("connection closed without an answer")
            lines = head.decode("latin-1").split("\r\n")
            self.status = int(lines[0].split(" ")[1])
            if not 100 <= self.status < 200:
                break
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.fields[name.strip().lower()] = value.strip()
        for piece in self.body(reader, method):
            self.bytes += len(piece)
            self.digest.update(piece)
            if stop_after is not None and self.bytes >= stop_after:
                return

    def body(self, reader, method):
        if method == "HEAD" or self.status in (204, 304):
            return ()
        if self.fields.get("transfer-encoding", "").lower() == "chunked":
            return reader.chunks()
        if "content-length" in self.fields:
            return reader.pieces(int(self.fields["content-length"]))
        self.until_eof = True
        return reader.rest()

    def __str__(self):
        return f"{self.status} {self.bytes} {self.digest.hexdigest()}"


def connect(options):
    """A connected socket to --to."""
    to = options.to
    if to.startswith("["):
        host, _, port = to[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, _, port = to.partition(":")
    family, kind, proto, _, address = socket.getaddrinfo(
        host, int(port or 80), type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    sock.settimeout(options.timeout)
    if options.slow:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    if options.source:
        sock.bind((options.source, 0))
    sock.connect(address)
    return sock


def request(options, path, method="GET"):
    """The bytes of one request."""
    host = options.to if options.to.startswith("[") else options.to.partition(":")[0]
    lines = [f"{method} {path} HTTP/{'1.0' if options.http10 else '1.1'}",
             f"Host: {host.split('%')[0] + ']' if '%' in host else host}", *options.header]
    if options.close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


def send(options, sock, data):
    if options.bytewise:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            sock.sendall(data[i:i + 1])
            time.sleep(0.002)
    else:
        sock.sendall(data)
    if options.half_close:
        sock.shutdown(socket.SHUT_WR)


def get(options, paths):
    with connect(options) as sock:
        send(options, sock, b"".join(request(options, path, options.method) for path in paths))
        reader = Reader(sock, options.slow)
        for _ in paths:
            print(Answer(reader, options.method), flush=True)


def abort(options, count, path):
    sock = connect(options)
    send(options, sock, request(options, path))
    answer = Answer(Reader(sock), "GET", stop_after=count)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    print(f"{answer.status} {answer.bytes} aborted")


def hold(options, seconds, count):
    socks = [connect(options) for _ in range(count)]
    print("holding", flush=True)
    time.sleep(seconds)
    for sock in socks:
        sock.close()


def spread(options, count, path):
    """All connections stay open until the last one has its answer."""
    socks, seen = [], {}
    for _ in range(count):
        sock = connect(options)
        sock.sendall(request(options, path))
        socks.append(sock)
    for sock in socks:
        answer = str(Answer(Reader(sock), "GET"))
        seen[answer] = seen.get(answer, 0) + 1
    for answer, times in sorted(seen.items()):
        print(times, answer)
    sys.stdout.flush()
    if options.linger:
        time.sleep(options.linger)
    for sock in socks:
        sock.close()


def raw(options):
    with connect(options) as sock:
        data = sys.stdin.buffer.read()
        try:
            send(options, sock, data)
            while piece := sock.recv(65536):
                sys.stdout.buffer.write(piece)
        except (ConnectionResetError, BrokenPipeError):
            sys.stderr.write("rawhttp: reset by peer\n")


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--to", default="169.254.169.254:80")
    parser.add_argument("--from", dest="source", default="")
    parser.add_argument("--slow", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--linger", type=float, default=0)
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[])
    for flag in ("--bytewise", "--half-close", "--close", "--http10"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    verb, *words = options.words
    try:
        if verb in ("get", "pipeline"):
            get(options, words)
        elif verb == "abort":
            abort(options, int(words[0]), words[1])
        elif verb == "hold":
            hold(options, float(words[0]), int(words[1]))
        elif verb == "spread":
            spread(options, int(words[0]), words[1])
        elif verb == "raw":
            raw(options)
        elif verb == "sum":
            for size in words:
                print(hashlib.sha256(pattern(int(size))).hexdigest())
        else:
            parser.error(f"no such verb: {verb}")
    except (Truncated, ConnectionResetError) as error:
        sys.stderr.write(f"rawhttp: truncated: {error}\n")
        sys.exit(3)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"rawhttp: {error or type(error).__name__}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
