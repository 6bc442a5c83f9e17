#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Long polls from a VM, through whatever serves its metadata address: polls.py COUNT SECONDS

Prints "waiting" when all have asked, "answer STATUS" for each, "ended" when all are answered.
"""
import asyncio
import sys

COUNT, SECONDS = int(sys.argv[1]), sys.argv[2]
REQUEST = (f"GET /sluice/v1/desired?generation=0&wait={SECONDS} HTTP/1.1\r\n"
           "Host: 169.254.169.254\r\n\r\n").encode()


async def poll(asked):
    reader, writer = await asyncio.open_connection("169.254.169.254", 80)
    writer.write(REQUEST)
    await writer.drain()
    asked.release()
    line = await reader.readline()
    print("answer", line.split()[1].decode() if line else "cut", flush=True)
    writer.close()


async def main():
    asked = asyncio.Semaphore(0)
    polls = []
    for number in range(COUNT):
        polls.append(asyncio.create_task(poll(asked)))
        if number % 50 == 49:
            await asyncio.sleep(0.1)
    for _ in range(COUNT):
        await asked.acquire()
    print("waiting", flush=True)
    await asyncio.gather(*polls)
    print("ended", flush=True)


asyncio.run(main())
