#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A hostile origin, and the clients that meet it through the relay.

  hostile.py origin PORT LOG    answers /hostile/case/NAME with the bytes of raw_responses.py,
                                /hostile/late/N with a sound response and 20 ms later with one
                                nobody asked for (then a line goes to LOG), and
                                /hostile/mark/WORD with that word
  hostile.py client ROUNDS LOG  meets every case on a connection of its own, with innocent clients
                                all around, who must get their own words and nothing else
"""
import asyncio
import os
import random
import signal
import sys

sys.dont_write_bytecode = True  # leave no cache in the source tree
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "net", "corpus")]
from raw_responses import BAD, CASES, CUT, EVIL  # noqa: E402

ADDRESS = ("169.254.169.254", 80)
PARALLEL = 24
PATIENCE = 300  # seconds


# ---- the origin ----------------------------------------------------------------------------------
async def answer(path, reader, writer, log):
    """False when the connection ends."""
    _, _, kind, word = path.split("/", 3)
    if kind == "case":
        case = next(case for case in CASES if case.name == word)
        writer.write(case.raw)
        await writer.drain()
        return not case.fin
    text = word.encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Mark: %s\r\n\r\n%s" % (len(text), text, text))
    await writer.drain()
    if kind == "late":
        await asyncio.sleep(0.02)
        writer.write(EVIL)
        await writer.drain()
        log.write("late\n")
        log.flush()
    return True


async def serve(reader, writer, log):
    try:
        going = True
        while going:
            head = await reader.readuntil(b"\r\n\r\n")
            going = await answer(head.split(b" ")[1].decode(), reader, writer, log)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    except asyncio.CancelledError:
        pass
    writer.close()


async def origin(port, path):
    with open(path, "w", encoding="ascii") as log:
        await asyncio.start_server(lambda r, w: serve(r, w, log), "0.0.0.0", port, backlog=1024)
        print("ready", flush=True)
        done = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, done.set)
        await done.wait()


# ---- the clients ---------------------------------------------------------------------------------
class Wrong(Exception):
    """A property that does not hold."""


async def chunks(reader):
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Wrong("a chunk that is longer than its size")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body


async def read_answer(reader, method):
    """(status, fields, body) of the next answer; IncompleteReadError or ConnectionError when cut."""
    status = 100
    while 100 <= status < 200:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        status = int(lines[0].split(" ")[1])
    fields = dict((name.lower(), value.strip())
                  for name, _, value in (line.partition(":") for line in lines[1:]))
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif fields.get("transfer-encoding") == "chunked":
        body = await chunks(reader)
    elif "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    else:
        body = await reader.read()
    return status, fields, body


def request(path, method="GET"):
    return f"{method} /hostile/{path} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n".encode()


class Run:
    def __init__(self):
        self.gate = asyncio.Semaphore(PARALLEL)
        self.failures = []
        self.words = 0

    async def guarded(self, what, coroutine):
        async with self.gate:
            try:
                await asyncio.wait_for(coroutine, PATIENCE)
            except Wrong as error:
                self.failures.append(f"{what}: {error}")
            except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                self.failures.append(f"{what}: {type(error).__name__} {error}")

    async def mark(self, reader, writer):
        self.words += 1
        word = f"word-{self.words}-{'x' * (self.words % 50)}"
        writer.write(request("mark/" + word))
        status, fields, body = await read_answer(reader, "GET")
        if (status, fields.get("x-mark"), body.decode("latin-1")) != (200, word, word):
            raise Wrong(f"wanted {word}, got {status} {fields} {body[:80]!r}")

    async def innocent(self):
        reader, writer = await asyncio.open_connection(*ADDRESS)
        for _ in range(4):
            await self.mark(reader, writer)
        writer.write_eof()
        if await reader.read(1):
            raise Wrong("bytes behind the last answer")
        writer.close()

    async def meet(self, case):
        reader, writer = await asyncio.open_connection(*ADDRESS)
        writer.write(request("case/" + case.name, case.method))
        try:
            status, fields, body = await read_answer(reader, case.method)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            if case.expect != CUT:
                raise Wrong("no complete answer") from None
            return
        if case.expect == CUT:
            raise Wrong(f"a cut response looks complete: {status} {body[:80]!r}")
        if case.expect == BAD and (status != 502 or fields.get("content-type") != "text/plain"):
            raise Wrong(f"wanted 502, got {status} {body[:80]!r}")
        if case.expect != BAD and (status, body) != (case.status, case.body):
            raise Wrong(f"got {status} {body[:80]!r}")
        if fields.get("connection") != "close":
            await self.mark(reader, writer)
            writer.write_eof()
        if await reader.read(1):
            raise Wrong("bytes behind the last answer")
        writer.close()

    async def late(self, path):
        """Alone: what comes after a request was sent on the connection could be its answer."""
        reader, writer = await asyncio.open_connection(*ADDRESS)
        for number in range(1, 6):
            writer.write(request(f"late/{number}"))
            _, _, body = await read_answer(reader, "GET")
            if body != b"%d" % number:
                raise Wrong(f"got {body[:80]!r}")
            while True:
                with open(path, encoding="ascii") as log:
                    if len(log.readlines()) >= number:
                        break
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)  # the way from the origin to the relay
            await self.mark(reader, writer)
        writer.close()


async def client(rounds, path):
    run = Run()
    for number in range(rounds):
        tasks = []
        for case in CASES:
            tasks.append(run.guarded(case.name, run.meet(case)))
            tasks.append(run.guarded("innocent beside " + case.name, run.innocent()))
        random.Random(number).shuffle(tasks)
        await asyncio.gather(*tasks)
    await run.guarded("late", run.late(path))
    for failure in run.failures:
        print("FAIL:", failure[:600])
    print(f"{len(CASES)} hostile responses, {rounds} rounds, {run.words} innocent requests")
    return 1 if run.failures else 0


if __name__ == "__main__":
    if sys.argv[1] == "origin":
        asyncio.run(origin(int(sys.argv[2]), sys.argv[3]))
    else:
        sys.exit(asyncio.run(client(int(sys.argv[2]), sys.argv[3])))
