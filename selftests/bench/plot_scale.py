#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""
The figures of selftests/bench/scale as SVG: cost of one, over how many there are; a flat line is
a cost that grows with nothing. "plot_scale.py scale.json FOLDER" draws a saved run again.
"""

import json
import math
import os
import platform
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from plot import GRID, INK, MARGIN, SOFT, Canvas
from report import amount

WIDTH, HEIGHT, GAP, HEAD = 400, 210, 46, 78
LEFT, TOP, BOTTOM = 52, 34, 28
LABEL = 12  # least distance of the names at the lines' ends
COLOURS = {0: "#8d949c", 1: "#0b6e82", 2: "#e07b12", 4: "#8c5fb3"}
OTHERS = ["#2fa4b5", "#5b7fc7", "#c0392b"]

# Panels: title, unit, divisor, metrics, mark or None.
CONNECTIONS = [
    ("Memory of an idle connection beside its sockets", "KiB", 1024, ["beside_bytes"], 4),
    ("Memory of an idle connection in the relay's processes", "KiB", 1024, ["relay_bytes"], None),
    ("Relay CPU of a request, beside so many idle ones", "µs", 1, ["cpu_us"], None),
    ("Half of the requests are answered within", "ms", 1000, ["p50_us"], None),
    ("99 of 100 are answered within", "ms", 1000, ["p99_us"], None),
    ("Relay CPU while all are idle", "% of one CPU", 0.01, ["idle_cpu"], None),
]
TENANTS = [
    ("Memory of an idle tenant", "KiB", 1024, ["bytes"], 32),
    ("Attaching one: time, and the parent's CPU", "ms", 1, ["attach_ms", "attach_cpu_ms"], 2),
    ("sluice status --json, for each tenant", "µs", 1, ["status_us_each"], None),
    ("sluice tenant show", "ms", 1, ["show_ms"], None),
    ("One more gateway, from ip netns add until attached", "ms", 1, ["one_more_ms"], None),
    ("The parent's CPU while all are idle", "% of one CPU", 0.01, ["idle_cpu"], None),
]


def step_of(most):
    """A round distance between three to six grid lines."""
    step = 10 ** math.floor(math.log10(most))
    for part in (1, 0.5, 0.25, 0.2):
        if most / (step * part) >= 3:
            return step * part
    return step * 0.1


class Chart:
    """One panel: sizes to the right, cost upwards, both from 0."""

    def __init__(self, canvas, place, title, unit, most_x, most_y):
        self.canvas = canvas
        self.x = MARGIN + place % 2 * (WIDTH + GAP)
        self.y = HEAD + place // 2 * (HEIGHT + GAP)
        self.left, self.right = self.x + LEFT, self.x + WIDTH
        self.top, self.bottom = self.y + TOP, self.y + HEIGHT - BOTTOM
        self.most_x, self.most_y = most_x, most_y
        self.ends = []
        canvas.text(self.x, self.y + 14, title, size=13, weight=600, beside=unit)

    def at(self, size, value):
        """Where a point lies."""
        return (self.left + size / self.most_x * (self.right - self.left - 40),
                self.bottom - value / self.most_y * (self.bottom - self.top))

    def axes(self, sizes, mark):
        """Grid, numbers, and the mark."""
        step = step_of(self.most_y)
        for index in range(int(self.most_y / step) + 1):
            _, y = self.at(0, index * step)
            self.canvas.line(self.left, y, self.right, y, GRID)
            self.canvas.text(self.left - 6, y + 4, f"{index * step:g}", size=10, colour=SOFT,
                             anchor="end")
        for size in sizes:
            x, _ = self.at(size, 0)
            self.canvas.line(x, self.bottom, x, self.bottom + 4, SOFT)
            self.canvas.text(x, self.bottom + 17, f"{size:,}".replace(",", "\u2009"), size=10,
                             colour=SOFT, anchor="middle")
        if mark:
            _, y = self.at(0, mark)
            self.canvas.line(self.left, y, self.right, y, "#c0392b", 1.2, "4 3")
            self.canvas.text(self.right, y - 4, f"mark {mark}", size=10, colour="#c0392b",
                             anchor="end")

    def series(self, points, colour, label, dash=""):
        """[(size, median, least, most)] as a line with whiskers; its name at its end."""
        places = [self.at(size, value) for size, value, _, _ in points]
        for (x1, y1), (x2, y2) in zip(places, places[1:]):
            self.canvas.line(x1, y1, x2, y2, colour, 2, dash)
        for (x, y), (size, _, least, most) in zip(places, points):
            # One far outlier must not press the others flat.
            self.canvas.line(x, self.at(size, least)[1],
                             x, self.at(size, min(most, self.most_y))[1], INK, 1)
            self.canvas.dot(x, y, 3.4, colour)
        self.ends.append((places[-1], " ".join(filter(None, (label, amount(points[-1][1])))),
                          colour))

    def names(self):
        """At the lines' ends, from below, none over another."""
        free = self.bottom + LABEL
        for (x, y), text, colour in sorted(self.ends, key=lambda end: -end[0][1]):
            free = min(y, free - LABEL)
            self.canvas.text(x + 8, free + 4, text, size=10, colour=colour)


