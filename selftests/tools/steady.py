#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Asks for one document again and again until told to stop; nothing may go wrong.

steady.py new|kept URL SHA256 STOPFILE

new opens a connection for each request, kept uses one for as long as the server lets it.
Nothing is tried twice, as a client that is told "Connection: close", or nothing, need not.
Prints "REQUESTS CONNECTIONS"; every failure is a line on stderr, and the exit status 1.
"""
import hashlib
import http.client
import os
import sys
import time
import urllib.parse

mode, url, wanted, stop = sys.argv[1:5]
parts = urllib.parse.urlsplit(url)
requests = connections = failures = 0
connection = None

while not os.path.exists(stop) and failures < 20:
    try:
        if connection is None:
            connection = http.client.HTTPConnection(parts.netloc, timeout=120)
            connection.connect()
            connections += 1
        connection.request("GET", parts.path)
        response = connection.getresponse()
        body = response.read()
        requests += 1
        if response.status != 200:
            raise ValueError(f"status {response.status}: {body[:200]!r}")
        if hashlib.sha256(body).hexdigest() != wanted:
            raise ValueError(f"{len(body)} bytes with another sum")
        # http.client has closed it when the server announced the end.
        if mode == "new" or connection.sock is None:
            connection.close()
            connection = None
        time.sleep(0.005)
    except (OSError, http.client.HTTPException, ValueError) as error:
        failures += 1
        print(f"{mode}: {time.strftime('%H:%M:%S')} request {requests}: {error!r}", file=sys.stderr)
        if connection:
            connection.close()
        connection = None
print(requests, connections)
sys.exit(1 if failures else 0)
