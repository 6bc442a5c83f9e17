# SPDX-License-Identifier: BSD-2-Clause
"""What people read in the terminal: a table per case, bystanders, and the marks."""

import statistics

import cases
from stats import interval


def amount(value):
    """Three significant digits, without an exponent."""
    if value is None:
        return "-"
    if value >= 100000:
        return f"{value / 1000:.0f}k"
    if value >= 10000:
        return f"{value / 1000:.1f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def micros(value):
    if value is None:
        return "-"
    return f"{value / 1000:.1f} ms" if value >= 1000 else f"{value:.0f} µs"


def spread(ratios):
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def case_table(table, name, subjects):
    case = cases.CASES[name]
    metric = case.primary[0]
    unit = cases.METRICS[metric][0]
    lines = [f"{name}: {case.text}",
             f"  {'subject':18} {unit:>7} {'(min-max)':>15} {'x direct (spread)':>19} "
             f"{'p50':>9} {'p99':>9} {'relay':>7} {'machine':>7}  CPU s/GiB"]
    for subject in subjects:
        values = table.get(name, subject, metric)
        if not values:
            lines.append(f"  {subject:18} {'no figure':>7}")
            continue
        relay = table.median(name, subject, "relay_cpu_s_per_gib")
        lines.append(
            f"  {subject:18} {amount(statistics.median(values)):>7} "
            f"{'(' + amount(min(values)) + '-' + amount(max(values)) + ')':>15} "
            f"{spread(table.ratios(name, metric, subject, 'direct')):>19} "
            f"{micros(table.median(name, subject, 'p50_us')):>9} "
            f"{micros(table.median(name, subject, 'p99_us')):>9} "
            f"{amount(relay):>7} "
            f"{amount(table.median(name, subject, 'machine_cpu_s_per_gib')):>7}")
    return "\n".join(lines) + "\n"


def bystander_table(table, names, subject):
    lines = ["bystanders: plain TCP through the gateway, sluice attached / not attached",
             f"  {'case':21} {'without':>7} {'with':>7} GiB/s  {'median ratio':>12}  95 % interval"]
    for name in names:
        ratios = table.ratios(name, "gibs", subject, "direct")
        if not ratios:
            lines.append(f"  {name:21} no figure")
            continue
        sure = interval(ratios)
        text = f"{sure[0]:.3f}-{sure[1]:.3f}" if sure else "too few rounds"
        lines.append(f"  {name:21} {amount(table.median(name, 'direct', 'gibs')):>7} "
                     f"{amount(table.median(name, subject, 'gibs')):>7}        "
                     f"{statistics.median(ratios):>12.3f}  {text} ({len(ratios)} rounds)")
    return "\n".join(lines) + "\n"


def marks(table, names, subjects):
    """[(met, text)] for the cases and subjects that ran."""
    verdicts = []
    if cases.MARKED not in subjects:
        return verdicts
    for name in names:
        if name in cases.BYSTANDERS:
            verdicts.append(bystander_mark(table, name, cases.MARKED))
        else:
            verdicts.extend(rate_marks(table, name, subjects))
            verdicts.extend(other_marks(table, name, names))
    return verdicts


def rate_marks(table, name, subjects):
    """Against the direct path and against each peer."""
    marked, floor, ahead = cases.MARKED, cases.FLOORS.get(name), cases.AHEAD.get(name, 1)
    for index, metric in enumerate(cases.CASES[name].primary):
        unit, more = cases.METRICS[metric]
        if floor and not index:
            ratio = table.ratio(name, metric, marked, "direct")
            yield (ratio is not None and ratio >= floor,
                   f"{name}: {amount(ratio)} x direct, wanted {floor:.2f} or more")
        for peer in cases.PEERS:
            if peer not in subjects:
                continue
            ratio = table.ratio(name, metric, marked, peer)
            wanted = f"{ahead:.2f} or more" if more else "1 or less"
            yield (ratio is not None and (ratio >= ahead if more else ratio <= 1),
                   f"{name}: {amount(ratio)} x {peer}'s {unit}, wanted {wanted}")


def other_marks(table, name, names):
    """Latency, CPU, and what one load leaves of another."""
    marked = cases.MARKED
    for metric, (unit, _) in cases.METRICS.items():
        key = (name, metric)
        if key in cases.CEILINGS:
            ratio, most = table.ratio(name, metric, marked, "direct"), cases.CEILINGS[key]
            yield (ratio is not None and ratio <= most,
                   f"{name}: {metric[:3]} {amount(ratio)} x direct's, wanted {most:.2f} or less")
        if key in cases.LIMITS:
            value, most = table.median(name, marked, metric), cases.LIMITS[key]
            yield (value is not None and value <= most,
                   f"{name}: relay CPU {amount(value)} {unit}, wanted {most:.2f} or less")
        if key in cases.ADDED:
            added, most = table.differences(name, metric, marked, "direct"), cases.ADDED[key]
            middle = statistics.median(added) if added else None
            yield (middle is not None and middle <= most,
                   f"{name}: {metric[:3]} {'-' if middle is None else round(middle)} {unit} over "
                   f"direct's, wanted {most} or less")
    for (case, alone), least in cases.BESIDE.items():
        if case == name and alone in names:
            ratios = table.ratios_of_cases(case, alone, "gibs", marked)
            ratio = statistics.median(ratios) if ratios else None
            yield (ratio is not None and ratio >= least,
                   f"{name}: bulk {amount(ratio)} x bulk alone ({alone}), wanted {least:.2f} or more")


def bystander_mark(table, name, subject):
    ratios = table.ratios(name, "gibs", subject, "direct")
    sure = interval(ratios) if len(ratios) >= cases.BYSTANDER_ROUNDS else None
    if not sure:
        return False, f"{name}: {len(ratios)} rounds, wanted {cases.BYSTANDER_ROUNDS} or more"
    median = statistics.median(ratios)
    return (median >= cases.BYSTANDER_MEDIAN and sure[0] > cases.BYSTANDER_LOW,
            f"{name}: median {median:.3f}, interval from {sure[0]:.3f}; "
            f"wanted {cases.BYSTANDER_MEDIAN} or more, interval above {cases.BYSTANDER_LOW}")


def marks_table(verdicts):
    if not verdicts:
        return ""
    met = sum(1 for ok, _ in verdicts if ok)
    lines = [f"marks: {met} of {len(verdicts)} met"]
    lines += [f"  {'met   ' if ok else 'MISSED'}  {text}" for ok, text in verdicts]
    return "\n".join(lines) + "\n"
