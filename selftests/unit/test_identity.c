/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Identity headers, byte by byte. The signatures below were computed with openssl(1):
 * printf TEXT | openssl dgst -sha256 -hmac SECRET
 */
#include <arpa/inet.h>
#include <errno.h>

#include "../../user/relay/identity.h"
#include "unit.h"

#define UUID "7a3c6f0e-1111-4222-8333-444455556666"

static const char long_secret[] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
				  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
				  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
				  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

static const struct identity_case {
	const char *name;
	enum conf_identity identity;
	const char *secret, *client, *tenant, *network, *instance, *project, *request;
	int64_t time;
	int error;
	const char *lines;
} cases[] = {
	{ .name = "none", .identity = CONF_IDENTITY_NONE, .client = "10.0.0.5", .lines = "" },
	{ .name = "sluice, not signed",
	  .identity = CONF_IDENTITY_SLUICE,
	  .client = "10.0.0.5",
	  .lines = "X-Sluice-Tenant: blue\r\nX-Sluice-Client: 10.0.0.5\r\n" },
	{ .name = "sluice, empty secret",
	  .identity = CONF_IDENTITY_SLUICE,
	  .secret = "",
	  .client = "fe80::5",
	  .lines = "X-Sluice-Tenant: blue\r\nX-Sluice-Client: fe80::5\r\n" },
	{ .name = "sluice, signed",
	  .identity = CONF_IDENTITY_SLUICE,
	  .secret = "TopSecret",
	  .client = "10.0.0.5",
	  .request = "GET /a?b",
	  .time = 1700000000,
	  .lines = "X-Sluice-Tenant: blue\r\nX-Sluice-Client: 10.0.0.5\r\n"
		   "X-Sluice-Time: 1700000000\r\nX-Sluice-Signature: v1="
		   "7d288c4b8724573b01987116ecf546f2d475719132a57a1fca9bc89a182952f4\r\n" },
	{ .name = "sluice, bound and signed",
	  .identity = CONF_IDENTITY_SLUICE,
	  .secret = "TopSecret",
	  .client = "fe80::5",
	  .instance = "i-1",
	  .request = "HEAD /",
	  .time = 1700000001,
	  .lines = "X-Sluice-Tenant: blue\r\nX-Sluice-Client: fe80::5\r\n"
		   "X-Sluice-Instance: i-1\r\n"
		   "X-Sluice-Time: 1700000001\r\nX-Sluice-Signature: v1="
		   "f5a798556e6e9a32fb3732bd0ee37ad0f9de80b36bd4eccca578d5d8515547de\r\n" },
	{ .name = "sluice, tenant with a line end",
	  .identity = CONF_IDENTITY_SLUICE,
	  .client = "10.0.0.5",
	  .tenant = "blue\r\nX-Instance-ID: 1",
	  .error = -EINVAL },
	{ .name = "sluice, instance with a line end",
	  .identity = CONF_IDENTITY_SLUICE,
	  .client = "10.0.0.5",
	  .instance = "i\n1",
	  .error = -EINVAL },

	{ .name = "neutron, router",
	  .identity = CONF_IDENTITY_NEUTRON,
	  .client = "10.0.0.5",
	  .network = "qrouter-" UUID,
	  .lines = "X-Forwarded-For: 10.0.0.5\r\nX-Neutron-Router-ID: " UUID "\r\n" },
	{ .name = "neutron, network",
	  .identity = CONF_IDENTITY_NEUTRON,
	  .client = "fd00::5",
	  .network = "/run/netns/qdhcp-" UUID,
	  .lines = "X-Forwarded-For: fd00::5\r\nX-Neutron-Network-ID: " UUID "\r\n" },
	{ .name = "neutron, OVN",
	  .identity = CONF_IDENTITY_NEUTRON,
	  .client = "10.0.0.5",
	  .network = "ovnmeta-" UUID,
	  .lines = "X-Forwarded-For: 10.0.0.5\r\nX-OVN-Network-ID: " UUID "\r\n" },
	{ .name = "neutron, another namespace",
	  .identity = CONF_IDENTITY_NEUTRON,
	  .client = "10.0.0.5",
	  .network = "blue",
	  .error = -ENOENT },
	{ .name = "neutron, id missing",
	  .identity = CONF_IDENTITY_NEUTRON,
	  .client = "10.0.0.5",
	  .network = "qrouter-",
	  .error = -ENOENT },
	{ .name = "neutron, namespace not known",
	  .identity = CONF_IDENTITY_NEUTRON,
	  .client = "10.0.0.5",
	  .error = -ENOENT },
	{ .name = "neutron, id with a line end",
	  .identity = CONF_IDENTITY_NEUTRON,
	  .client = "10.0.0.5",
	  .network = "qrouter-1\r\nX: y",
	  .error = -EINVAL },

	{ .name = "nova",
	  .identity = CONF_IDENTITY_NOVA,
	  .secret = "TopSecret",
	  .client = "10.0.0.5",
	  .instance = UUID,
	  .project = "demo",
	  .lines = "X-Forwarded-For: 10.0.0.5\r\nX-Instance-ID: " UUID "\r\nX-Tenant-ID: demo\r\n"
		   "X-Instance-ID-Signature: "
		   "2f338bb2277dd9c7846faf7bd04d1f9589c5505e2d6db67ffa98b073582d7793\r\n" },
	{ .name = "nova, secret longer than a block",
	  .identity = CONF_IDENTITY_NOVA,
	  .secret = long_secret,
	  .client = "10.0.0.5",
	  .instance = "i-1",
	  .project = "demo",
	  .lines = "X-Forwarded-For: 10.0.0.5\r\nX-Instance-ID: i-1\r\nX-Tenant-ID: demo\r\n"
		   "X-Instance-ID-Signature: "
		   "17386792c3c99b472490a0e741a67b25c3354d40cb326255eb30325c8dd46806\r\n" },
	{ .name = "nova, not bound",
	  .identity = CONF_IDENTITY_NOVA,
	  .secret = "TopSecret",
	  .client = "10.0.0.5",
	  .error = -ENOENT },
	{ .name = "nova, project not known",
	  .identity = CONF_IDENTITY_NOVA,
	  .secret = "TopSecret",
	  .client = "10.0.0.5",
	  .instance = UUID,
	  .error = -ENOENT },
	{ .name = "nova, no secret",
	  .identity = CONF_IDENTITY_NOVA,
	  .client = "10.0.0.5",
	  .instance = UUID,
	  .project = "demo",
	  .error = -ENOKEY },
	{ .name = "nova, project with a line end",
	  .identity = CONF_IDENTITY_NOVA,
	  .secret = "TopSecret",
	  .client = "10.0.0.5",
	  .instance = UUID,
	  .project = "a\r\nX: y",
	  .error = -EINVAL },
};

