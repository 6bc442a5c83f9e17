# SPDX-License-Identifier: BSD-2-Clause
"""What is measured: the cases, their metrics, and the marks they are held against."""

KIB, MIB = 1024, 1024 * 1024

SIZES = {"/1K": KIB, "/64K": 64 * KIB, "/1M": MIB, "/16M": 16 * MIB, "/256M": 256 * MIB}

# Unit, and whether more is better.
METRICS = {
    "gibs": ("GiB/s", True),
    "rps": ("req/s", True),
    "p50_us": ("µs", False),
    "p99_us": ("µs", False),
    "relay_cpu_s_per_gib": ("s/GiB", False),
    "machine_cpu_s_per_gib": ("s/GiB", False),
}


class Case:
    """An HTTP case: groups of (path, connections); the first group's latency is reported."""

    def __init__(self, groups, primary, hashed, text, new=False):
        self.groups = groups
        self.primary = primary  # the metrics that say who is ahead
        self.hashed = hashed    # requests of each group in the hash run
        self.text = text
        self.new = new

    def arguments(self, digests=None):
        """For the load generator; with digests, every body is hashed and compared."""
        words = ["--new"] if self.new else []
        for path, connections in self.groups:
            group = f"{path},{SIZES[path]},{connections}"
            words += ["--group", group + (f",{digests[path]}" if digests else "")]
        return words


CASES = {
    "1x256M": Case([("/256M", 1)], ["gibs"], 1, "one connection, 256 MiB bodies"),
    "64x16M": Case([("/16M", 64)], ["gibs"], 64, "64 connections, 16 MiB bodies"),
    "8x1M": Case([("/1M", 8)], ["gibs"], 32, "8 connections, 1 MiB bodies"),
    "8x64K": Case([("/64K", 8)], ["gibs"], 64, "8 connections, 64 KiB bodies"),
    "32x1K-keepalive": Case([("/1K", 32)], ["rps"], 256, "32 connections, 1 KiB bodies"),
    "32x1K-new": Case([("/1K", 32)], ["rps"], 256, "32 at a time, 1 KiB, a connection each",
                      new=True),
    "1000x1K": Case([("/1K", 1000)], ["rps"], 1000, "1,000 connections, 1 KiB bodies"),
    "1x1K": Case([("/1K", 1)], ["rps"], 32, "one connection, 1 KiB bodies"),
    "8x16M": Case([("/16M", 8)], ["gibs"], 8, "8 connections, 16 MiB bodies: the next alone"),
    "mixed": Case([("/1K", 1), ("/16M", 8)], ["gibs", "p50_us"], 16,
                  "1 KiB probe (latency) beside 8 × 16 MiB (GiB/s)"),
}

# Plain TCP through the gateway, with sluice attached to its interface and without: the kind of that
# interface (lab.Tenant), and the direction.
BYSTANDERS = {
    "bystander-up": ("veth", "up"),
    "bystander-down": ("veth", "down"),
    "bystander-bridge-up": ("bridge", "up"),
    "bystander-bridge-down": ("bridge", "down"),
    "bystander-tap-up": ("tap", "up"),
    "bystander-tap-down": ("tap", "down"),
}

# The product as configured by default is what the marks are for.
MARKED = "sluice-inline"
PEERS = ["haproxy-splice", "nginx"]

# Least ratio to the direct path, of each case's first primary metric.
FLOORS = {
    "1x256M": 0.95,
    "64x16M": 0.90,
    "8x1M": 0.92,
    "8x64K": 0.80,
    "32x1K-keepalive": 0.80,
    "32x1K-new": 1.00,
}
# The same to the better of the peers; 1 where nothing is said.
AHEAD = {
    "1x256M": 1.25,
    "64x16M": 1.25,
    "8x1M": 2.0,
    "8x64K": 1.4,
    "32x1K-keepalive": 1.4,
    "32x1K-new": 1.05,
}
# Most of metrics to the direct path's, and in their own unit.
CEILINGS = {
    ("8x1M", "p99_us"): 1.5,
    ("32x1K-keepalive", "p99_us"): 1.5,
    ("32x1K-new", "p99_us"): 1.5,
    ("mixed", "p50_us"): 2.0,
}
LIMITS = {
    ("1x256M", "relay_cpu_s_per_gib"): 0.12,
    ("64x16M", "relay_cpu_s_per_gib"): 0.12,
}
# What the relay may add to the direct path's, in its unit.
ADDED = {("1x1K", "p50_us"): 25}
# Least ratio of a case's rate to another's, the same subject in the same round.
BESIDE = {("mixed", "8x16M"): 0.95}

# Bystanders with sluice to without: the median ratio, and its 95 % interval's low end.
BYSTANDER_MEDIAN, BYSTANDER_LOW, BYSTANDER_ROUNDS = 0.97, 0.93, 15


def figures(case, result):
    """{metric: value} of one run of an HTTP case."""
    groups = result["groups"]
    gibs = sum(group["gibs"] for group in groups)
    gib = gibs * result["seconds"]
    values = {
        "gibs": groups[-1]["gibs"],
        "rps": groups[0]["rps"],
        "p50_us": groups[0]["p50_us"],
        "p99_us": groups[0]["p99_us"],
        "relay_cpu_s_per_gib": result["cpu"]["relay_s"] / gib,
        "machine_cpu_s_per_gib": result["cpu"]["machine_s"] / gib,
    }
    return {metric: value for metric, value in values.items() if value is not None}
