#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Waits as many agents: agents.py SOCKET SECRET_FILE COUNT SECONDS

Each polls once, as instance vm-N of tenant blue. Prints "waiting" when all have asked, "vm-N
STATUS" for each answer, "ended" when all are answered.
"""
import asyncio
import hashlib
import hmac
import sys
import time

SOCKET, SECRET_FILE, COUNT, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
SECRET = open(SECRET_FILE, "rb").read().rstrip(b"\r\n")
TARGET = f"/sluice/v1/desired?generation=0&wait={SECONDS}"


async def agent(number, asked):
    name, now = f"vm-{number}", str(int(time.time()))
    text = "\n".join(["v1", "blue", name, "10.0.0.7", "GET", TARGET, now]) + "\n"
    signature = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
    reader, writer = await asyncio.open_unix_connection(SOCKET)
    writer.write((f"GET {TARGET} HTTP/1.1\r\nHost: x\r\nX-Sluice-Tenant: blue\r\n"
                  f"X-Sluice-Instance: {name}\r\nX-Sluice-Client: 10.0.0.7\r\n"
                  f"X-Sluice-Time: {now}\r\nX-Sluice-Signature: v1={signature}\r\n\r\n").encode())
    await writer.drain()
    asked.release()
    line = await reader.readline()
    print(name, line.split()[1].decode() if line else "cut", flush=True)
    writer.close()


async def main():
    asked = asyncio.Semaphore(0)
    agents = []
    for number in range(COUNT):
        agents.append(asyncio.create_task(agent(number, asked)))
        if number % 100 == 99:
            await asyncio.sleep(0.05)
    for _ in range(COUNT):
        await asked.acquire()
    await asyncio.sleep(1)
    print("waiting", flush=True)
    await asyncio.gather(*agents)
    print("ended", flush=True)


asyncio.run(main())
