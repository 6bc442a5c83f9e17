#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reads all that a metadata service shows: openstack_crawl.py BASE ROOT…

One line for each path, in the order in which they were found: status, type, length, SHA-256, path.
What is random by intent (random_seed) is taken out of the body first.
"""

import hashlib
import http.client
import json
import sys
import urllib.error
import urllib.request


def get(url):
    """Status, type and body, whatever the status is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=60) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get("Content-Type", ""), answer.read()


def plain(path, body):
    """The body without its random part."""
    if not path.endswith("/meta_data.json"):
        return body
    data = json.loads(body)
    data.pop("random_seed", None)
    return json.dumps(data, sort_keys=True).encode()


def below(path, body):
    """What a listing names. EC2's end in '/', but for keys ("0=name") and versions."""
    names = body.decode().splitlines()
    if path.startswith("/openstack"):
        return [f"{path}/{name}" for name in names] if path.count("/") < 3 else []
    if path.count("/") == 1:
        return [f"{path}/meta-data/", f"{path}/user-data", f"{path}/none"]
    if not path.endswith("/"):
        return []
    if path.endswith("/public-keys/"):
        return [f"{path}{name.split('=')[0]}/" for name in names]
    return [path + name for name in names]


def main():
    """Breadth first, from the roots."""
    base, todo = sys.argv[1], sys.argv[2:]
    while todo:
        path = todo.pop(0)
        try:
            status, kind, body = get(base + path)
        except (OSError, http.client.HTTPException) as error:
            print("failed", error, path)
            continue
        if status == 200:
            todo += below(path, body)
            body = plain(path, body)
        print(status, kind.replace(" ", ""), len(body), hashlib.sha256(body).hexdigest()[:16], path)


main()
