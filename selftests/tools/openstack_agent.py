#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""neutron's metadata agent in the lab.

openstack_agent.py agent DIR SOCKET NOVA SECRET
    neutron's own main() on a unix socket, in front of the nova at address NOVA. Invented is the
    neutron-server behind it: an RPC endpoint for get_ports, on oslo.messaging's driver within the
    process, that answers from the instances of DIR/instances.json. Beside it, on SOCKET.ovn, serves
    what neutron's OVN metadata agent serves with, on an invented southbound database.
openstack_agent.py haproxy DIR SOCKET network|router|ovn ID ADDRESS PORT [ADDRESS6 INTERFACE]
    prints the path of the configuration of neutron's own proxy for that network, as neutron's
    drivers write it.
"""

import json
import os
import sys
import types


def conf_args(where, **options):
    """A neutron.conf of these options; the arguments that name it."""
    path = os.path.join(where, "neutron.conf")
    with open(path, "w", encoding="utf-8") as out:
        out.write("[DEFAULT]\n")
        for name, value in options.items():
            out.write(f"{name} = {value}\n")
        out.write("[AGENT]\nreport_interval = 0\n")
    return ["--config-file", path]


class FakeServer:
    """What neutron-server answers metadata agents: neutron.api.rpc.handlers.metadata_rpc."""

    def __init__(self, target, path):
        self.target = target
        with open(path, encoding="utf-8") as wanted:
            self.instances = json.load(wanted)

    def ports(self):
        """All ports, as the database has them: those of the instances and those of the routers."""
        for one in self.instances:
            addresses = [one["address"]] + ([one["address6"]] if one.get("address6") else [])
            yield {"network_id": one["network"], "device_id": one["uuid"], "tenant_id": one["project"],
                   "device_owner": "compute:nova", "mac_address": one["mac"], "ip_addresses": addresses}
            if one.get("router"):
                yield {"network_id": one["network"], "device_id": one["router"], "tenant_id": one["project"],
                       "device_owner": "network:router_interface", "mac_address": "", "ip_addresses": []}

    def get_ports(self, _context, filters):
        """The filters that the agent uses; several values of one are alternatives."""
        wanted = dict(filters)
        address = wanted.pop("fixed_ips", {}).get("ip_address")
        return [port for port in self.ports()
                if all(port[name] in values for name, values in wanted.items())
                and (not address or set(address) & set(port["ip_addresses"]))]


class FakeSouthbound:
    """The one question of OVN's metadata agent to its database."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as wanted:
            self.instances = json.load(wanted)

    def get_network_port_bindings_by_ip(self, network, address):
        """Who has this address in this network."""
        # pylint: disable=import-outside-toplevel
        from neutron.common.ovn import constants
        return [types.SimpleNamespace(external_ids={constants.OVN_DEVID_EXT_ID_KEY: one["uuid"],
                                                    constants.OVN_PROJID_EXT_ID_KEY: one["project"]})
                for one in self.instances if one["network"] == network and one["address"] == address]


def serve_ovn(conf, where, path):
    """As neutron.agent.ovn.metadata.server.UnixDomainMetadataProxy.run(), within this process."""
    # pylint: disable=import-outside-toplevel
    from neutron.agent.linux import utils
    from neutron.agent.ovn.metadata import server
    handler = server.MetadataProxyHandler(conf, "lab")
    handler.sb_idl = FakeSouthbound(os.path.join(where, "instances.json"))
    utils.UnixDomainWSGIServer("neutron-ovn-metadata-agent").start(
        handler, path, workers=0, backlog=conf.metadata_backlog, mode=0o644)


def agent(where, path, nova, secret):
    """neutron's agent, and a server for it as soon as RPC is there."""
    # pylint: disable=import-outside-toplevel
    from neutron.common import eventlet_utils
    eventlet_utils.monkey_patch()
    import oslo_messaging
    from neutron.agent import metadata_agent
    from neutron.agent.metadata import agent as metadata
    from neutron_lib import constants, rpc
    from neutron_lib.agent import topics

    class Proxy(metadata.UnixDomainMetadataProxy):
        """The agent's own, after the server was started."""

        def run(self):
            target = oslo_messaging.Target(topic=topics.PLUGIN, server="lab")
            endpoint = FakeServer(oslo_messaging.Target(namespace=constants.RPC_NAMESPACE_METADATA, version="1.0"),
                                  os.path.join(where, "instances.json"))
            rpc.get_server(target, [endpoint]).start()
            serve_ovn(self.conf, where, path + ".ovn")
            super().run()

    metadata.UnixDomainMetadataProxy = Proxy
    sys.argv[1:] = conf_args(where, transport_url="fake:/", state_path=where, metadata_proxy_socket=path,
                             nova_metadata_host=nova, metadata_proxy_shared_secret=secret, metadata_workers=0,
                             host="lab")
    metadata_agent.main()


def haproxy(where, path, kind, name, address, port, address6=None, interface=None):
    """The file that neutron's driver would start haproxy with."""
    # pylint: disable=import-outside-toplevel
    from neutron.agent.metadata import driver
    from neutron.agent.ovn.metadata import driver as ovn_driver
    from oslo_config import cfg
    from oslo_log import log
    log.register_options(cfg.CONF)
    common = (path, address, port, "root", "root", where, os.path.join(where, f"{name}.pid"))
    if kind == "ovn":
        made = ovn_driver.HaproxyConfigurator(name, None, *common)
    else:
        made = driver.HaproxyConfigurator(name if kind == "network" else None,
                                          name if kind == "router" else None, *common, address6, interface)
    made.create_config_file()
    print(made.cfg_path)


{"agent": agent, "haproxy": haproxy}[sys.argv[1]](*sys.argv[2:])
