#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends the corpus of raw requests through the relay and compares what everybody saw of it.

  differential.py LOG ORIGIN [--split SEED]

Each case goes out on a connection of its own with a marked innocent request right behind it,
in one write, or cut in two at a point that SEED decides. ORIGIN is the listener of recorder.py
that is behind the relay (LOG is its log): "direct", or the name of a server in between, which
may refuse what the relay passed but must not read it in another way.
"""
import asyncio
import json
import os
import random
import sys
from collections import Counter

sys.dont_write_bytecode = True  # leave no cache in the source tree
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "net", "corpus")]
from raw_requests import CASES, CUT, HOST, PASS, REFUSE, WAIT  # noqa: E402
from recorder import seen  # noqa: E402

ADDRESS = ("169.254.169.254", 80)
PARALLEL = 48
PATIENCE = 300  # seconds, for an answer that must come
SILENCE = 1.0  # seconds, for one that must not
CLIENT = os.environ.get("VM_IP", "192.168.0.10")
# Who asks, as the relay tells it, and what it must never let through. Letters as folded below.
OURS = {"x-sluice-tenant", "x-sluice-client"}
THEIRS = ("x-forwarded", "forwarded", "x-real-ip", "x-instance-id", "x-tenant-id", "x-neutron",
          "x-ovn", "x-metadata-provider", "x-sluice", "x-http-method", "x-original-ur",
          "proxy-", "upgrade", "http2-settings")
# What nginx does not serve.
REFUSED_BEHIND = {"options-asterisk", "target-options-url"}


class Wrong(Exception):
    """A property that does not hold."""


class Answer:
    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields
        self.body = body

    @property
    def seen(self):
        return self.fields.get("x-seen")

    @property
    def is_ours(self):
        """Written by the relay itself."""
        return not self.seen and "server" not in self.fields and \
            self.fields.get("content-type") == "text/plain"

    def __str__(self):
        return f"{self.status} {self.seen or self.body[:60]!r}"


async def read_answer(reader, method):
    """The next final answer; None when the connection ends before it starts."""
    while True:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Wrong(f"a head that is cut: {error.partial[:80]!r}") from error
            return None
        except ConnectionError:
            return None
        lines = head.decode("latin-1").split("\r\n")[:-2]
        version, status, _ = lines[0].split(" ", 2)
        if version != "HTTP/1.1":
            raise Wrong(f"status line {lines[0]!r}")
        if not 100 <= int(status) < 200:
            break
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    body = b""
    if method != "HEAD" and int(status) not in (204, 304):
        if "content-length" not in fields:
            raise Wrong(f"an answer without length: {lines!r}")
        body = await asyncio.wait_for(reader.readexactly(int(fields["content-length"])), PATIENCE)
    return Answer(int(status), fields, body)


class Run:
    def __init__(self, origin, seed):
        self.origin = origin
        self.random = random.Random(seed) if seed else None
        self.gate = asyncio.Semaphore(PARALLEL)
        self.expected = Counter()  # what the recorder must have seen, and nothing else
        self.refused = []  # by the server in between
        self.failures = []

    async def case(self, number, case):
        async with self.gate:
            reader, writer = await asyncio.open_connection(*ADDRESS)
            try:
                await self.exchange(number, case, reader, writer)
            except (Wrong, OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                self.failures.append(f"{case.name}: {error or type(error).__name__}")
            finally:
                writer.close()

    async def exchange(self, number, case, reader, writer):
        next_target = b"/next-%d" % number
        data = case.raw
        if case.expect != WAIT:
            data += b"GET " + next_target + b" HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"
        await self.send(writer, data)
        if case.expect == WAIT:
            await self.nothing_comes(reader)
            return
        method = case.raw.lstrip(b"\r\n").split(b" ", 1)[0].decode("latin-1")
        first = await read_answer(reader, method)
        goes_on = self.check_first(case, method, first)
        second = await read_answer(reader, "GET") if first else None
        if not goes_on and second:
            raise Wrong(f"another answer behind the last: {second}")
        # After a refusal the relay may close, however sound the framing was.
        if not goes_on or (case.expect == REFUSE and not second):
            return
        if not second or second.seen != seen("GET", next_target, b""):
            raise Wrong(f"the next request got {second}")
        self.expected["GET", next_target.decode(), ""] += 1
        writer.write_eof()
        third = await read_answer(reader, "GET")
        if third:
            raise Wrong(f"an answer that nobody asked for: {third}")

    async def send(self, writer, data):
        if self.random:
            at = self.random.randrange(1, len(data))
            writer.write(data[:at])
            await asyncio.sleep(0.005)
            data = data[at:]
        try:
            writer.write(data)
            await writer.drain()
        except ConnectionError:
            pass  # refused already

    async def nothing_comes(self, reader):
        try:
            came = await asyncio.wait_for(reader.read(1000), SILENCE)
        except asyncio.TimeoutError:
            return
        raise Wrong(f"an answer to half a request: {came[:80]!r}")

    def check_first(self, case, method, answer):
        """Whether the connection goes on."""
        if case.expect == CUT:
            if answer and not (answer.is_ours and answer.status == 400):
                raise Wrong(f"a broken body got {answer}")
            return False
        if not answer:
            raise Wrong("no answer")
        if case.expect == REFUSE:
            if not answer.is_ours or answer.status != case.status:
                raise Wrong(f"want a refusal with {case.status}, got {answer}")
            return case.goes_on
        target = case.target or case.raw.lstrip(b"\r\n").split(b" ", 2)[1]
        if answer.seen:
            if answer.seen != seen(method, target, case.body):
                raise Wrong(f"was read as {answer.seen}, not {seen(method, target, case.body)}")
            self.expected[method, target.decode(), case.body.hex()] += 1
        elif self.origin != "direct" and not answer.is_ours and case.name in REFUSED_BEHIND:
            self.refused.append(case.name)
        else:
            raise Wrong(f"got {answer}")
        return not case.closes

    def check_record(self, path, offset):
        recorded = Counter()
        with open(path, encoding="ascii") as log:
            log.seek(offset)
            for line in log:
                entry = json.loads(line)
                if entry["listener"] != self.origin:
                    continue
                if "error" in entry:
                    self.failures.append(f"{entry['error']} at the origin: {entry['raw'][:400]}")
                elif entry["whole"]:
                    recorded[entry["method"], entry["target"], entry["body"]] += 1
                    self.check_fields(entry)
                elif bytes.fromhex(entry["raw"]).split(b" ")[0] != b"POST":
                    self.failures.append(f"half a request without a body: {entry['raw'][:200]}")
        for what, count in (recorded - self.expected).items():
            self.failures.append(f"the origin saw what nobody sent: {count} times {what}")
        for what, count in (self.expected - recorded).items():
            self.failures.append(f"the origin did not see: {count} times {what}")

    def check_fields(self, entry):
        ours = Counter()
        for name, value in entry["fields"]:
            folded = "".join(c if c.isalnum() else "-" for c in name)
            if name in OURS:
                ours[name] += 1
                if name == "x-sluice-client" and value != CLIENT:
                    self.failures.append(f"the client is told as {value}")
            elif folded.startswith(THEIRS) or folded == "te" or "smuggled" in value:
                self.failures.append(f"{entry['target']}: {name}: {value} arrived")
        if ours != Counter(OURS):
            self.failures.append(f"{entry['target']}: identity is {dict(ours)}")


async def main():
    log, origin = sys.argv[1:3]
    run = Run(origin, int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    offset = os.path.getsize(log)
    await asyncio.gather(*(run.case(number, case) for number, case in enumerate(CASES)))
    run.check_record(log, offset)
    for failure in run.failures:
        print("FAIL:", failure[:600])
    print(f"{len(CASES)} cases, {sum(run.expected.values())} requests at the origin, "
          f"{len(run.refused)} refused by {origin}: {' '.join(sorted(run.refused))}")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
