# SPDX-License-Identifier: BSD-2-Clause
"""What is compared. A subject is started once and stays up; idle it costs nothing.

Peers run where they would be deployed, in the tenant gateway, and get a route to the origin
(OpenStack's haproxy really talks to an agent in Python over a unix socket, which then opens
a connection of its own: leaving that agent out flatters it greatly).
"""

import os
import shutil
import subprocess

from lab import METADATA, ORIGIN_PORT, Failure, command, family


class Subject:
    """name, and to: ADDR:PORT as its VM sees it."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.tenant = lab.tenant(name)
        self.process = None
        self.to = None

    def start(self):
        raise NotImplementedError

    def pids(self):
        """The relay's processes, children included; none for the direct path."""
        return family(self.process.pid) if self.process else []

    def stop(self):
        if self.process:
            self.lab.stop(self.process)
            self.process = None


class Direct(Subject):
    """The routed path, no relay: the tenant gateway forwards to its leg."""

    def start(self):
        self.to = f"{self.tenant.origin_address}:{ORIGIN_PORT}"
        self.lab.wait_for_http(self.tenant, self.to)


class Peer(Subject):
    """A proxy of its own in the tenant gateway, holding the metadata address."""

    def start(self):
        command("ip", "-n", self.tenant.gateway, "address", "add", f"{METADATA}/32", "dev", "lo")
        self.to = f"{METADATA}:{ORIGIN_PORT}"
        config = self.lab.write(f"{self.name}.conf", self.config())
        self.process = self.lab.spawn(self.name, self.argv(config), netns=self.tenant.gateway)
        self.lab.wait_for_http(self.tenant, self.to, self.process)

    def config(self):
        raise NotImplementedError

    def argv(self, config):
        raise NotImplementedError


class HaproxyOpenstack(Peer):
    """The options neutron's metadata driver writes; no log target, which is kinder to it."""

    def config(self):
        return f"""
global
    maxconn 1024

defaults
    mode http
    option httplog
    option dontlognull
    option http-server-close
    option forwardfor
    retries 3
    timeout http-request 30s
    timeout connect 30s
    timeout client 32s
    timeout server 32s
    timeout http-keep-alive 30s

listen listener
    bind {self.to}
    http-request del-header X-Neutron-Network-ID
    http-request set-header X-Neutron-Router-ID 11111111-2222-3333-4444-555555555555
    server metadata {self.tenant.origin_address}:{ORIGIN_PORT}
"""

    def argv(self, config):
        return ["haproxy", "-db", "-f", config]


class HaproxySplice(HaproxyOpenstack):
    """haproxy at its best: splice with 1 MiB pipes, pooled origin connections, two threads."""

    def config(self):
        return f"""
global
    maxconn 4000
    nbthread 2
    tune.pipesize 1048576
    tune.pool-low-fd-ratio 90
    tune.pool-high-fd-ratio 95

defaults
    mode http
    option splice-response
    option splice-auto
    option http-keep-alive
    http-reuse always
    timeout http-request 30s
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s

listen listener
    bind {self.to} backlog 4096
    http-request set-header X-Neutron-Router-ID 11111111-2222-3333-4444-555555555555
    server origin {self.tenant.origin_address}:{ORIGIN_PORT} pool-max-conn 256 pool-purge-delay 60s
"""


class HaproxyTcp(HaproxyOpenstack):
    """
    haproxy that looks at no request: bytes from one connection to one other, spliced. What is lost
    to the direct path here is lost to a second pass through TCP by whoever relays; no rules, no
    identity, no pool. Not a peer.
    """

    def config(self):
        return f"""
global
    maxconn 4000
    nbthread 2
    tune.pipesize 1048576

defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 60s
    timeout server 60s

listen listener
    bind {self.to} backlog 4096
    server origin {self.tenant.origin_address}:{ORIGIN_PORT}
"""


class Nginx(Peer):
    """
    nginx proxy_pass with pooled origin connections. Unbuffered with a large buffer measured
    as fast as 16 x 64 KiB or 16 x 256 KiB of them or faster in every case.
    """

    def config(self):
        work = self.lab.work
        return f"""
worker_processes 2;
daemon off;
user root;
pid {work}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
	access_log off;
	tcp_nodelay on;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_body_temp_path {work}/nginx-body;
	proxy_temp_path {work}/nginx-proxy;
	fastcgi_temp_path {work}/nginx-fastcgi;
	uwsgi_temp_path {work}/nginx-uwsgi;
	scgi_temp_path {work}/nginx-scgi;
	upstream origin {{
		server {self.tenant.origin_address}:{ORIGIN_PORT};
		keepalive 256;
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
	}}
	server {{
		listen {self.to} backlog=4096;
		location / {{
			proxy_pass http://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header X-Neutron-Router-ID 11111111-2222-3333-4444-555555555555;
			proxy_buffering off;
			proxy_buffer_size 256k;
			proxy_buffers 16 64k;
			proxy_busy_buffers_size 512k;
		}}
	}}
}}
"""

    def argv(self, config):
        return ["nginx", "-e", "stderr", "-c", config]


