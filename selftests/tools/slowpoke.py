#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A hostile VM: holds COUNT connections in one way for SECONDS and until there is a file ENOUGH, opening
each anew when it is cut.

  slowpoke.py WAY COUNT SECONDS ENOUGH

  head       a request head a byte at a time
  body       a request body a byte at a time
  reader     asks for much and reads nothing
  idle       one request, then silence
  pipeline   requests without end, no answer read
  chunks     a request body of one-byte chunks without end
  interims   asks for a response that has interim ones without end, again and again
  many       connections that say nothing

Prints "WAY opened N, most at a time M, cut by the peer K, answers: STATUS COUNT …".
"""
import collections
import errno
import os
import selectors
import socket
import sys
import time

TO = ("169.254.169.254", 80)
HOST = b"Host: 169.254.169.254\r\n"
PAUSE = 0.05  # between two bytes of those that drip

PIPELINED = (b"GET /1024 HTTP/1.1\r\n" + HOST + b"\r\n") * 50
FIRST = {
    "head": b"GET /1024 HTTP/1.1\r\n" + HOST + b"X-Slow: ",
    "body": b"POST /odd/echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n",
    "reader": b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n",
    "idle": b"GET /1024 HTTP/1.1\r\n" + HOST + b"\r\n",
    "pipeline": PIPELINED,
    "chunks": b"POST /odd/echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
    "interims": b"GET /odd/interim/5/100000 HTTP/1.1\r\n" + HOST + b"\r\n",
    "many": b"",
}
# What follows for as long as the peer takes it, and what comes a byte at a time.
FLOOD = {"pipeline": PIPELINED, "chunks": b"1\r\nx\r\n" * 1000}
DRIP = {"head": b"a", "body": b"b"}
READS = ("head", "body", "idle", "chunks", "interims", "many")


class Poke:
    """One connection of the attack."""

    def __init__(self, way, selector):
        self.way = way
        self.selector = selector
        self.out = FIRST[way]
        self.text = b""
        self.sock = socket.socket()
        if way == "reader":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.setblocking(False)
        error = self.sock.connect_ex(TO)
        if error not in (0, errno.EINPROGRESS):
            self.sock.close()
            raise OSError(error, "connect")
        selector.register(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def want(self):
        events = selectors.EVENT_READ if self.way in READS else 0
        if self.out:
            events |= selectors.EVENT_WRITE
        # Something must be waited for: a reset is told in any case.
        self.selector.modify(self.sock, events or selectors.EVENT_WRITE, self)

    def write(self):
        if self.out:
            self.out = self.out[self.sock.send(self.out):]
        if not self.out:
            self.out = FLOOD.get(self.way, b"")

    def read(self):
        """True at the end of the stream."""
        data = self.sock.recv(65536)
        self.text = (self.text + data)[:4096]
        return not data

    def close(self):
        self.selector.unregister(self.sock)
        self.sock.close()
        if self.text.startswith(b"HTTP/1.1 "):
            return self.text[9:12].decode()
        return None


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in FIRST:
        sys.exit(__doc__)
    way, count, end = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
    selector = selectors.DefaultSelector()
    pokes, answers = set(), collections.Counter()
    opened = most = cut = 0
    next_drip = 0.0

    print("ready", flush=True)
    while (now := time.monotonic()) < end or not os.path.exists(sys.argv[4]):
        # Not faster than a machine that is attacked in earnest would see it from one VM.
        for _ in range(min(50, count - len(pokes))):
            try:
                pokes.add(Poke(way, selector))
                opened += 1
            except OSError:
                break
        most = max(most, len(pokes))
        for key, events in selector.select(PAUSE):
            poke, over = key.data, False
            try:
                if events & selectors.EVENT_READ:
                    over = poke.read()
                if events & selectors.EVENT_WRITE and not over:
                    poke.write()
                if not over:
                    poke.want()
            except BlockingIOError:
                pass
            except OSError:
                over = True
            if over:
                cut += 1
                pokes.discard(poke)
                answers[poke.close()] += 1
        if way in DRIP and now >= next_drip:
            next_drip = now + PAUSE
            for poke in pokes:
                poke.out = poke.out or DRIP[way]
                poke.want()
        elif way in ("reader", "pipeline"):
            time.sleep(0.005)  # sockets that are writable for ever
    for poke in pokes:
        answers[poke.close()] += 1
    told = " ".join(f"{status} {times}" for status, times in sorted(answers.items(), key=str) if status)
    print(f"{way}: opened {opened}, most at a time {most}, cut by the peer {cut}, answers: {told}", flush=True)


if __name__ == "__main__":
    main()
