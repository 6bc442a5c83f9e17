# SPDX-License-Identifier: BSD-2-Clause
"""Figures of many rounds: medians, ratios within a round, and how sure they are."""

import math
import statistics


class Table:
    """values[case, subject, metric][round]; a round that failed has no entry."""

    def __init__(self):
        self.values = {}

    def add(self, case, subject, metric, number, value):
        self.values.setdefault((case, subject, metric), {})[number] = value

    def get(self, case, subject, metric):
        """All rounds' values, or an empty list."""
        return list(self.values.get((case, subject, metric), {}).values())

    def median(self, case, subject, metric):
        values = self.get(case, subject, metric)
        return statistics.median(values) if values else None

    def ratios(self, case, metric, subject, base):
        """subject / base, round by round: what both met in that round cancels out."""
        over = self.values.get((case, subject, metric), {})
        under = self.values.get((case, base, metric), {})
        return [over[number] / under[number] for number in sorted(over)
                if under.get(number)]

    def differences(self, case, metric, subject, base):
        """subject - base, round by round."""
        over = self.values.get((case, subject, metric), {})
        under = self.values.get((case, base, metric), {})
        return [over[number] - under[number] for number in sorted(over) if number in under]

    def ratios_of_cases(self, case, other, metric, subject):
        """A subject's case / its other case, round by round."""
        over = self.values.get((case, subject, metric), {})
        under = self.values.get((other, subject, metric), {})
        return [over[number] / under[number] for number in sorted(over) if under.get(number)]

    def ratio(self, case, metric, subject, base):
        ratios = self.ratios(case, metric, subject, base)
        return statistics.median(ratios) if ratios else None

    def drop(self, case, subject):
        """A subject that failed in a case has no figures there at all."""
        for key in [key for key in self.values if key[:2] == (case, subject)]:
            del self.values[key]

    def rows(self):
        """The machine-readable result, one row per case, subject and metric."""
        rows = []
        for (case, subject, metric), rounds in self.values.items():
            values = list(rounds.values())
            rows.append({
                "case": case, "subject": subject, "metric": metric,
                "median": statistics.median(values), "min": min(values), "max": max(values),
                "ratio_direct": self.ratio(case, metric, subject, "direct"),
            })
        return rows


def interval(values, confidence=0.95):
    """
    An interval that holds the median with at least that confidence, from order statistics:
    no assumption about how the values are spread. None for too few values.
    """
    values = sorted(values)
    count = len(values)
    for rank in range((count - 1) // 2, -1, -1):
        # The chance that the median lies below the rank-th value or above its mirror image.
        outside = 2 * sum(math.comb(count, below) for below in range(rank + 1)) / 2 ** count
        if 1 - outside >= confidence:
            return values[rank], values[count - 1 - rank]
    return None
