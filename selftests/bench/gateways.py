# SPDX-License-Identifier: BSD-2-Clause
"""
Many tenant gateways, a sluiced beside them, and what both cost: shared by tenants, scale and
moments. A gateway is a namespace with one interface that is up; none has a VM.
"""

import json
import os
import re
import signal
import subprocess
import time

BUILD = os.path.abspath(os.environ.get("BUILD") or "build")
# What a tenant's sockets, filters, routes and map entries are made of. Page cache is not.
KERNEL = ("Slab", "Percpu", "KernelStack", "PageTables")


class Failure(Exception):
    """Something did not happen; the text says what."""


def batch(lines, *options):
    """Runs ip(8) once for many commands."""
    subprocess.run(["ip", *options, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def make_gateways(prefix, first, end):
    """Namespaces PREFIX-N, each with an interface that is up and has the same address."""
    names = [f"{prefix}-{i}" for i in range(first, end)]
    batch([f"netns add {name}" for name in names])
    batch([f"link add qr0 netns {name} type veth peer name vm0 netns {name}" for name in names])
    for name in names:
        batch(["link set lo up", "link set qr0 up", "link set vm0 up", "addr add 192.168.0.1/24 dev qr0"],
              "-n", name)
    return names


def remove_gateways(prefix):
    """All that make_gateways() made, whatever was left of them."""
    left = [name for name in os.listdir("/run/netns") if name.startswith(f"{prefix}-")]
    if left:
        batch([f"netns del {name}" for name in left])


def proc_inodes():
    """Bytes of the cache that whoever reads /proc fills: this bench, not what it measures."""
    with open("/proc/slabinfo", encoding="ascii") as file:
        found = re.search(r"^proc_inode_cache +\d+ +\d+ +\d+ +\d+ +(\d+) : tunables .* : slabdata +\d+ +(\d+)",
                          file.read(), re.M)
    return int(found[1]) * int(found[2]) * os.sysconf("SC_PAGESIZE") if found else 0


def kernel_memory():
    """Bytes the kernel keeps, once what waits to be freed is freed."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("2")
    time.sleep(1)
    with open("/proc/meminfo", encoding="ascii") as file:
        values = dict(re.findall(r"^(\w+): +(\d+)", file.read(), re.M))
    return sum(int(values[key]) for key in KERNEL) * 1024 - proc_inodes()


def process_memory(pids):
    """Bytes of the processes, pages they share divided among them."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(r"^Pss: +(\d+)", file.read(), re.M)[1]) * 1024
    return total


def children(pid):
    """The process and its children."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [pid, *map(int, file.read().split())]


def processor_seconds(pids):
    """What processes have used of the processors."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_until(seconds, what, condition, pause=0.02):
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"waited in vain: {what}")
        time.sleep(pause)


class Sluiced:
    """A daemon with a configuration that changes."""

    def __init__(self, directory, instance):
        self.conf, self.log = f"{directory}/sluiced.yaml", f"{directory}/sluiced.log"
        self.instance = instance
        self.process = None

    def write(self, text):
        """The configuration."""
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(text)

    def start(self):
        """Starts it; returns at once."""
        with open(self.log, "w", encoding="ascii") as log:
            self.process = subprocess.Popen([f"{BUILD}/sluiced", "--config", self.conf, "--instance",
                                             self.instance], stderr=log, stdout=log)

    def control(self, *words):
        """A command of the CLI; its output."""
        return subprocess.run([f"{BUILD}/sluice", "--instance", self.instance, *words], check=True,
                              text=True, capture_output=True).stdout

    def attached(self):
        """How many lines of the log say so."""
        with open(self.log, encoding="utf-8") as file:
            return file.read().count(": attached to ")

    def serves(self):
        """Whether its workers do."""
        try:
            workers = json.loads(self.control("status", "--json"))["workers"]
        except (subprocess.CalledProcessError, ValueError):
            if self.process.poll() is not None:
                raise Failure(f"sluiced ended with {self.process.returncode}: {self.tail()}") from None
            return False
        return bool(workers) and all(worker["state"] == "serving" for worker in workers)

    def tail(self):
        """The last it said."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return " / ".join(file.read().strip().splitlines()[-3:]) or "it said nothing"

    def pids(self):
        """Its own and its workers'."""
        return children(self.process.pid)

    def memory(self):
        """Kernel and processes."""
        return kernel_memory() + process_memory(self.pids())

    def stop(self):
        """Ends it in order."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)
        self.process = None
