# SPDX-License-Identifier: BSD-2-Clause
"""ranges.py PORT FOLDER [BYTES]: a web server with ranges; after BYTES it only says 503.

What it sent is written to FOLDER/../served, a line of bytes for each request.
"""
import http.server
import os
import re
import sys

port, folder = int(sys.argv[1]), sys.argv[2]
most = int(sys.argv[3]) if len(sys.argv) > 3 else None
sent = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        global sent
        path = os.path.join(folder, os.path.basename(self.path))
        if not os.path.isfile(path):
            return self.send_error(404)
        if most is not None and sent > most:
            return self.send_error(503)
        size = os.path.getsize(path)
        match = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(match[1]), min(int(match[2]), size - 1)) if match else (0, size - 1)
        with open(path, "rb") as file:
            file.seek(first)
            data = file.read(last - first + 1)
        sent += len(data)
        with open(os.path.join(folder, "served"), "a") as log:
            log.write("%d\n" % len(data))
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, size))
        self.send_header("ETag", '"%d"' % os.stat(path).st_mtime_ns)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
