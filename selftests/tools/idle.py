#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Opens COUNT connections, prints "ready", and holds them until it is ended.

idle.py ADDRESS PORT COUNT
"""
import resource
import signal
import socket
import sys
import time

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
held = []
while len(held) < count:
    try:
        held.append(socket.create_connection((address, port), timeout=60))
    except OSError as error:
        print(f"after {len(held)}: {error}", flush=True)
        time.sleep(0.1)
print("ready", flush=True)
while True:
    time.sleep(3600)