class Sluice(Subject):
    """sluiced with one engine and one kind of bridge, in an instance of its own."""

    engine, bridge = "inline", "fd"
    workers = 0         # one for each CPU
    connections = 4096  # of one client, and of each worker at least

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.instance = f"{lab.prefix}-{name.split('-')[1]}"
        self.build = lab.build

    def config(self):
        """Budgets far over what the load needs: policed like anybody, refused nothing."""
        return f"""
management:
  netns: {self.lab.management}
relay:
  user: "64999"
  engine: {self.engine}
  workers: {self.workers}
guard:
  source_rate: 100000000
  source_burst: 100000000
  syn_rate: 100000000
  syn_burst: 100000000
  interface_rate: 100000000
  interface_burst: 100000000
  interface_syn_rate: 0
limits:
  connections: {max(2 * self.connections, 16384)}
  connections_per_client: {self.connections}
  connections_per_tenant: {max(self.connections, 8192)}
  keepalive_timeout: 3600000
  request_rate: 0
services:
  - name: origin
    origins:
      - address: tcp:10.66.0.2:{ORIGIN_PORT}
    identity: none
routes:
  - path: /
    service: origin
"""

    def launch(self):
        """The daemon alone."""
        config = self.lab.write(f"{self.name}.yaml", self.config())
        mount_bpffs()
        self.to = f"{METADATA}:80"
        self.process = self.lab.spawn(self.name, [f"{self.build}/sluiced", "--config", config,
                                                  "--instance", self.instance])

    def start(self):
        self.launch()
        self.wait_for_control()
        self.attach(self.tenant)
        self.lab.wait_for_http(self.tenant, self.to, self.process)

    def control(self, *words):
        return command(f"{self.build}/sluice", "--instance", self.instance, *words, timeout=20)

    def wait_for_control(self):
        for attempt in range(100):
            try:
                self.control("status", "--json")
                return
            except Failure as failure:
                if self.process.poll() is not None or attempt == 99:
                    raise Failure(f"sluiced did not start: "
                                  f"{self.lab.log_tail(self.name)}") from failure
                # A wait on the process ends at once when it dies, else after its time.
                try:
                    self.process.wait(0.1)
                except subprocess.TimeoutExpired:
                    pass

    def attach(self, tenant):
        self.control("tenant", "attach", tenant.name, "--netns", tenant.gateway,
                     "--interface", tenant.interface, "--bridge", self.bridge)

    def detach(self, tenant):
        self.control("tenant", "detach", tenant.name)

    def stop(self):
        if self.process and self.process.poll() is None:
            try:
                self.detach(self.tenant)
            except Failure:
                pass
        super().stop()
        # What a killed daemon leaves on purpose, for a successor that will not come.
        for path in (f"/sys/fs/bpf/sluice/{self.instance}", f"/run/sluice/{self.instance}"):
            remove_tree(path)


class SluiceUring(Sluice):
    engine = "uring"


class SluiceCopy(Sluice):
    engine = "copy"


class SluiceStream(Sluice):
    bridge = "stream"


class SluiceOther(Sluice):
    """Another build beside this one, in the same rounds: what a change is worth."""

    engine = os.environ.get("OTHER_ENGINE") or "inline"

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.build = os.path.abspath(os.environ["OTHER"])


def mount_bpffs():
    if not os.path.ismount("/sys/fs/bpf"):
        command("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")


def remove_tree(path):
    """bpffs refuses what shutil.rmtree() tries, so plain unlink and rmdir."""
    for root, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(root, name))
        for name in directories:
            os.rmdir(os.path.join(root, name))
    if os.path.isdir(path):
        os.rmdir(path)


# In the order of tables and plots.
SUBJECTS = {
    "direct": Direct,
    "sluice-inline": Sluice,
    "sluice-uring": SluiceUring,
    "sluice-copy": SluiceCopy,
    "sluice-stream": SluiceStream,
    "haproxy-splice": HaproxySplice,
    "nginx": Nginx,
    "haproxy-openstack": HaproxyOpenstack,
    "haproxy-tcp": HaproxyTcp,
}
if os.environ.get("OTHER"):
    SUBJECTS["sluice-other"] = SluiceOther


def missing(name, build):
    """Why a subject cannot run here, or None."""
    if name == "sluice-other":
        build = os.environ["OTHER"]
    if name.startswith("sluice-"):
        for program in ("sluiced", "sluice"):
            if not os.access(os.path.join(build, program), os.X_OK):
                return f"{build}/{program} is not built"
    elif name != "direct" and not shutil.which(name.split("-")[0]):
        return f"{name.split('-')[0]} is not installed"
    return None
