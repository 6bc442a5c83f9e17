#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""
The bench's figures as SVG, written by hand: plain shapes, no dependencies. Called by
selftests/bench/run; "plot.py rounds.json FOLDER" draws a saved run again.
"""

import json
import math
import os
import statistics
import sys
from xml.sax.saxutils import escape

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import cases
from report import amount, micros
from stats import Table, interval

COLOURS = {
    "direct": "#8d949c",
    "sluice-inline": "#0b6e82",
    "sluice-uring": "#2fa4b5",
    "sluice-copy": "#8fcdd6",
    "sluice-stream": "#5b7fc7",
    "haproxy-splice": "#e07b12",
    "nginx": "#8c5fb3",
    "haproxy-openstack": "#f0b878",
    "haproxy-tcp": "#c9a227",
    "sluice-other": "#3f8f5f",
}
INK, SOFT, GRID, PAPER = "#1d2329", "#66707a", "#e3e7eb", "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

MARGIN, PANEL, GAP, LABEL, ROW = 28, 430, 36, 118, 19
HEAD, TITLE, FOOT = 78, 44, 26


class Canvas:
    """Shapes collected in drawing order."""

    def __init__(self, width, height, title, subtitle):
        self.width, self.height = width, height
        self.shapes = []
        self.box(0, 0, width, height, PAPER)
        self.text(MARGIN, 34, title, size=19, weight=600)
        self.text(MARGIN, 55, subtitle, size=12, colour=SOFT)

    def box(self, x, y, width, height, colour, radius=0, opacity=1):
        self.shapes.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
                           f'height="{height:.1f}" rx="{radius}" fill="{colour}" '
                           f'fill-opacity="{opacity}"/>')

    def line(self, x1, y1, x2, y2, colour, width=1.0, dash=""):
        self.shapes.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                           f'stroke="{colour}" stroke-width="{width}"'
                           + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def dot(self, x, y, radius, fill, edge="none", opacity=1):
        self.shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" '
                           f'stroke="{edge}" stroke-width="1.6" fill-opacity="{opacity}"/>')

    def text(self, x, y, text, size=11, colour=INK, anchor="start", weight=400, beside=""):
        if beside:
            beside = (f'<tspan dx="8" font-size="11" font-weight="400" fill="{SOFT}">'
                      f'{escape(beside)}</tspan>')
        self.shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
                           f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}{beside}'
                           '</text>')

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} '
                       f'{self.height}" width="{self.width}" height="{self.height}" '
                       f'font-family="{FONT}">\n' + "\n".join(self.shapes) + "\n</svg>\n")


class Panel:
    """One case's part of a figure: a title, a row per subject, an axis below."""

    def __init__(self, canvas, place, rows, title, text, wide=0):
        column, line = place % 2, place // 2
        self.canvas = canvas
        self.x = MARGIN + column * (PANEL + GAP)
        self.y = HEAD + line * (TITLE + rows * ROW + FOOT)
        self.rows = rows
        self.left = self.x + LABEL
        self.right = self.x + PANEL - wide
        canvas.text(self.x, self.y + 18, title, size=13, weight=600, beside=text)

    def row_y(self, index):
        return self.y + TITLE - 10 + index * ROW + ROW / 2

    def label(self, index, subject):
        mine = subject == cases.MARKED
        self.canvas.text(self.left - 8, self.row_y(index) + 4, subject, anchor="end",
                         colour=INK if mine else SOFT, weight=600 if mine else 400)

    def tick(self, x, text, strong=False):
        top, bottom = self.y + TITLE - 12, self.y + TITLE - 8 + self.rows * ROW
        self.canvas.line(x, top, x, bottom, SOFT if strong else GRID, 1.2 if strong else 1,
                         "3 3" if strong else "")
        self.canvas.text(x, bottom + 12, text, size=10, colour=SOFT, anchor="middle")


def sheet(count, rows, title, subtitle):
    lines = (count + 1) // 2
    width = 2 * MARGIN + PANEL + (PANEL + GAP if count > 1 else 0)
    return Canvas(width, HEAD + lines * (TITLE + rows * ROW + FOOT) + 8, title, subtitle)


def names(table):
    """Cases and subjects that have figures, in the order of the definitions."""
    seen_cases = {case for case, _, _ in table.values}
    seen = {subject for case, subject, _ in table.values if case in cases.CASES}
    return ([name for name in cases.CASES if name in seen_cases],
            [name for name in COLOURS if name in seen])


