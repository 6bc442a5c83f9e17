#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stands for a relay: signer.py PORT SOCKET SECRET_FILE TENANT [INSTANCE]

Carries each request to the repository's tenant socket with the identity headers that sluice
signs (user/relay/identity.h), after removing whatever the client sent under those names. It
can play tricks: a path /!slow/… trickles the body, /!cut/N/… ends it after N bytes, /!flip/…
changes one byte in its middle. What is posted is printed.
"""
import hashlib
import hmac
import http.client
import http.server
import socket
import sys
import time

PORT, SOCKET, SECRET_FILE, TENANT = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
INSTANCE = sys.argv[5] if len(sys.argv) > 5 else ""
SECRET = open(SECRET_FILE, "rb").read().rstrip(b"\r\n")
CLIENT = "10.0.0.7"


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(90)
        self.sock.connect(SOCKET)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 90

    def log_message(self, *_):
        pass

    def trick(self):
        parts = self.path.split("/")
        if len(parts) > 1 and parts[1] == "!slow":
            return "/" + "/".join(parts[2:]), "slow", 0
        if len(parts) > 1 and parts[1] == "!flip":
            return "/" + "/".join(parts[2:]), "flip", 0
        if len(parts) > 2 and parts[1] == "!cut":
            return "/" + "/".join(parts[3:]), "cut", int(parts[2])
        return self.path, None, 0

    def carry(self):
        target, trick, number = self.trick()
        now = str(int(time.time()))
        text = "\n".join(["v1", TENANT, INSTANCE, CLIENT, self.command, target, now]) + "\n"
        signature = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
        headers = {k: v for k, v in self.headers.items()
                   if not k.lower().startswith("x-sluice-") and k.lower() != "connection"}
        headers.update({"X-Sluice-Tenant": TENANT, "X-Sluice-Client": CLIENT,
                        "X-Sluice-Time": now, "X-Sluice-Signature": "v1=" + signature})
        if INSTANCE:
            headers["X-Sluice-Instance"] = INSTANCE
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else None
        if body and self.command == "POST":
            print("posted", body.decode(errors="replace"), flush=True)
        origin = UnixConnection("repo")
        try:
            origin.request(self.command, target, body, headers)
            reply = origin.getresponse()
            self.send_response_only(reply.status, reply.reason)
            for name, value in reply.getheaders():
                if name.lower() not in ("connection", "keep-alive"):
                    self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD" and reply.status not in (204, 304):
                self.body(reply, trick, number)
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            origin.close()

    def body(self, reply, trick, number):
        total = int(reply.getheader("Content-Length") or 0)
        sent = 0
        while chunk := reply.read(16384 if trick else 262144):
            if trick == "flip" and sent <= total // 2 < sent + len(chunk):
                at = total // 2 - sent
                chunk = chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1:]
            if trick == "cut" and sent + len(chunk) > number:
                self.wfile.write(chunk[:number - sent])
                self.wfile.flush()
                self.close_connection = True
                return
            if trick == "slow" and self.path.endswith((".deb", ".rpm")) and sent + len(chunk) > total // 2:
                self.wfile.write(chunk[:total // 2 - sent])
                self.wfile.flush()
                time.sleep(6000)
            self.wfile.write(chunk)
            sent += len(chunk)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = carry


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", PORT), Handler).serve_forever()