def series_of(rows, metric, divisor):
    """{workers: [(size, median, least, most)]}"""
    found = {}
    for row in rows:
        if row["metric"] == metric:
            found.setdefault(row["workers"], []).append(
                (row["size"], *(max(row[key], 0) / divisor for key in ("median", "min", "max"))))
    return {workers: sorted(points) for workers, points in sorted(found.items())}


def draw(rows, panels, title, note):
    """All panels that have something to show; None when none has."""
    chosen = [panel for panel in panels if any(row["metric"] in panel[3] for row in rows)]
    if not chosen:
        return None
    lines = (len(chosen) + 1) // 2
    canvas = Canvas(2 * MARGIN + 2 * WIDTH + GAP, HEAD + lines * (HEIGHT + GAP), title, note)
    sizes = sorted({row["size"] for row in rows})
    for place, (text, unit, divisor, metrics, mark) in enumerate(chosen):
        found = [(metric, workers, points) for metric in metrics
                 for workers, points in series_of(rows, metric, divisor).items()]
        most = max([point[1] for _, _, points in found for point in points] + [mark or 0])
        most = max(most * 1.3, 1 if metrics == ["idle_cpu"] else 0) or 1
        chart = Chart(canvas, place, text, unit, sizes[-1], most)
        chart.axes(sizes, mark)
        several = len({workers for _, workers, _ in found}) > 1
        for index, (metric, workers, points) in enumerate(found):
            colour = COLOURS.get(workers) or OTHERS[index % len(OTHERS)]
            chart.series(points, colour, f"{workers}w" if several else "",
                         "" if metric == metrics[0] else "5 3")
        chart.names()
    return canvas


def draw_all(rows, note, folder):
    """Writes each figure; their paths."""
    figures = {
        "connections": (CONNECTIONS, "Connections: what one costs, over how many there are",
                        f"1w, 2w, 4w: workers; whiskers: least and most of the rounds, cut · {note}"),
        "tenants": (TENANTS, "Tenants: what one costs, over how many there are",
                    f"one port, IPv4 and IPv6, one worker; dashed: the second named · {note}"),
    }
    written = []
    for part, (panels, title, subtitle) in figures.items():
        canvas = draw([row for row in rows if row["part"] == part], panels, title, subtitle)
        if canvas:
            path = os.path.join(folder, f"scale-{part}.svg")
            canvas.save(path)
            written.append(path)
    return written


def main():
    """Draws a saved run again."""
    if len(sys.argv) != 3:
        sys.exit("usage: plot_scale.py scale.json FOLDER")
    with open(sys.argv[1], encoding="ascii") as file:
        rows = json.load(file)
    note = f"{os.cpu_count()} CPUs, Linux {platform.release().split('-', maxsplit=1)[0]}"
    for path in draw_all(rows, note, sys.argv[2]):
        print(path)


if __name__ == "__main__":
    main()