def draw_throughput(table, note):
    """Bars: ratio to the direct path, with the rounds' spread and the absolute median."""
    chosen, subjects = names(table)
    if not chosen:
        return None
    canvas = sheet(len(chosen), len(subjects), "Throughput, relative to the direct path",
                   f"bars: median; whiskers: least and most of the rounds · {note}")
    for place, name in enumerate(chosen):
        metric = cases.CASES[name].primary[0]
        unit = cases.METRICS[metric][0]
        panel = Panel(canvas, place, len(subjects), name, cases.CASES[name].text, wide=112)
        all_ratios = {of: table.ratios(name, metric, of, "direct") for of in subjects}
        most = max([1.1] + [max(ratios) for ratios in all_ratios.values() if ratios])
        scale = (panel.right - panel.left) / most
        step = 0.25 if most < 1.6 else 0.5 if most < 3 else 1
        for at in range(int(most / step) + 1):
            panel.tick(panel.left + at * step * scale, f"{at * step:g}", at * step == 1)
        for index, subject in enumerate(subjects):
            panel.label(index, subject)
            ratios, y = all_ratios[subject], panel.row_y(index)
            if not ratios:
                canvas.text(panel.left + 4, y + 4, "no figure", colour=SOFT)
                continue
            median = statistics.median(ratios)
            canvas.box(panel.left, y - 6, median * scale, 12, COLOURS[subject], 2)
            if min(ratios) != max(ratios):
                canvas.line(panel.left + min(ratios) * scale, y, panel.left + max(ratios) * scale,
                            y, INK, 1.2)
            canvas.text(panel.right + 112, y + 4, anchor="end", colour=SOFT,
                        text=f"{median:.2f} × · {amount(table.median(name, subject, metric))} "
                             f"{unit}")
    return canvas


def draw_latency(table, note):
    """A line from the median to the 99th percentile, on a logarithmic axis."""
    chosen, subjects = names(table)
    if not chosen:
        return None
    canvas = sheet(len(chosen), len(subjects), "Latency of a request, p50 to p99",
                   f"full dot: p50; ring: p99; medians of the rounds; logarithmic · {note}")
    for place, name in enumerate(chosen):
        pairs = {of: (table.median(name, of, "p50_us"), table.median(name, of, "p99_us"))
                 for of in subjects}
        values = [value for pair in pairs.values() for value in pair if value]
        if not values:
            continue
        panel = Panel(canvas, place, len(subjects), name, cases.CASES[name].text, wide=124)
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        scale = (panel.right - panel.left) / max(high - low, 1)
        for decade in range(low, high + 1):
            panel.tick(panel.left + (decade - low) * scale, decade_text(decade))
        for index, subject in enumerate(subjects):
            panel.label(index, subject)
            (middle, tail), y = pairs[subject], panel.row_y(index)
            if not middle or not tail:
                continue
            first, last = (panel.left + (math.log10(value) - low) * scale
                           for value in (middle, tail))
            canvas.line(first, y, last, y, COLOURS[subject], 3)
            canvas.dot(last, y, 3.6, PAPER, COLOURS[subject])
            canvas.dot(first, y, 4.4, COLOURS[subject])
            canvas.text(panel.right + 124, y + 4, f"{micros(middle)} · {micros(tail)}",
                        anchor="end", colour=SOFT)
    return canvas


def decade_text(decade):
    return f"{10 ** decade:g} µs" if decade < 3 else \
        f"{10 ** (decade - 3):g} ms" if decade < 6 else f"{10 ** (decade - 6):g} s"


def draw_cpu(table, note):
    """Relay CPU per GiB in full colour, in front of what the whole machine spent."""
    chosen, subjects = names(table)
    chosen = [name for name in chosen if cases.CASES[name].primary[0] == "gibs"]
    if not chosen:
        return None
    canvas = sheet(len(chosen), len(subjects), "CPU seconds per GiB of body",
                   "full colour: the relay; pale: the whole machine, both ends "
                   f"included; »: cut · {note}")
    for place, name in enumerate(chosen):
        panel = Panel(canvas, place, len(subjects), name, cases.CASES[name].text, wide=96)
        machine = {of: table.median(name, of, "machine_cpu_s_per_gib") or 0 for of in subjects}
        # One far outlier must not press the others flat: its bar is cut, its number is not.
        ordered = sorted(machine.values())
        most = min(ordered[-1], 1.5 * ordered[-2] if len(ordered) > 1 else ordered[-1]) * 1.02 or 1
        scale = (panel.right - panel.left) / most
        step = 10 ** math.floor(math.log10(most))
        step = step if most / step >= 3 else step / 2 if most / step >= 1.5 else step / 4
        for at in range(int(most / step) + 1):
            panel.tick(panel.left + at * step * scale, f"{at * step:g}")
        for index, subject in enumerate(subjects):
            panel.label(index, subject)
            relay, y = table.median(name, subject, "relay_cpu_s_per_gib"), panel.row_y(index)
            for value, opacity in ((machine[subject], 0.3), (relay or 0, 1)):
                canvas.box(panel.left, y - 6, min(value, most) * scale, 12, COLOURS[subject], 2,
                           opacity)
            if machine[subject] > most:
                canvas.text(panel.right + 3, y + 4, "»", size=13, colour=SOFT)
            canvas.text(panel.right + 96, y + 4, f"{amount(relay)} of {amount(machine[subject])}",
                        anchor="end", colour=SOFT)
    return canvas


