# SPDX-License-Identifier: BSD-2-Clause
"""Raw requests for differential tests: name, bytes and what the relay must do with them.

Built from RFC 9112 (the section is named per group) and from the known classes of request
desynchronisation. A test sends each on a connection of its own, followed by NEXT, and looks
at what a recording origin received. The relay under test has one route "/" that allows
METHODS and requires nothing, and accepts HOST as Host.

expect is one of
    pass    the origin receives exactly one request for it, read as sent; then NEXT
            (unless closes is set: the answer closes the connection, NEXT is not read)
    refuse  no byte of it reaches an origin; the answer has this status; the connection closes,
            or goes on when goes_on is set (the framing was sound, only the request was not)
    cut     the head passes, then the body contradicts it: no origin sees a complete request,
            the connection closes, and nothing of the rest is taken for a request
    wait    the request is not complete: nothing is answered before a timeout; NEXT is not sent
"""
from typing import List, NamedTuple

HOST = b"169.254.169.254"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
NEXT = b"GET /next HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"

PASS, REFUSE, CUT, WAIT = "pass", "refuse", "cut", "wait"


class Case(NamedTuple):
    name: str
    raw: bytes
    expect: str
    status: int = 0  # of a refusal
    target: bytes = b""  # what the origin must see, when not what was sent
    body: bytes = b""  # what the origin must see
    closes: bool = False
    goes_on: bool = False


CASES: List[Case] = []
_names = set()


def add(name: str, raw: bytes, expect: str, **more) -> None:
    if name in _names:
        raise ValueError("two cases are called " + name)
    if expect == REFUSE:
        more.setdefault("status", 400)
    _names.add(name)
    CASES.append(Case(name, raw, expect, **more))


def head(line: bytes, *fields: bytes, host: bytes = b"Host: " + HOST) -> bytes:
    """A head of that request line and these fields behind Host; host=b"" leaves Host out."""
    lines = [line] + ([host] if host else []) + list(fields)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def get(*fields: bytes, target: bytes = b"/x", **more) -> bytes:
    return head(b"GET " + target + b" HTTP/1.1", *fields, **more)


def post(*fields: bytes, body: bytes = b"", target: bytes = b"/x", **more) -> bytes:
    return head(b"POST " + target + b" HTTP/1.1", *fields, **more) + body


CL5 = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"


# ---- plain requests that must pass --------------------------------------------------------------
add("get", get(), PASS)
add("head", head(b"HEAD /x HTTP/1.1"), PASS)
add("delete", head(b"DELETE /x HTTP/1.1"), PASS)
add("options", head(b"OPTIONS /x HTTP/1.1"), PASS)
add("options-asterisk", head(b"OPTIONS * HTTP/1.1"), PASS, target=b"*")
add("put-empty", head(b"PUT /x HTTP/1.1", b"Content-Length: 0"), PASS)
add("put-body", head(b"PUT /x HTTP/1.1", CL5) + b"hello", PASS, body=b"hello")
add("patch-body", head(b"PATCH /x HTTP/1.1", CL5) + b"hello", PASS, body=b"hello")
add("delete-body", head(b"DELETE /x HTTP/1.1", CL5) + b"hello", PASS, body=b"hello")
add("options-body", head(b"OPTIONS /x HTTP/1.1", CL5) + b"hello", PASS, body=b"hello")
add("post-no-body", post(), PASS)
add("post-empty", post(b"Content-Length: 0"), PASS)
add("post-length", post(CL5, body=b"hello"), PASS, body=b"hello")
add("post-chunked", post(CHUNKED, body=HELLO), PASS, body=b"hello")
add("post-chunked-empty", post(CHUNKED, body=b"0\r\n\r\n"), PASS)
add("post-chunked-upper-case", post(b"TRANSFER-ENCODING: CHUNKED", body=HELLO), PASS, body=b"hello")
add("post-body-is-a-request", post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), PASS,
    body=SMUGGLED)
