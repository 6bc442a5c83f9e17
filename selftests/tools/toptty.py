#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""toptty.py COMMAND…: runs "sluice top" on a terminal of its own and behaves like a person.

Reads it at 100x30, presses s and r, makes the terminal 50x10, presses q; checks that each page fits
and that the terminal is given back as it was. Prints each page's text under a line "== WHAT".
"""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time


def size(fd, columns, lines):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


PATIENCE = 120  # seconds


def read(fd, until=None):
    """Until the last page is as wanted, or, without that, until the end."""
    data, end = b"", time.time() + PATIENCE
    while time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                part = os.read(fd, 65536)
            except OSError:
                break
            if not part:
                break
            data += part
        if until and until(text_of(data)) and not select.select([fd], [], [], 0.2)[0]:
            break
    return data


def has(words):
    """A whole page, for its last line is there, with these words."""
    return lambda page: "q quit" in page and re.search(words, page, re.MULTILINE)


def text_of(data):
    """The last page drawn, without what only moves and colours."""
    page = data.split(b"\x1b[H")[-1]
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", page).decode(errors="replace").replace("\r", "")


def show(what, data, columns, lines):
    page = text_of(data)
    print("==", what)
    print(page)
    rows = page.split("\n")
    if len(rows) > lines:
        sys.exit(f"{what}: {len(rows)} lines on a terminal of {lines}")
    for row in rows:
        if len(row) > columns:
            sys.exit(f"{what}: a line of {len(row)} on a terminal of {columns}: {row}")


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(sys.argv[1], sys.argv[1:])
    size(fd, 100, 30)
    before = termios.tcgetattr(fd)
    first = read(fd, has("^blue +attached +tc +[1-9]"))
    if b"\x1b[?1049h" not in first:
        sys.exit("no page of its own: " + repr(first))
    show("busy", first, 100, 30)
    os.write(fd, b"s")
    show("sorted", read(fd, has(r"s sort \(errors\)")), 100, 30)
    os.write(fd, b"r")
    show("reversed", read(fd, has(r"\(errors, reversed\)")), 100, 30)
    size(fd, 50, 10)
    show("small", read(fd, lambda page: "q quit" in page and "STATE" not in page), 50, 10)
    os.write(fd, b"q")
    last = read(fd)
    if b"\x1b[?1049l" not in last or b"\x1b[?25h" not in last:
        sys.exit("the screen is not given back: " + repr(last))
    status = os.waitpid(pid, 0)[1]
    if status:
        sys.exit(f"ended with {status}")
    try:
        if termios.tcgetattr(fd)[3] != before[3]:
            sys.exit("the terminal's modes are not put back")
    except termios.error:
        pass
    print("== end")


main()
