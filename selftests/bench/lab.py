# SPDX-License-Identifier: BSD-2-Clause
"""The bench's lab: namespaces, wires, the origin, processes, and their end.

    VM namespace --veth-- tenant gateway --veth-- origin     direct, peers, bystanders
                                management --veth-- origin   sluice's own leg

Every subject has a tenant of its own (VM and gateway), so that all stay up for the whole
bench and none can touch another's path. Whatever the subject, a byte crosses exactly two
veth pairs: "direct" is routed from one to the other by the tenant gateway, peers run in the
tenant gateway and reach the origin over its leg, sluice takes over in the tenant gateway and
leaves from the management namespace. Nothing outside these namespaces sees traffic.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

ORIGIN_PORT = 80
BULK_PORT = 5000
METADATA = "169.254.169.254"

# What every namespace gets: room for many short connections, and no IPv6 chatter of DAD.
SYSCTLS = {
    "net/ipv4/ip_local_port_range": "1024 65535",
    "net/ipv4/tcp_tw_reuse": "1",
    "net/core/somaxconn": "4096",
    "net/ipv4/tcp_max_syn_backlog": "8192",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
}


class Failure(Exception):
    """Something did not go as it must; the text says what."""


def command(*argv, **kwargs):
    """Runs a command to its end and returns its output; Failure when it fails."""
    what = " ".join(argv[2 if argv[0] == "nsenter" else 0:][:5])
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, **kwargs)
    except subprocess.TimeoutExpired as expired:
        raise Failure(f"{what}: not done after {expired.timeout:.0f} s") from expired
    if done.returncode != 0:
        text = (done.stderr or done.stdout).strip().splitlines()
        raise Failure(f"{what}: {text[-1] if text else done.returncode}")
    return done.stdout


def in_netns(netns):
    """nsenter, not `ip netns exec`: that one mounts a new /sys and hides bpffs."""
    return ["nsenter", f"--net=/run/netns/{netns}"]


def family(pid):
    """pid and all its descendants."""
    pids = [pid]
    for parent in pids:
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as children:
                pids.extend(int(child) for child in children.read().split())
    return pids


def alive(pid):
    """Whether a process that was seen a moment ago still runs."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def die_with_parent():
    """In a child: a bench that is killed outright leaves no process behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Tenant:
    """
    One tenant network: a VM, its gateway, and the gateway's leg to the origin. The gateway's
    interface is a veth, a port of a bridge that has the address, or a tap, whose other side a
    process carries to and fro as a hypervisor does.
    """

    def __init__(self, lab, index, name, kind):
        self.name = name
        self.vm = lab.netns(f"vm-{name}")
        self.gateway = lab.netns(f"gw-{name}", forward=True)
        self.interface = "tenant0"
        self.gateway_address = f"10.64.{index}.1"
        self.origin_address = f"10.65.{index}.2"
        self.connect_vm(lab, kind, f"10.64.{index}.2/24", f"{self.gateway_address}/24")
        lab.wire(self.gateway, "leg0", f"10.65.{index}.1/24",
                 lab.origin, f"leg{index}", f"{self.origin_address}/24")
        command("ip", "-n", self.vm, "route", "add", "default", "via", self.gateway_address)
        command("ip", "-n", lab.origin, "route", "add", f"10.64.{index}.0/24",
                "via", f"10.65.{index}.1")

    def connect_vm(self, lab, kind, vm_address, address):
        """The wire between VM and gateway."""
        if kind == "tap":
            lab.spawn(f"tap-{self.name}", [lab.program("tools/tapwire"),
                                           f"/run/netns/{self.gateway}", self.interface,
                                           f"/run/netns/{self.vm}", "eth0"], ready="ready")
            lab.address(self.gateway, self.interface, address)
            lab.address(self.vm, "eth0", vm_address)
            return
        if kind == "bridge":
            command("ip", "-n", self.gateway, "link", "add", "br0", "type", "bridge")
            lab.address(self.gateway, "br0", address)
            address = None
        lab.wire(self.vm, "eth0", vm_address, self.gateway, self.interface, address)
        if kind == "bridge":
            command("ip", "-n", self.gateway, "link", "set", self.interface, "master", "br0")


class Lab:
    """Everything the bench creates; close() removes all of it."""

    def __init__(self, build, congestion="cubic"):
        self.build = os.path.abspath(build)
        self.congestion = congestion
        self.prefix = f"bench{os.getpid()}"
        # In memory: the origin must serve from the page cache, never from a disk.
        self.work = tempfile.mkdtemp(prefix=f"{self.prefix}-", dir="/dev/shm")
        os.chmod(self.work, 0o755)
        self.names = []
        self.processes = []
        self.tenants = 0
        self.origin = self.management = None
        self.digests = {}

    def netns(self, name, forward=False):
        name = f"{self.prefix}-{name}"
        command("ip", "netns", "add", name)
        self.names.append(name)
        command("ip", "-n", name, "link", "set", "lo", "up")
        sysctls = dict(SYSCTLS)
        # The same for direct, peers and sluice: where a machine prefers bbr, its pacing timers
        # would be measured otherwise (sluice chooses cubic by itself).
        if self.congestion != "system":
            sysctls["net/ipv4/tcp_congestion_control"] = self.congestion
        if forward:
            sysctls["net/ipv4/ip_forward"] = "1"
        script = "\n".join(f"[ ! -e /proc/sys/{key} ] || echo '{value}' >/proc/sys/{key}"
                           for key, value in sysctls.items())
        command(*in_netns(name), "sh", "-ec", script)
        return name

    def wire(self, netns_a, name_a, address_a, netns_b, name_b, address_b):
        """A veth pair with the kernel's default offloads, as between VM and gateway."""
        command("ip", "-n", netns_a, "link", "add", name_a, "type", "veth",
                "peer", "name", name_b, "netns", netns_b)
        self.address(netns_a, name_a, address_a)
        self.address(netns_b, name_b, address_b)

    @staticmethod
    def address(netns, name, address):
        """An interface that is up, with its address if there is one."""
        if address:
            command("ip", "-n", netns, "address", "add", address, "dev", name)
        command("ip", "-n", netns, "link", "set", name, "up")

    def spawn(self, name, argv, netns=None, ready=None):
        """Starts a process that close() ends. ready: a line it prints once it serves."""
        log = open(os.path.join(self.work, f"{name}.log"), "wb")
        process = subprocess.Popen((in_netns(netns) if netns else []) + argv,
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE if ready else log, stderr=log,
                                   preexec_fn=die_with_parent)
        process.bench_name = name
        log.close()
        self.processes.append(process)
        if ready:
            readable, _, _ = select.select([process.stdout], [], [], 10)
            if not readable or ready not in process.stdout.readline().decode():
                raise Failure(f"{name} did not start: {self.log_tail(name)}")
        return process

    def log_tail(self, name):
        try:
            with open(os.path.join(self.work, f"{name}.log"), encoding="utf-8",
                      errors="replace") as log:
                lines = log.read().strip().splitlines()
        except OSError:
            lines = []
        return " / ".join(lines[-3:]) if lines else "it said nothing"

    def write(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def tenant(self, name, kind="veth"):
        self.tenants += 1
        return Tenant(self, self.tenants, name, kind)

    def start_origin(self, sizes):
        """nginx with sendfile over one file of random bytes per size ({path: bytes})."""
        self.origin = self.netns("origin")
        self.management = self.netns("mgmt")
        self.wire(self.management, "eth0", "10.66.0.1/24", self.origin, "mgmt0", "10.66.0.2/24")
        www = os.path.join(self.work, "www")
        os.mkdir(www)
        for path, size in sizes.items():
            file = www + path
            with open(file, "wb") as out:
                for _ in range(size // 1024):
                    out.write(os.urandom(1024))
            self.digests[path] = command("sha256sum", file).split()[0]
        config = self.write("origin.conf", f"""
worker_processes 2;
daemon off;
user root;
pid {self.work}/origin.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
	access_log off;
	sendfile on;
	tcp_nopush on;
	tcp_nodelay on;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	open_file_cache max=64 inactive=1h;
	open_file_cache_valid 1h;
	client_body_temp_path {self.work}/origin-body;
	proxy_temp_path {self.work}/origin-proxy;
	fastcgi_temp_path {self.work}/origin-fastcgi;
	uwsgi_temp_path {self.work}/origin-uwsgi;
	scgi_temp_path {self.work}/origin-scgi;
	server {{
		listen {ORIGIN_PORT} backlog=4096;
		root {www};
	}}
}}
""")
        self.spawn("origin", ["nginx", "-e", "stderr", "-c", config], netns=self.origin)

    def start_bulk_server(self):
        self.spawn("bulk", [self.program("load"), "serve", "--to", f"0.0.0.0:{BULK_PORT}"],
                   netns=self.origin, ready="ready")

    def program(self, name):
        """Where make put it."""
        if name == "load":
            return os.path.join(self.build, "selftests/bench/load")
        return os.path.join(self.build, name)

    def load(self, netns, arguments, pids=(), timeout=90):
        """Runs the load generator in a VM; its JSON result."""
        argv = in_netns(netns) + [self.program("load")] + arguments
        for pid in pids:
            argv += ["--cpu", str(pid)]
        return json.loads(command(*argv, timeout=timeout))

    def wait_for_http(self, tenant, to, process=None, seconds=10):
        """Until a 1 KiB document comes whole and right from there."""
        group = f"/1K,1024,1,{self.digests['/1K']}"
        end = time.monotonic() + seconds
        while True:
            try:
                self.load(tenant.vm, ["http", "--to", to, "--group", group, "--requests", "1"],
                          timeout=5)
                return
            except Failure as failure:
                if process and process.poll() is not None:
                    raise Failure(f"{process.bench_name} ended with {process.returncode}: "
                                  f"{self.log_tail(process.bench_name)}") from failure
                if time.monotonic() > end:
                    said = f"; it says: {self.log_tail(process.bench_name)}" if process else ""
                    raise Failure(f"{failure}{said}") from failure
                time.sleep(0.1)

    def stop(self, process, seconds=5):
        """TERM to this process alone; whatever is left of it and its children then: KILL."""
        if process.poll() is None:
            pids = family(process.pid)
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
            end = time.monotonic() + 1
            while any(alive(pid) for pid in pids) and time.monotonic() < end:
                time.sleep(0.02)
            for pid in pids:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        for process in reversed(list(self.processes)):
            self.stop(process)
        for name in reversed(self.names):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.work, ignore_errors=True)