static void set_client(struct in6_addr *client, const char *text)
{
	memset(client, 0, sizeof(*client));
	if (inet_pton(AF_INET6, text, client) == 1)
		return;
	client->s6_addr[10] = client->s6_addr[11] = 0xff;
	CHECK(inet_pton(AF_INET, text, client->s6_addr + 12) == 1);
}

static void test_case(const struct identity_case *c)
{
	const char *request = c->request ? c->request : "GET /";
	struct identity_input in = {
		.tenant = c->tenant ? c->tenant : "blue",
		.network = c->network,
		.instance = c->instance,
		.project = c->project,
		.method = request,
		.method_len = strcspn(request, " "),
		.target = strchr(request, '/'),
		.target_len = strlen(strchr(request, '/')),
		.time = c->time,
	};
	char *out = unit_guarded(NULL, 0) - IDENTITY_MAX;
	int n, len;

	unit_case = c->name;
	set_client(&in.client, c->client);
	n = identity_write(c->identity, c->secret, &in, out, IDENTITY_MAX);
	if (c->error) {
		CHECK_THAT(n == c->error, "%d", n);
		return;
	}
	len = strlen(c->lines);
	CHECK_THAT(n == len && !memcmp(out, c->lines, len), "%d:\n%.*s", n, n > 0 ? n : 0, out);
	for (int size = 0; size < len; size++)
		CHECK(identity_write(c->identity, c->secret, &in, unit_guarded(NULL, 0) - size,
				     size) == -E2BIG);
}

int main(void)
{
	CHECK(identity_init() == 0);
	CHECK(strlen(long_secret) == 200);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	return unit_end();
}
