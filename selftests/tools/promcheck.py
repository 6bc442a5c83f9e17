#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks Prometheus text format 0.0.4 on stdin strictly, and prints its metrics' names.

Every sample needs HELP and TYPE before it, all samples of a metric stand together, no series
comes twice, names and labels are well formed, counters end in _total, histograms rise with le up
to +Inf, which equals _count.
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (?P<value>-?[0-9.eE+]+|NaN|[+-]Inf)$")
UNITS = ("_total", "_seconds", "_bytes", "_info", "_sum", "_count", "_bucket")


def fail(number, why):
    sys.exit(f"line {number}: {why}")


def base_of(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and types.get(name[: -len(suffix)]) == "histogram":
            return name[: -len(suffix)]
    return name


def main():
    types, helps, closed, series, current = {}, {}, set(), {}, None
    data = sys.stdin.buffer.read().decode("utf-8")
    if not data.endswith("\n"):
        fail(0, "the last line is not ended")
    for number, line in enumerate(data.split("\n")[:-1], 1):
        comment = re.match(rf"# (HELP|TYPE) ({NAME}) (.+)$", line)
        if comment:
            kind, name, text = comment.groups()
            table = helps if kind == "HELP" else types
            if name in table:
                fail(number, f"{kind} of {name} comes twice")
            if kind == "TYPE" and text not in ("counter", "gauge", "histogram"):
                fail(number, f"type {text}")
            table[name] = text
            if current and current != name:
                closed.add(current)
            current = name
            continue
        match = SAMPLE.match(line)
        if not match:
            fail(number, f"no sample: {line}")
        name, labels = match.group(1), match.group(2) or ""
        base = base_of(name, types)
        if base != current or base in closed:
            fail(number, f"{name} stands apart from its group")
        if base not in types or base not in helps:
            fail(number, f"{base} has no HELP or TYPE")
        if types[base] == "counter" and not base.endswith("_total"):
            fail(number, f"counter {base} does not end in _total")
        if types[base] == "gauge" and base.endswith("_total"):
            fail(number, f"gauge {base} ends in _total")
        pairs = re.findall(LABEL, labels)
        if len({key for key, _ in pairs}) != len(pairs):
            fail(number, "a label comes twice")
        key = (name, tuple(sorted(pairs)))
        if key in series:
            fail(number, f"series {line} comes twice")
        series[key] = float(match.group("value").replace("Inf", "inf"))
    for (name, pairs), value in series.items():
        base = base_of(name, types)
        if types[base] != "histogram" or not name.endswith("_count"):
            continue
        rows = [
            (float(dict(p)["le"].replace("Inf", "inf")), v)
            for (n, p), v in series.items()
            if n == base + "_bucket" and tuple(x for x in p if x[0] != "le") == pairs
        ]
        rows.sort()
        if not rows or rows[-1] != (float("inf"), value) or [v for _, v in rows] != sorted(v for _, v in rows):
            fail(0, f"histogram {base}{pairs} is none")
    print("\n".join(sorted(types)))


main()
