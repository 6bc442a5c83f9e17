#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""cloud-init's own crawl of a datasource: openstack_cloud_init.py DIR OpenStack|Ec2 BRAND [URL…]

What it understood, as JSON: instance id, host name, user data, keys and, from OpenStack, the addresses
in the network configuration that it would write. Invented is what the machine's firmware says (BRAND):
this machine is no VM of nova's. The URLs are its setting metadata_urls.
"""

import importlib
import json
import logging
import os
import sys

from cloudinit import distros, dmi, helpers

FIRMWARE = {
    # What nova's libvirt driver writes into SMBIOS.
    "nova": {"system-product-name": "OpenStack Nova", "chassis-asset-tag": "OpenStack Nova"},
    # What makes cloud-init ask for a session token first.
    "aws": {"system-uuid": "ec2a0001-0000-4000-8000-000000000001",
            "system-serial-number": "ec2a0001-0000-4000-8000-000000000001"},
}


def addresses(config):
    """Those of a network configuration, version 1."""
    return sorted(subnet["address"] for entry in (config or {}).get("config", [])
                  for subnet in entry.get("subnets", []) if "address" in subnet)


def main():
    """Crawls; says what it made of it."""
    where, name, brand, urls = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    dmi.read_dmi_data = FIRMWARE[brand].get
    settings = {"datasource_list": [name], "datasource": {name: {"max_wait": 60, "timeout": 20}}}
    if urls:
        settings["datasource"][name]["metadata_urls"] = urls
    paths = helpers.Paths({"cloud_dir": os.path.join(where, "cloud"), "run_dir": os.path.join(where, "run")})
    distro = distros.fetch("debian")("debian", settings, paths)
    module = importlib.import_module(f"cloudinit.sources.DataSource{name}")
    source = getattr(module, f"DataSource{name}")(settings, distro, paths)
    if not source.get_data():
        sys.exit("no data")
    print(json.dumps({
        "instance": source.get_instance_id(),
        "host": str(getattr(source.get_hostname(), "hostname", source.get_hostname())),
        "user": (source.get_userdata_raw() or b"").decode(),
        "keys": source.get_public_ssh_keys(),
        "addresses": addresses(source.network_config) if name == "OpenStack" else [],
    }))


main()
