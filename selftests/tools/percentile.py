#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Asks COUNT times on one connection; prints the PERCENTth percentile of the times in microseconds.

percentile.py URL COUNT PERCENT
"""
import http.client
import sys
import time
import urllib.parse

url, count, percent = urllib.parse.urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
connection = http.client.HTTPConnection(url.netloc, timeout=180)
times = []
for _ in range(count):
    begun = time.monotonic()
    connection.request("GET", url.path)
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        sys.exit(f"status {response.status}")
    times.append(time.monotonic() - begun)
times.sort()
print(int(times[min(count - 1, count * percent // 100)] * 1e6))