add("post-chunk-is-a-request", post(CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    PASS, body=SMUGGLED)
add("post-body-is-chunk-end", post(CL5, body=b"0\r\n\r\n"), PASS, body=b"0\r\n\r\n")
add("get-length-zero", get(b"Content-Length: 0"), PASS)
add("expect-continue", post(CL5, b"Expect: 100-continue", body=b"hello"), PASS, body=b"hello")
add("expect-continue-case", post(CL5, b"expect: 100-CONTINUE", body=b"hello"), PASS, body=b"hello")
add("close", get(b"Connection: close"), PASS, closes=True)
add("close-in-list", get(b"Connection: x, close"), PASS, closes=True)
add("close-upper-case", get(b"CONNECTION: CLOSE"), PASS, closes=True)
add("close-and-keep-alive", get(b"Connection: keep-alive, close"), PASS, closes=True)
add("keep-alive", get(b"Connection: keep-alive", b"Keep-Alive: timeout=5"), PASS)
add("connection-empty", get(b"Connection:"), PASS)
add("connection-commas", get(b"Connection: , ,"), PASS)
add("http10", head(b"GET /x HTTP/1.0"), PASS, closes=True)
add("http10-no-host", head(b"GET /x HTTP/1.0", host=b""), PASS, closes=True)
add("http10-keep-alive", head(b"GET /x HTTP/1.0", b"Connection: keep-alive"), PASS)
add("http10-post", head(b"POST /x HTTP/1.0", CL5) + b"hello", PASS, body=b"hello", closes=True)
add("http10-expect", head(b"POST /x HTTP/1.0", CL5, b"Expect: y") + b"hello", PASS, body=b"hello",
    closes=True)
add("value-blanks", get(b"X:  \t a \t "), PASS)
add("value-empty", get(b"X:"), PASS)
add("value-no-blank", get(b"X:a"), PASS)
add("value-tab-inside", get(b"X: a\tb"), PASS)
add("value-colon", get(b"X: a: b"), PASS)
add("value-high-bytes", get(b"X: \x80\xc3\xa9\xff"), PASS)
add("value-quoted", get(b'X: "a\\"b"'), PASS)
add("name-all-tchars", get(b"!#$%&'*+-.^_`|~09azAZ: 1"), PASS)
add("name-digit", get(b"1: 1"), PASS)
add("repeated-fields", get(b"X: 1", b"x: 2", b"X: 3"), PASS)
add("content-length-leading-zeros", post(b"Content-Length: 0005", body=b"hello"), PASS, body=b"hello")
add("content-length-blanks", post(b"Content-Length: \t5\t ", body=b"hello"), PASS, body=b"hello")
add("range", get(b"Range: bytes=0-4,-1", b'If-Range: "a"'), PASS)
add("long-range", get(b"Range: bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(255))), PASS)
add("via", get(b"Via: 1.1 a"), PASS)
add("cookie", get(b"Cookie: a=b; c=d"), PASS)
add("header-90", get(*[b"X-%d: y" % n for n in range(90)]), PASS)

# ---- RFC 9112 2.2: lines -----------------------------------------------------------------------
add("empty-line-before", b"\r\n" + get(), PASS)
add("empty-lines-before", b"\r\n\r\n" + get(), REFUSE)
add("bare-lf-empty-line-before", b"\n" + get(), REFUSE)
add("bare-cr-before", b"\r" + get(), REFUSE)
add("blank-before", b" " + get(), REFUSE)
add("blank-line-before", b" \r\n" + get(), REFUSE)
add("nul-before", b"\0" + get(), REFUSE)
add("bom-before", b"\xef\xbb\xbf" + get(), REFUSE)
add("bare-lf-everywhere", get().replace(b"\r\n", b"\n"), REFUSE)
add("bare-lf-request-line", get().replace(b"\r\n", b"\n", 1), REFUSE)
add("bare-lf-field", get(b"X: y\nZ: z"), REFUSE)
add("bare-lf-last-line", get()[:-2] + b"\n", REFUSE)
add("bare-cr-everywhere", get().replace(b"\r\n", b"\r"), REFUSE)
add("bare-cr-request-line", get().replace(b"\r\n", b"\r", 1), REFUSE)
add("bare-cr-field", get(b"X: y\rZ: z"), REFUSE)
add("bare-cr-value-end", get(b"X: y\r"), REFUSE)
add("bare-cr-in-name", get(b"X\rY: z"), REFUSE)
add("cr-cr-lf", get(b"X: y\r\r\nZ: z"), REFUSE)
add("lf-cr", get(b"X: y\n\rZ: z"), REFUSE)
add("lf-lf-hides-request", get(b"X: y\n\n" + SMUGGLED), REFUSE)
add("cr-hides-length", post(b"X: y\rContent-Length: 5", body=b""), REFUSE)
add("tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 64, REFUSE)
add("http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSE, status=505)
add("ssh-banner", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", REFUSE)
add("proxy-protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), REFUSE)
add("proxy-protocol-2", b"\r\n\r\n\0\r\nQUIT\n" + get(), REFUSE)
for byte in list(range(0x00, 0x20)) + [0x7f]:
    if byte in (0x09, 0x0a, 0x0d):
        continue
    char = bytes([byte])
    add("control-%02x-in-value" % byte, get(b"X: a" + char + b"b"), REFUSE)
    add("control-%02x-in-name" % byte, get(b"X" + char + b": a"), REFUSE)
    add("control-%02x-in-target" % byte, get(target=b"/" + char), REFUSE)

# ---- RFC 9112 3: request line ------------------------------------------------------------------
for name, line in (
        ("no-version", b"GET /x"),
        ("method-only", b"GET"),
        ("empty-method", b" /x HTTP/1.1"),
        ("two-blanks-1", b"GET  /x HTTP/1.1"),
        ("two-blanks-2", b"GET /x  HTTP/1.1"),
        ("blank-at-end", b"GET /x HTTP/1.1 "),
        ("tab-1", b"GET\t/x HTTP/1.1"),
        ("tab-2", b"GET /x\tHTTP/1.1"),
        ("vertical-tab", b"GET\x0b/x HTTP/1.1"),
        ("blank-in-target", b"GET /x y HTTP/1.1"),
        ("two-versions", b"GET /x HTTP/1.1 HTTP/1.1"),
        ("version-lower-case", b"GET /x http/1.1"),
        ("version-mixed-case", b"GET /x Http/1.1"),
        ("version-other-name", b"GET /x ICAP/1.0"),
        ("version-1", b"GET /x HTTP/1"),
        ("version-1.", b"GET /x HTTP/1."),
        ("version-1.10", b"GET /x HTTP/1.10"),
        ("version-01.1", b"GET /x HTTP/01.1"),
        ("version-1.01", b"GET /x HTTP/1.01"),
        ("version-comma", b"GET /x HTTP/1,1"),
        ("version-blank", b"GET /x HTTP/ 1.1"),
        ("version-signed", b"GET /x HTTP/+1.1"),
        ("version-hex", b"GET /x HTTP/1.A"),
        ("version-joined", b"GET /xHTTP/1.1"),
        ("method-at", b"G@T /x HTTP/1.1"),
        ("method-colon", b"GET: /x HTTP/1.1"),
        ("method-slash", b"G/T /x HTTP/1.1"),
        ("method-quoted", b'"GET" /x HTTP/1.1'),
        ("method-high-byte", b"G\xcbT /x HTTP/1.1"),
        ("method-brace", b"{GET} /x HTTP/1.1"),
):
    add("line-" + name, head(line), REFUSE)
for version in (b"0.9", b"1.2", b"1.9", b"2.0", b"2.1", b"3.0", b"9.9", b"0.0"):
    add("line-version-" + version.decode(), head(b"GET /x HTTP/" + version), REFUSE, status=505)
for method in (b"TRACE", b"CONNECT"):
    add("method-" + method.decode().lower(), head(method + b" /x HTTP/1.1"), REFUSE, status=501)
add("method-connect-authority", head(b"CONNECT 10.0.0.1:22 HTTP/1.1"), REFUSE, status=501)
add("method-connect-http10", head(b"CONNECT 10.0.0.1:22 HTTP/1.0"), REFUSE, status=501)
add("method-trace-body", head(b"TRACE /x HTTP/1.1", CL5) + b"hello", REFUSE, status=501)
for method in (b"get", b"Get", b"GETT", b"GE", b"PROPFIND", b"TRACK", b"DEBUG", b"PURGE", b"LINK", b"M-SEARCH"):
    add("method-" + method.decode() + "-not-allowed", head(method + b" /x HTTP/1.1"), REFUSE, status=405,
        goes_on=True)

# ---- RFC 9112 3.2: target ----------------------------------------------------------------------
for name, target in (
        ("relative", b"x"),
        ("authority", b"169.254.169.254:80"),
        ("asterisk", b"*"),
        ("https", b"https://169.254.169.254/x"),
        ("ftp", b"ftp://169.254.169.254/x"),
        ("file", b"file:///etc/passwd"),
        ("no-scheme", b"://169.254.169.254/x"),
        ("scheme-only", b"http:"),
        ("scheme-slashes", b"http://"),
        ("one-slash", b"http:/169.254.169.254/x"),
        ("no-authority", b"http:///x"),
        ("other-authority", b"http://10.0.0.1/x"),
        ("other-port", b"http://169.254.169.254:81/x"),
        ("user", b"http://a@169.254.169.254/x"),
        ("user-host", b"http://169.254.169.254@10.0.0.1/x"),
        ("authority-backslash", b"http://169.254.169.254\\@10.0.0.1/x"),
        ("authority-fragment", b"http://169.254.169.254#@10.0.0.1/x"),
        ("query-only", b"?x"),
        ("at-host", b"@10.0.0.1/x"),
        ("backslash-start", b"\\x"),
        ("fragment", b"/x#y"),
        ("query-fragment", b"/x?y#z"),
        ("high-byte", b"/\xc3\xa9"),
        ("query-high-byte", b"/?\xe9"),
        ("backslash", b"/a\\b"),
        ("backslash-up", b"/a/..\\..\\b"),
        ("escape-cut", b"/%"),
        ("escape-cut-2", b"/%4"),
        ("escape-bad", b"/%zz"),
        ("escape-unicode", b"/%u002e%u002e/"),
        ("escape-percent", b"/%%32%65"),
        ("escape-nul", b"/x%00.html"),
        ("escape-crlf", b"/x%0d%0aX:%20y"),
        ("escape-lf", b"/x%0ay"),
        ("escape-tab", b"/x%09y"),
        ("escape-del", b"/x%7f"),
        ("escape-slash", b"/a%2fb"),
        ("escape-slash-upper", b"/a%2Fb"),
        ("escape-slash-up", b"/a/..%2fb"),
        ("escape-backslash", b"/a%5cb"),
        ("escape-backslash-up", b"/a/..%5c..%5cb"),
        ("overlong-dot", b"/%c0%ae%c0%ae/"),
        ("overlong-slash", b"/a%c0%afb"),
        ("overlong-backslash", b"/a%c1%9cb"),
        ("above-root", b"/.."),
        ("above-root-slash", b"/../x"),
        ("above-root-deep", b"/a/../../x"),
        ("above-root-escaped", b"/%2e%2e/x"),
        ("above-root-half-escaped", b"/.%2E/x"),
        ("above-root-empty", b"//../x"),
        ("parameter-up", b"/a/..;/x"),
        ("parameter-up-value", b"/a/..;b=c/x"),
        ("parameter-up-escaped", b"/a/%2e%2e;/x"),
        ("parameter-escaped", b"/a/..%3b/x"),
        ("parameter-dot", b"/a/.;/x"),
):
    add("target-" + name, get(target=target), REFUSE,
        goes_on=target.startswith(b"/") and all(0x20 < c < 0x7f for c in target))
for name, target, seen in (
        ("root", b"/", b"/"),
        ("absolute", b"http://169.254.169.254/x?y", b"/x?y"),
        ("absolute-case", b"HTTP://169.254.169.254/x", b"/x"),
        ("absolute-no-path", b"http://169.254.169.254", b"/"),
        ("absolute-query", b"http://169.254.169.254?y", b"/?y"),
        ("dot", b"/a/./x", b"/a/x"),
        ("dots", b"/a/../x", b"/x"),
        ("dots-escaped", b"/a/%2e%2E/x", b"/x"),
        ("dots-end", b"/a/b/..", b"/a/"),
        ("slashes", b"//a///x", b"/a/x"),
        ("slashes-host", b"//10.0.0.1/x", b"/10.0.0.1/x"),
        ("three-dots", b"/.../x", b"/.../x"),
        ("unreserved", b"/%61%2d%5F%2e", b"/a-_."),
        ("plus", b"/c++", b"/c++"),
        ("plus-escaped", b"/c%2b%2b", b"/c%2B%2B"),
        ("tilde", b"/1~rc", b"/1~rc"),
        ("tilde-escaped", b"/1%7erc", b"/1%7Erc"),
        ("percent-escaped", b"/%25%32%65", b"/%252e"),
        ("double-escape", b"/%252e%252e/x", b"/%252e%252e/x"),
        ("utf8", b"/%c3%a9", b"/%C3%A9"),
        ("raw-braces", b"/{x}|^`\"<>[]", b"/%7Bx%7D%7C%5E%60%22%3C%3E%5B%5D"),
        ("query-dots", b"/x?/../..%2f", b"/x?/../..%2f"),
        ("query-bad-escape", b"/x?%zz%", b"/x?%zz%"),
        ("query-backslash", b"/x?\\{}|^\"", b"/x?\\{}|^\""),
        ("query-url", b"/x?http://10.0.0.1/", b"/x?http://10.0.0.1/"),
        ("query-empty", b"/x?", b"/x?"),
        ("parameter", b"/a;b=c/x", b"/a;b=c/x"),
        ("colon", b"/x:80", b"/x:80"),
        ("long", b"/" + b"x" * 4000, b"/" + b"x" * 4000),
):
    add("target-pass-" + name, get(target=target), PASS, target=seen)
add("target-options-url", head(b"OPTIONS http://169.254.169.254 HTTP/1.1"), PASS, target=b"*")
add("target-options-asterisk-slash", head(b"OPTIONS */x HTTP/1.1"), REFUSE)
add("target-too-long", get(target=b"/" + b"x" * 20000), REFUSE, status=414)

# ---- RFC 9112 3.2, RFC 9110 7.2: Host -----------------------------------------------------------
add("host-missing", get(host=b""), REFUSE)
add("host-missing-absolute", get(target=b"http://169.254.169.254/", host=b""), REFUSE)
add("host-twice", get(b"Host: " + HOST), REFUSE)
add("host-twice-case", get(b"hOST: 10.0.0.1"), REFUSE)
for name, value, sound in (
        ("empty", b"", True),
        ("other", b"10.0.0.1", True),
        ("localhost", b"localhost", True),
        ("loopback", b"127.0.0.1", True),
        ("decimal", b"2852039166", True),
        ("hex", b"0xa9fea9fe", True),
        ("octal", b"0251.0376.0251.0376", True),
        ("short", b"169.254.43518", True),
        ("suffix", b"169.254.169.254.example.org", True),
        ("prefix", b"example.169.254.169.254", True),
        ("mapped", b"[::ffff:169.254.169.254]", True),
        ("other-v6", b"[::1]", True),
        ("v6-open", b"[fe80::a9fe:a9fe", True),
        ("v6-no-brackets", b"fe80::a9fe:a9fe", True),
        ("port-empty", b"169.254.169.254:", True),
        ("port-zero", b"169.254.169.254:0", True),
        ("port-word", b"169.254.169.254:http", True),
        ("port-other", b"169.254.169.254:22", True),
        ("port-large", b"169.254.169.254:65616", True),
        ("port-twice", b"169.254.169.254:80:80", True),
        ("list", b"169.254.169.254, 10.0.0.1", False),
        ("blank", b"169.254.169.254 10.0.0.1", False),
        ("path", b"169.254.169.254/x", False),
        ("user", b"a@169.254.169.254", False),
        ("query", b"169.254.169.254?x", False),
        ("fragment", b"169.254.169.254#x", False),
        ("url", b"http://169.254.169.254", False),
        ("quoted", b'"169.254.169.254"', False),
        ("backslash", b"169.254.169.254\\", False),
        ("high-byte", b"169.254.169.254\xa0", False),
):
    add("host-" + name, get(host=b"Host: " + value), REFUSE, goes_on=sound)
add("host-port", get(host=b"Host: 169.254.169.254:80"), PASS)
add("host-v6", get(host=b"Host: [fe80::a9fe:a9fe]"), PASS)
add("host-v6-zone", get(host=b"Host: [fe80::a9fe:a9fe%25eth0]"), PASS)
add("host-last", b"GET /x HTTP/1.1\r\nX: y\r\nhost:" + HOST + b"\r\n\r\n", PASS)

# ---- RFC 9112 5: fields ------------------------------------------------------------------------
for name, field in (
        ("blank-before-colon", b"X : y"),
        ("tab-before-colon", b"X\t: y"),
        ("no-colon", b"X"),
        ("empty-name", b": y"),
        ("blank-name", b" : y"),
        ("two-words", b"X Y: z"),
        ("parenthesis", b"X(Y): z"),
        ("quoted", b'"X": z'),
        ("slash", b"X/Y: z"),
        ("equals", b"X=Y: z"),
        ("bracket", b"X[0]: z"),
        ("high-byte", b"X\xe9: z"),
        ("at", b"@X: z"),
        ("comma", b"X,Y: z"),
        ("semicolon", b"X;Y: z"),
        ("backslash", b"X\\Y: z"),
        ("request-line", b"GET /smuggled HTTP/1.1"),
        ("fold", b"X: y\r\n z"),
        ("fold-tab", b"X: y\r\n\tz"),
        ("fold-length", b"X: y\r\n Content-Length: 5"),
        ("fold-empty", b"X:\r\n y"),
        ("fold-blank-line", b"X: y\r\n \r\nZ: z"),
        ("blank-length", b"Content-Length : 5"),
        ("blank-chunked", b"Transfer-Encoding : chunked"),
        ("fold-chunked", b"Transfer-Encoding:\r\n chunked"),
        ("underscore-length", b"Content_Length: 5"),
        ("underscore-chunked", b"Transfer_Encoding: chunked"),
        ("dot-chunked", b"Transfer.Encoding: chunked"),
        ("tilde-length", b"content~length: 5"),
):
    add("field-" + name, post(field), REFUSE)
add("field-fold-first", b"GET /x HTTP/1.1\r\n Host: " + HOST + b"\r\n\r\n", REFUSE)
add("field-blank-line-first", b"GET /x HTTP/1.1\r\n \r\nHost: " + HOST + b"\r\n\r\n", REFUSE)
add("field-too-many", get(*[b"X-%d: y" % n for n in range(200)]), REFUSE, status=431)
add("field-too-large", get(b"X: " + b"y" * 20000), REFUSE, status=431)
add("field-large-name", get(b"y" * 20000 + b": X"), REFUSE, status=431)
add("connection-value", get(b"Connection: a=b"), REFUSE)
add("connection-words", get(b"Connection: a b"), REFUSE)
add("connection-quoted", get(b'Connection: "close"'), REFUSE)
add("connection-many", get(b"Connection: " + b",".join(b"x%d" % n for n in range(20))), REFUSE)
add("connection-length", post(CL5, b"Connection: Content-Length", body=b"hello"), PASS, body=b"hello")
add("connection-chunked", post(CHUNKED, b"Connection: Transfer-Encoding", body=HELLO), PASS, body=b"hello")
add("connection-host", get(b"Connection: Host"), PASS)
add("connection-expect", post(CL5, b"Expect: 100-continue", b"Connection: Expect", body=b"hello"), PASS,
    body=b"hello")
add("upgrade-websocket", get(b"Connection: Upgrade", b"Upgrade: websocket"), PASS)
add("upgrade-h2c", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"), PASS)
add("expect-other", post(CL5, b"Expect: 200-ok", body=b"hello"), REFUSE, status=417)
add("expect-empty", post(CL5, b"Expect:", body=b"hello"), REFUSE, status=417)
add("expect-list", post(CL5, b"Expect: 100-continue, x", body=b"hello"), REFUSE, status=417)
for name in (b"X-Forwarded-For", b"x-forwarded-for", b"X_Forwarded_For", b"X-Forwarded-Host", b"Forwarded",
             b"X-Real-IP", b"X-Instance-ID", b"x_instance-ID", b"X-Instance-ID-Signature", b"X-Tenant-ID",
             b"X-Neutron-Network-ID", b"X-Neutron-Router-ID", b"X-OVN-Network-ID", b"X-Metadata-Provider",
             b"X-Metadata-Provider-Signature", b"X-Sluice-Tenant", b"X.Sluice.Signature",
             b"X-HTTP-Method-Override", b"X-Original-URL"):
    add("identity-" + name.decode(), get(name + b": smuggled", name.upper() + b": smuggled"), PASS)
    add("identity-hop-" + name.decode(), get(b"Connection: " + name, name + b": smuggled"), PASS)

# ---- RFC 9112 6.3: length of the body ----------------------------------------------------------
for name, value in (
        ("empty", b""), ("blank", b" "), ("plus", b"+5"), ("minus", b"-5"), ("minus-zero", b"-0"),
        ("hex", b"0x5"), ("octal-letter", b"0o5"), ("fraction", b"5.0"), ("exponent", b"5e0"),
        ("list", b"5, 5"), ("list-differing", b"5, 6"), ("list-empty", b"5,"), ("list-before", b",5"),
        ("words", b"5 5"), ("semicolon", b"5;x"), ("quoted", b'"5"'), ("letters", b"five"),
        ("suffix", b"5x"), ("underscore", b"1_0"), ("high-digit", b"\xb2"), ("utf8-digit", b"\xef\xbc\x95"),
        ("2-62", b"4611686018427387904"), ("2-63", b"9223372036854775808"), ("2-64", b"18446744073709551616"),
        ("2-64-5", b"18446744073709551621"), ("2-32-5-padded", b"00000000004294967301"), ("nines", b"9" * 40),
):
    add("length-" + name, post(b"Content-Length: " + value, body=b"hello"), REFUSE)
add("length-twice", post(CL5, CL5, body=b"hello"), REFUSE)
add("length-differing", post(CL5, b"Content-Length: 6", body=b"hello!"), REFUSE)
add("length-differing-zero", post(b"Content-Length: 0", CL5, body=b"hello"), REFUSE)
add("length-twice-case", post(CL5, b"CONTENT-LENGTH: 6", body=b"hello"), REFUSE)
add("length-and-empty", post(CL5, b"Content-Length:", body=b"hello"), REFUSE)
add("length-over-limit", post(b"Content-Length: 1099511627776"), REFUSE, status=413)
add("length-short", post(CL5, body=b"hel"), WAIT)
add("length-none-sent", post(CL5), WAIT)
add("head-unfinished", get()[:-2], WAIT)
add("head-cr-unfinished", get()[:-1], WAIT)
for method in (b"GET", b"HEAD"):
    word = method.decode().lower()
    add("fat-" + word, head(method + b" /x HTTP/1.1", CL5) + b"hello", REFUSE)
    add("fat-request-" + word, head(method + b" /x HTTP/1.1", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
        REFUSE)
    add("fat-chunked-" + word, head(method + b" /x HTTP/1.1", CHUNKED) + HELLO, REFUSE)
    add("fat-http10-" + word, head(method + b" /x HTTP/1.0", CL5) + b"hello", REFUSE)

CL_TE = post(b"Content-Length: %d" % (5 + len(SMUGGLED)), CHUNKED, body=b"0\r\n\r\n" + SMUGGLED)
TE_CL = post(CHUNKED, b"Content-Length: 4",
             body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED))
add("desync-cl-te", CL_TE, REFUSE)
add("desync-te-cl", TE_CL, REFUSE)
add("desync-cl-zero-te", post(b"Content-Length: 0", CHUNKED, body=HELLO), REFUSE)
for name, field in (
        ("identity", b"Transfer-Encoding: identity"),
        ("chunked-identity", b"Transfer-Encoding: chunked, identity"),
        ("identity-chunked", b"Transfer-Encoding: identity, chunked"),
        ("gzip-chunked", b"Transfer-Encoding: gzip, chunked"),
        ("chunked-gzip", b"Transfer-Encoding: chunked, gzip"),
        ("gzip", b"Transfer-Encoding: gzip"),
        ("chunked-chunked", b"Transfer-Encoding: chunked, chunked"),
        ("twice", CHUNKED + b"\r\n" + CHUNKED),
        ("twice-other", CHUNKED + b"\r\nTransfer-Encoding: x"),
        ("other-twice", b"Transfer-Encoding: x\r\n" + CHUNKED),
        ("xchunked", b"Transfer-Encoding: xchunked"),
        ("chunkedx", b"Transfer-Encoding: chunkedx"),
        ("chunk", b"Transfer-Encoding: chunk"),
        ("quoted", b'Transfer-Encoding: "chunked"'),
        ("single-quoted", b"Transfer-Encoding: 'chunked'"),
        ("parameter", b"Transfer-Encoding: chunked;q=1"),
        ("comma-before", b"Transfer-Encoding: ,chunked"),
        ("comma-behind", b"Transfer-Encoding: chunked,"),
        ("empty", b"Transfer-Encoding:"),
        ("vertical-tab", b"Transfer-Encoding: \x0bchunked"),
        ("form-feed", b"Transfer-Encoding: chunked\x0c"),
        ("nul", b"Transfer-Encoding: chunked\0"),
        ("high-blank", b"Transfer-Encoding: \xa0chunked"),
        ("utf8-k", b"Transfer-Encoding: chun\xe2\x84\xaaed"),
        ("bare-cr", b"Transfer-Encoding: chunked\rX: y"),
        ("bare-lf", b"X: y\nTransfer-Encoding: chunked"),
        ("folded", b"Transfer-Encoding: chunked\r\n , identity"),
        ("blank-before", b" Transfer-Encoding: chunked"),
        ("name-nul", b"Transfer-Encoding\0: chunked"),
        ("name-blank", b"Transfer Encoding: chunked"),
        ("name-high", b"Transfer-Encoding\xa0: chunked"),
):
    add("coding-" + name, post(field, body=HELLO), REFUSE)
    add("coding-length-" + name, post(CL5, field, body=b"hello"), REFUSE)
add("coding-http10", head(b"POST /x HTTP/1.0", CHUNKED) + HELLO, REFUSE)
add("coding-http10-keep-alive", head(b"POST /x HTTP/1.0", CHUNKED, b"Connection: keep-alive") + HELLO, REFUSE)
add("coding-name-alike", post(b"X-Transfer-Encoding: chunked", CL5, body=b"hello"), PASS, body=b"hello")
add("length-name-alike", post(b"X-Content-Length: 9", CL5, body=b"hello"), PASS, body=b"hello")

# ---- RFC 9112 7.1: chunks ----------------------------------------------------------------------
for name, body in (
        ("extension", b"5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("extension-empty", b"5;\r\nhello\r\n0\r\n\r\n"),
        ("extension-last", b"5\r\nhello\r\n0;a\r\n\r\n"),
        ("extension-lf", b"5;\nhello\r\n0\r\n\r\n"),
        ("extension-quoted-crlf", b'5;a="\r\nhello\r\n0\r\n\r\n'),
        ("blank-behind", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("blank-before", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("tab-behind", b"5\t\r\nhello\r\n0\r\n\r\n"),
        ("0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("plus", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("empty", b"\r\nhello\r\n0\r\n\r\n"),
        ("letter", b"g\r\nhello\r\n0\r\n\r\n"),
        ("underscore", b"1_0\r\nhello\r\n0\r\n\r\n"),
        ("comma", b"5,5\r\nhello\r\n0\r\n\r\n"),
        ("nul", b"5\0\r\nhello\r\n0\r\n\r\n"),
        ("bare-lf-size", b"5\nhello\r\n0\r\n\r\n"),
        ("bare-cr-size", b"5\rhello\r\n0\r\n\r\n"),
        ("cr-cr-lf", b"5\r\r\nhello\r\n0\r\n\r\n"),
        ("bare-lf-data", b"5\r\nhello\n0\r\n\r\n"),
        ("no-end-data", b"5\r\nhello0\r\n\r\n"),
        ("too-long", b"4\r\nhello\r\n0\r\n\r\n"),
        ("too-short", b"6\r\nhello\r\n0\r\n\r\n"),
        ("17-digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("2-62", b"4000000000000000\r\nhello\r\n0\r\n\r\n"),
        ("2-63", b"8000000000000000\r\nhello\r\n0\r\n\r\n"),
        ("2-64-1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("2-64", b"10000000000000000\r\nhello\r\n0\r\n\r\n"),
        ("2-64-5", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("smuggled-by-size", b"100000000000000000000\r\n" + SMUGGLED),
        ("trailer-fold", b"0\r\nX: y\r\n z\r\n\r\n"),
        ("trailer-no-colon", b"0\r\nX\r\n\r\n"),
        ("trailer-blank-colon", b"0\r\nX : y\r\n\r\n"),
        ("trailer-bare-lf", b"0\r\nX: y\n\r\n"),
        ("trailer-nul", b"0\r\nX: \0\r\n\r\n"),
        ("trailer-request", b"0\r\n" + SMUGGLED),
        ("end-bare-lf", b"0\r\n\n"),
        ("end-cr", b"0\r\n\rX"),
        ("last-bare-lf", b"0\n\r\n"),
):
    add("chunk-" + name, post(CHUNKED, body=body), CUT)
add("chunk-leading-zeros", post(CHUNKED, body=b"0000000000000005\r\nhello\r\n000\r\n\r\n"), PASS, body=b"hello")
add("chunk-upper-case", post(CHUNKED, body=b"A\r\n0123456789\r\n0\r\n\r\n"), PASS, body=b"0123456789")
add("chunk-single-bytes", post(CHUNKED, body=b"1\r\nh\r\n" * 100 + b"0\r\n\r\n"), PASS, body=b"h" * 100)
add("chunk-trailer", post(CHUNKED, b"Trailer: X-Sum", body=b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), PASS,
    body=b"hello")
add("chunk-trailer-identity", post(CHUNKED, body=b"0\r\nX-Instance-ID: smuggled\r\n\r\n"), PASS)
add("chunk-trailer-framing", post(CHUNKED, body=b"0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\n\r\n"), PASS)
add("chunk-trailer-host", post(CHUNKED, body=b"0\r\nHost: smuggled\r\n\r\n"), PASS)
add("chunk-unfinished", post(CHUNKED, body=b"5\r\nhello\r\n0\r\n"), WAIT)
add("chunk-size-unfinished", post(CHUNKED, body=b"5"), WAIT)
add("chunk-data-unfinished", post(CHUNKED, body=b"5\r\nhel"), WAIT)
add("chunk-none", post(CHUNKED), WAIT)

if __name__ == "__main__":
    from collections import Counter
    print(len(CASES), "cases:", dict(Counter(case.expect for case in CASES)))
