#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""nova's metadata API with instances of the lab: openstack_nova.py DIR ADDRESS PORT SECRET

Everything that answers is nova's own: paste pipeline, request handler, signature check, instance
objects, its database models on SQLite in DIR/nova.sqlite. Invented are the instances, read from
DIR/instances.json, and one answer that nova would ask neutron for: security groups.

instances.json: [{"uuid", "project", "name", "mac", "address", "address6"}, …]
"""

import base64
import json
import logging
import os
import sys

import eventlet

eventlet.monkey_patch()

# pylint: disable=wrong-import-position
import nova.conf  # noqa: E402
from nova import config, context, objects  # noqa: E402
from nova import wsgi as nova_wsgi  # noqa: E402
from nova.api import wsgi as api_wsgi  # noqa: E402
from nova.db.main import api as db  # noqa: E402
from nova.db.main import models  # noqa: E402
from nova.network import model, security_group_api  # noqa: E402
from oslo_log import log as oslo_log  # noqa: E402

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMetadataTestKeyOfNobodyAtAll00000000000000 lab"


def fake_security_groups(_context, _instance, _detailed=False):
    """The one question that nova asks neutron in the course of a request."""
    return [{"name": "default"}]


def network_of(wanted):
    """What nova keeps of an instance's port: one network with both families."""
    subnets = [model.Subnet(cidr="192.168.0.0/24", version=4, dns=[], routes=[],
                            gateway=model.IP(address="192.168.0.1", version=4, type="gateway"),
                            ips=[model.FixedIP(address=wanted["address"], version=4)])]
    if wanted.get("address6"):
        subnets.append(model.Subnet(cidr="fd00:192::/64", version=6, dns=[], routes=[],
                                    gateway=model.IP(address="fd00:192::1", version=6, type="gateway"),
                                    ips=[model.FixedIP(address=wanted["address6"], version=6)],
                                    ipv6_address_mode="slaac"))
    network = model.Network(id=wanted["network"], bridge="br-int", label="lab", subnets=subnets, mtu=1450)
    return model.NetworkInfo([model.VIF(id=wanted["port"], address=wanted["mac"], network=network,
                                        type="ovs", devname="tap0", vnic_type="normal")])


def make_instance(wanted):
    """One row of each table that an instance has."""
    ctxt = context.RequestContext(user_id="lab", project_id=wanted["project"], is_admin=True)
    pair = objects.KeyPair(ctxt, user_id="lab", name="lab", type="ssh", public_key=KEY, fingerprint="none")
    flavor = objects.Flavor(ctxt, id=1, name="m1.lab", memory_mb=512, vcpus=1, root_gb=1, ephemeral_gb=0, swap=0,
                            flavorid="1", rxtx_factor=1.0, vcpu_weight=0, disabled=False, is_public=True,
                            extra_specs={}, projects=[])
    instance = objects.Instance(
        ctxt, uuid=wanted["uuid"], project_id=wanted["project"], user_id="lab", hostname=wanted["name"],
        display_name=wanted["name"], key_name="lab", key_data=KEY, launch_index=0, availability_zone="nova",
        reservation_id="r-lab", vm_state="active", metadata={"role": "web", "owner": wanted["name"]},
        system_metadata={}, keypairs=objects.KeyPairList(objects=[pair]), flavor=flavor, old_flavor=None,
        new_flavor=None, image_ref="",
        user_data=base64.b64encode(("#cloud-config\n# of %s\n" % wanted["name"]).encode()).decode())
    instance.create()
    cache = objects.InstanceInfoCache(ctxt, instance_uuid=instance.uuid, network_info=network_of(wanted))
    cache.save()


def main():
    """Makes the database, then serves."""
    where, address, port, secret = sys.argv[1:5]
    database = os.path.join(where, "nova.sqlite")
    settings = os.path.join(where, "nova.conf")
    share = os.path.join(os.environ.get("OPENSTACK_ROOT", "/"), "usr/share/nova-common/api-paste.ini")
    with open(settings, "w", encoding="utf-8") as out:
        out.write(f"""[DEFAULT]
transport_url = fake:/
state_path = {where}
[database]
connection = sqlite:///{database}
[api_database]
connection = sqlite:///{database}
[api]
local_metadata_per_cell = true
metadata_cache_expiration = 2
[wsgi]
api_paste_config = {share}
[neutron]
service_metadata_proxy = true
metadata_proxy_shared_secret = {secret}
""")
    config.parse_args(["nova-api-metadata"], default_config_files=[settings])
    oslo_log.setup(nova.conf.CONF, "nova")
    logging.getLogger("eventlet.wsgi").setLevel(logging.WARNING)
    objects.register_all()
    models.BASE.metadata.create_all(db.get_engine())
    with open(os.path.join(where, "instances.json"), encoding="utf-8") as wanted:
        for instance in json.load(wanted):
            make_instance(instance)
    security_group_api.get_instance_security_groups = fake_security_groups
    server = nova_wsgi.Server("metadata", api_wsgi.Loader().load_app("metadata"), host=address, port=int(port))
    server.start()
    print("ready", flush=True)
    server.wait()


main()