def draw_bystanders(table, note):
    """Every paired round as a dot, the median, its interval, and the mark."""
    ratios = {}
    for (name, subject, metric) in table.values:
        if name in cases.BYSTANDERS and metric == "gibs" and subject != "direct":
            ratios[name] = table.ratios(name, metric, subject, "direct")
    ratios = {name: values for name, values in ratios.items() if values}
    if not ratios:
        return None
    width, left, right, row = 760, MARGIN + 170, 730, 74
    canvas = Canvas(width, HEAD + row * len(ratios) + 44,
                    "Bystanders: the gateway's other traffic, with sluice to without",
                    f"dots: paired rounds; bar: median and its 95 % interval · {note}")
    values = [value for some in ratios.values() for value in some]
    low, high = min([0.85] + values) - 0.02, max([1.15] + values) + 0.02
    bottom = HEAD + row * len(ratios)

    def place(value):
        return left + (value - low) / (high - low) * (right - left)

    step = 0.05 if high - low < 0.6 else 0.25
    for at in range(math.ceil(low / step), int(high / step) + 1):
        strong = abs(at * step - 1) < 1e-9
        canvas.line(place(at * step), HEAD, place(at * step), bottom, SOFT if strong else GRID)
        canvas.text(place(at * step), bottom + 16, f"{at * step:.2f}", size=10, colour=SOFT,
                    anchor="middle")
    mark = place(cases.BYSTANDER_MEDIAN)
    canvas.line(mark, HEAD, mark, bottom, "#c0392b", 1.2, "4 3")
    canvas.text(mark - 4, bottom + 32, f"mark {cases.BYSTANDER_MEDIAN}", size=10,
                colour="#c0392b", anchor="middle")
    for index, (name, some) in enumerate(ratios.items()):
        y = HEAD + index * row + row / 2
        canvas.text(MARGIN, y, name, size=13, weight=600)
        canvas.text(MARGIN, y + 16, f"{len(some)} pairs", colour=SOFT)
        sure = interval(some)
        if sure:
            canvas.box(place(sure[0]), y - 12, place(sure[1]) - place(sure[0]), 24, "#0b6e82", 4,
                       0.18)
        median = place(statistics.median(some))
        canvas.line(median, y - 16, median, y + 16, "#0b6e82", 3)
        for number, value in enumerate(some):
            canvas.dot(place(value), y + (number % 5 - 2) * 5, 3.2, "#0b6e82", opacity=0.55)
        canvas.text(median, y - 20, f"{statistics.median(some):.3f}", anchor="middle", weight=600)
    return canvas


FIGURES = {
    "throughput.svg": draw_throughput,
    "latency.svg": draw_latency,
    "cpu.svg": draw_cpu,
    "bystanders.svg": draw_bystanders,
}


def draw_all(table, environment, folder):
    """Writes each figure that has something to show; their paths."""
    note = f"{environment['rounds']} rounds, {environment['cpus']} CPUs, Linux " \
           f"{environment['kernel']}, {environment['date']}"
    written = []
    for name, draw in FIGURES.items():
        canvas = draw(table, note)
        path = os.path.join(folder, name)
        if canvas:
            canvas.save(path)
            written.append(path)
        elif os.path.exists(path):
            os.unlink(path)
    return written


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: plot.py rounds.json FOLDER")
    with open(sys.argv[1], encoding="utf-8") as file:
        saved = json.load(file)
    table = Table()
    for entry in saved["values"]:
        for number, value in entry["rounds"].items():
            table.add(entry["case"], entry["subject"], entry["metric"], int(number), value)
    print("\n".join(draw_all(table, saved["environment"], sys.argv[2])))


if __name__ == "__main__":
    main()
