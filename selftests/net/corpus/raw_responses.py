# SPDX-License-Identifier: BSD-2-Clause
"""Raw responses of a hostile origin: name, bytes, and what the client must see.

expect is one of
    bad     502 from the relay
    cut     the status passes, then the connection ends before the response looks complete
    pass    a complete response with this status and body, and nothing behind it

The origin sends raw in one call; then it closes when fin is set, else it waits for the next
request on the same connection. Whatever follows the response in raw must reach nobody.
"""
from typing import List, NamedTuple

BAD, CUT, PASS = "bad", "cut", "pass"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Mark: evil\r\n\r\nevil"


class Case(NamedTuple):
    name: str
    raw: bytes
    expect: str
    status: int = 200
    body: bytes = b"hello"
    method: str = "GET"
    fin: bool = False


CASES: List[Case] = []


def add(name: str, raw: bytes, expect: str, **more) -> None:
    if any(case.name == name for case in CASES):
        raise ValueError("two cases are called " + name)
    CASES.append(Case(name, raw, expect, **more))


def ok(*fields: bytes, body: bytes = b"hello", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((line,) + fields) + b"\r\n\r\n" + body


CL5 = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"

# ---- what must pass ------------------------------------------------------------------------------
add("length", ok(CL5), PASS)
add("chunked", ok(CHUNKED, body=HELLO), PASS)
add("until-close", ok(), PASS, fin=True)
add("http10", ok(CL5, line=b"HTTP/1.0 200 OK"), PASS)
add("http10-until-close", ok(line=b"HTTP/1.0 200 OK"), PASS, fin=True)
add("close", ok(CL5, b"Connection: close"), PASS, fin=True)
add("no-reason", ok(CL5, line=b"HTTP/1.1 200"), PASS)
add("trailers", ok(CHUNKED, body=b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), PASS)
add("204", ok(line=b"HTTP/1.1 204 No Content", body=b""), PASS, status=204, body=b"")
add("304", ok(CL5, line=b"HTTP/1.1 304 Not Modified", body=b""), PASS, status=304, body=b"")
add("head", ok(CL5, body=b""), PASS, method="HEAD", body=b"")
add("interim", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + ok(CL5), PASS)
add("continue-unasked", b"HTTP/1.1 100 Continue\r\n\r\n" + ok(CL5), PASS)

# ---- bytes behind a complete response -----------------------------------------------------------
for name, response, more in (
        ("length", ok(CL5), {}),
        ("length-0", ok(b"Content-Length: 0", body=b""), {"body": b""}),
        ("chunked", ok(CHUNKED, body=HELLO), {}),
        ("large", ok(b"Content-Length: 300001", body=b"x" * 300001), {"body": b"x" * 300001}),
        ("large-chunk", ok(CHUNKED, body=b"493e1\r\n" + b"x" * 300001 + b"\r\n0\r\n\r\n"), {"body": b"x" * 300001}),
        ("204", ok(line=b"HTTP/1.1 204 No Content", body=b""), {"status": 204, "body": b""}),
        ("304", ok(line=b"HTTP/1.1 304 Not Modified", body=b""), {"status": 304, "body": b""}),
        ("304-length", ok(CL5, line=b"HTTP/1.1 304 Not Modified", body=b""), {"status": 304, "body": b""}),
        ("head", ok(CL5, body=b""), {"method": "HEAD", "body": b""}),
        ("head-chunked", ok(CHUNKED, body=b""), {"method": "HEAD", "body": b""}),
        ("close", ok(CL5, b"Connection: close"), {}),
        ("http10", ok(CL5, line=b"HTTP/1.0 200 OK"), {}),
):
    add("extra-response-" + name, response + EVIL, PASS, **more)
    add("extra-body-" + name, response + b"hello", PASS, **more)
    add("extra-byte-" + name, response + b"\n", PASS, **more)
add("extra-interim", ok(CL5) + b"HTTP/1.1 100 Continue\r\n\r\n", PASS)
add("head-with-body", ok(CL5), PASS, method="HEAD", body=b"")

# ---- framing ------------------------------------------------------------------------------------
for name, fields in (
        ("length-and-chunked", (CL5, CHUNKED)),
        ("chunked-and-length", (CHUNKED, CL5)),
        ("two-lengths", (CL5, b"Content-Length: 6")),
        ("same-length-twice", (CL5, CL5)),
        ("length-list", (b"Content-Length: 5, 5",)),
        ("length-plus", (b"Content-Length: +5",)),
        ("length-minus", (b"Content-Length: -5",)),
        ("length-hex", (b"Content-Length: 0x5",)),
        ("length-empty", (b"Content-Length:",)),
        ("length-huge", (b"Content-Length: 18446744073709551621",)),
        ("length-2-63", (b"Content-Length: 9223372036854775808",)),
        ("length-blank", (b"Content-Length : 5",)),
        ("length-underscore", (b"Content_Length: 5",)),
        ("coding-unknown", (b"Transfer-Encoding: gzip",)),
        ("coding-identity", (b"Transfer-Encoding: identity",)),
        ("coding-list", (b"Transfer-Encoding: gzip, chunked",)),
        ("coding-twice", (CHUNKED, CHUNKED)),
        ("coding-vertical-tab", (b"Transfer-Encoding: \x0bchunked",)),
        ("coding-underscore", (b"Transfer_Encoding: chunked",)),
        ("fold", (b"X: y\r\n z", CL5)),
        ("fold-length", (b"X: y\r\n Content-Length: 5",)),
        ("bare-lf", (b"X: y\nZ: z", CL5)),
        ("bare-cr", (b"X: y\rZ: z", CL5)),
        ("nul", (b"X: \0", CL5)),
        ("control", (b"X: \x1b[2J", CL5)),
        ("no-colon", (b"X", CL5)),
        ("blank-name", (b" X: y", CL5)),
        ("name-blank", (b"X Y: z", CL5)),
        ("too-large", (b"X: " + b"y" * 20000, CL5)),
        ("too-many", tuple(b"X-%d: y" % n for n in range(300)) + (CL5,)),
):
    add("framing-" + name, ok(*fields), BAD)
# The field that splits is one that an origin copied from a request; what is behind it is a whole
# response, and the real one's rest.
add("split", ok(b"X: y", b"Content-Length: 0", b"", EVIL, CL5), PASS, body=b"")
add("http10-chunked", ok(CHUNKED, body=HELLO, line=b"HTTP/1.0 200 OK"), BAD)
add("204-length", ok(CL5, line=b"HTTP/1.1 204 No Content"), BAD)
add("204-chunked", ok(CHUNKED, body=HELLO, line=b"HTTP/1.1 204 No Content"), BAD)
add("interim-length", ok(CL5, line=b"HTTP/1.1 103 Early Hints") + ok(CL5), BAD)

# ---- status lines -------------------------------------------------------------------------------
for name, line in (
        ("switch", b"HTTP/1.1 101 Switching Protocols"),
        ("http2", b"HTTP/2 200"),
        ("http09", b"hello"),
        ("version-1.2", b"HTTP/1.2 200 OK"),
        ("version-lower-case", b"http/1.1 200 OK"),
        ("two-blanks", b"HTTP/1.1  200 OK"),
        ("tab", b"HTTP/1.1\t200 OK"),
        ("status-2", b"HTTP/1.1 20 OK"),
        ("status-4", b"HTTP/1.1 2000 OK"),
        ("status-099", b"HTTP/1.1 099 OK"),
        ("status-600", b"HTTP/1.1 600 OK"),
        ("status-letters", b"HTTP/1.1 2xx OK"),
        ("status-sign", b"HTTP/1.1 +20 OK"),
        ("reason-nul", b"HTTP/1.1 200 \0"),
        ("reason-cr", b"HTTP/1.1 200 O\rK"),
        ("blank-before", b" HTTP/1.1 200 OK"),
        ("line-before", b"\r\nHTTP/1.1 200 OK"),
        ("shoutcast", b"ICY 200 OK"),
        ("ssh", b"SSH-2.0-x"),
        ("request", b"GET / HTTP/1.1"),
):
    add("status-" + name, ok(CL5, line=line), BAD)
add("status-switch-tunnel", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello", BAD)
add("status-switch-behind-interim", b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101 x\r\n\r\nhello", BAD)
add("interim-storm", b"HTTP/1.1 103 x\r\n\r\n" * 1000, BAD)
add("interim-then-garbage", b"HTTP/1.1 103 x\r\n\r\n" + b"hello\r\n\r\n", BAD)
add("nothing", b"", BAD, fin=True)
add("half-a-head", b"HTTP/1.1 200 OK\r\nContent-Le", BAD, fin=True)
add("lf-only", ok(CL5).replace(b"\r\n", b"\n"), BAD)

# ---- chunks and cut bodies ----------------------------------------------------------------------
for name, body in (
        ("extension", b"5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("size-bad", b"5\r\nhello\r\nzz\r\n\r\n"),
        ("size-0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("size-minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("size-blank", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("size-huge", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("size-overflow", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size-lf", b"5\nhello\r\n0\r\n\r\n"),
        ("data-long", b"4\r\nhello\r\n0\r\n\r\n"),
        ("data-short", b"6\r\nhello\r\n0\r\n\r\n"),
        ("data-lf", b"5\r\nhello\n0\r\n\r\n"),
        ("trailer-fold", b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
        ("trailer-lf", b"5\r\nhello\r\n0\r\nX: y\n\r\n"),
        ("trailer-nul", b"5\r\nhello\r\n0\r\nX: \0\r\n\r\n"),
        ("trailer-response", b"5\r\nhello\r\n0\r\n" + EVIL),
        ("end-lf", b"5\r\nhello\r\n0\r\n\n"),
):
    add("chunk-" + name, ok(CHUNKED, body=body), CUT)
add("cut-length", ok(CL5, body=b"hel"), CUT, fin=True)
add("cut-length-0", ok(CL5, body=b""), CUT, fin=True)
add("cut-large", ok(b"Content-Length: 300001", body=b"x" * 200000), CUT, fin=True)
add("cut-chunk", ok(CHUNKED, body=b"5\r\nhel"), CUT, fin=True)
add("cut-between-chunks", ok(CHUNKED, body=b"5\r\nhello\r\n"), CUT, fin=True)
add("cut-last-chunk", ok(CHUNKED, body=b"5\r\nhello\r\n0\r\n"), CUT, fin=True)
add("cut-trailers", ok(CHUNKED, body=b"5\r\nhello\r\n0\r\nX: y\r\n"), CUT, fin=True)
