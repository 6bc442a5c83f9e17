#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A mock of sluiced's control socket, for the CLI's own test: canned replies, no daemon.

cli_mock.py SOCKET LOG: every request is appended to LOG. What a tenant's name begins with
chooses the reply: "conflict", "failed", "denied", "usage", "missing", "garbage", "cut",
"silent"; others are attached.
"""
import json
import os
import socket
import sys

U64 = 2**53 + 1


def tenant(name, state="attached", reason=""):
    return {
        "name": name, "id": 7, "netns": "qrouter-1", "netns_cookie": 4097,
        "interface": "qr0", "ifindex": 2, "l3_interface": "br0", "l3_ifindex": 3,
        "state": state, "reason": reason, "bridge": "fd", "fail": "pass",
        "guard": {"mode": "auto", "active": "xdp-native", "raised": 2, "lowered": 1},
        "ports": [80, 8080], "ipv6": True,
        "listeners": [{"family": 4, "port": 80, "worker": 0, "socket_cookie": 55},
                      {"family": 6, "port": 80, "worker": 1, "socket_cookie": 56}],
        "verdicts": {"established": 1000000, "new_connection": 234, "bad_port": 4,
                     "syn_budget": 12345, "malformed": 4, "fragment": 1, "bad_proto": 0,
                     "xdp_dropped": 12000, "bytes": U64, "not_known_here": 3},
        "relay": {"requests": 4242, "bytes_to_client": 3 << 30, "bytes_inline": 3 << 30,
                  "bytes_copied": 12288, "closed_ok": 4000},
    }


def status():
    return {
        "version": "0.0.1-mock", "instance": "mock", "pid": 4711, "uptime_s": 93784,
        "kernel": "6.1.0", "features": {"steer_reuseport": False, "xdp": True},
        "degraded": ["one listener shared by all workers: kernel before 6.6"],
        "management": {"netns": "mgmt", "source": "10.0.0.1"}, "engine": "inline",
        "workers": [{"index": 0, "role": "both", "pid": 4712, "generation": 2, "state": "serving",
                     "connections": 17, "restarts": 0},
                    {"index": 1, "role": "both", "pid": 4713, "generation": 1,
                     "state": "draining", "connections": 2, "restarts": 1}],
        "services": [{"name": "repo", "origins": [
            {"address": "tcp:10.0.0.5:80", "state": "ok", "rests_ms": 0, "connects": 12, "failures": 0},
            {"address": "tcp:10.0.0.6:80", "state": "resting", "rests_ms": 900, "connects": 0, "failures": 9},
            {"address": "unix:/x", "state": "unused", "rests_ms": 0, "connects": 0, "failures": 0}]}],
        "tenants": [tenant("blue"),
                    tenant("red", "conflict", "haproxy holds 169.254.169.254:80\x1b[2J")],
    }


def error(code, message, hint):
    return {"ok": False, "error": {"code": code, "message": message, "hint": hint}}


def answer(request):
    command, arguments = request["command"], request.get("arguments") or {}
    name = str(arguments.get("name", ""))
    if command == "status":
        return {"ok": True, "data": status()}
    if command == "tenant.list":
        return {"ok": True, "data": status()["tenants"]}
    if command in ("reload", "tenant.detach"):
        return {"ok": True, "data": {}}
    for code, message in (("denied", "uid 1000 may only read"), ("usage", "bad name"),
                          ("missing", "no tenant is named so")):
        if name.startswith(code):
            return error("not-found" if code == "missing" else code, message, "do this instead")
    for state in ("conflict", "failed"):
        if name.startswith(state):
            return {"ok": True, "data": tenant(name, state, "because of the mock")}
    return {"ok": True, "data": tenant(name)}


def serve(peer, log):
    line = b""
    while not line.endswith(b"\n"):
        part = peer.recv(65536)
        if not part:
            return
        line += part
    request = json.loads(line)
    log.write(json.dumps(request) + "\n")
    log.flush()
    name = str((request.get("arguments") or {}).get("name", ""))
    if name.startswith("garbage"):
        peer.sendall(b"hello\n")
    elif name.startswith("cut"):
        peer.sendall(b'{"ok": tr')
    else:
        reply = json.dumps(answer(request)).encode() + b"\n"
        # In pieces: the client must not take a part for the whole.
        for i in range(0, len(reply), 1000):
            peer.sendall(reply[i:i + 1000])


def main():
    path, log = sys.argv[1], open(sys.argv[2], "a")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen()
    os.rename(path + ".new", path)
    while True:
        peer, _ = listener.accept()
        with peer:
            serve(peer, log)


main()
