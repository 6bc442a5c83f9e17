/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is wanted of a tenant, as a value: ports in order, equality, copies, names.
 */
#include <errno.h>
#include <string.h>

#include "../../user/sluiced/want.h"
#include "unit.h"

static const struct {
	const char *name;
	uint16_t ports[10];
	unsigned count;
	int error;
	uint16_t want[SL_PORTS_MAX];
	unsigned nwant;
} port_cases[] = {
	{ "sorted", { 8080, 80 }, 2, 0, { 80, 8080 }, 2 },
	{ "each once", { 80, 443, 80, 443 }, 4, 0, { 80, 443 }, 2 },
	{ "port 0", { 80, 0 }, 2, -EINVAL, { 0 }, 0 },
	{ "as many as fit", { 8, 7, 6, 5, 4, 3, 2, 1 }, 8, 0, { 1, 2, 3, 4, 5, 6, 7, 8 }, 8 },
	{ "doubles take no room",
	  { 8, 7, 6, 5, 4, 3, 2, 1, 1, 8 },
	  10,
	  0,
	  { 1, 2, 3, 4, 5, 6, 7, 8 },
	  8 },
	{ "one too many", { 9, 8, 7, 6, 5, 4, 3, 2, 1 }, 9, -E2BIG, { 0 }, 0 },
};

static void test_ports(void)
{
	for (size_t i = 0; i < sizeof(port_cases) / sizeof(port_cases[0]); i++) {
		struct tenant_want want = { 0 };
		int err = want_set_ports(&want, port_cases[i].ports, port_cases[i].count);

		unit_case = port_cases[i].name;
		CHECK_THAT(err == port_cases[i].error, "returned %d", err);
		CHECK(want.nports == port_cases[i].nwant);
		CHECK(!memcmp(want.ports, port_cases[i].want, sizeof(want.ports)));
	}
}

static const struct {
	const char *name;
	bool valid;
} name_cases[] = {
	{ "blue", true },
	{ "a", true },
	{ "qrouter-1.2_3", true },
	{ "", false },
	{ ".", false },
	{ "..", false },
	{ "-x", false },
	{ "a/b", false },
	{ "a b", false },
	{ "a\nb", false },
	{ "\xc3\xa9", false },
	{ "123456789012345678901234567890123456789012345678901234567890123", true },
	{ "1234567890123456789012345678901234567890123456789012345678901234", false },
};

static void test_names(void)
{
	for (size_t i = 0; i < sizeof(name_cases) / sizeof(name_cases[0]); i++) {
		unit_case = name_cases[i].name;
		CHECK(want_name_valid(name_cases[i].name) == name_cases[i].valid);
	}
}

static void test_equal(void)
{
	char name[] = "blue", netns[] = "qrouter", interface[] = "qr0", l3[] = "br0";
	struct tenant_want want = { .name = name,
				    .netns = netns,
				    .interface = interface,
				    .ports = { 80 },
				    .nports = 1,
				    .ipv6 = true };
	struct tenant_want copy;

	unit_case = "a copy is equal and its own";
	CHECK(!want_copy(&copy, &want));
	CHECK(want_equal(&want, &copy));
	CHECK(copy.name != want.name && !copy.l3_interface);
	unit_case = "one difference is enough";
	copy.ipv6 = false;
	CHECK(!want_equal(&want, &copy));
	copy.ipv6 = true;
	copy.bridge = CONF_BRIDGE_STREAM;
	CHECK(!want_equal(&want, &copy));
	copy.bridge = CONF_BRIDGE_FD;
	copy.ports[0] = 8080;
	CHECK(!want_equal(&want, &copy));
	copy.ports[0] = 80;
	want.l3_interface = l3;
	CHECK(!want_equal(&want, &copy));
	CHECK(!want_equal(&copy, &want));
	want.l3_interface = NULL;
	CHECK(want_equal(&copy, &want) && !want_change(&copy, &want));
	unit_case = "changed where it stands";
	copy.fail = CONF_FAIL_DROP;
	CHECK(!want_equal(&copy, &want) && !want_change(&copy, &want));
	copy.fail = want.fail;
	copy.guard = CONF_GUARD_TC;
	CHECK(!want_equal(&copy, &want) && !want_change(&copy, &want));
	unit_case = "takes another gate";
	copy.nports = 0;
	CHECK(want_change(&copy, &want) && !strcmp(want_change(&copy, &want), "list of ports"));
	want_free(&copy);
	unit_case = "freed twice";
	want_free(&copy);
	CHECK(!copy.name);
}

/* Names of interfaces come from the kernel, which takes any bytes. */
static void test_discovered(void)
{
	char spaces[] = "qrouter-*", interfaces[] = "qr*", tenant[] = "blue", net[] = "n";
	struct conf_discover rule = {
		.namespaces = spaces, .interfaces = interfaces, .tenant = tenant, .network = net
	};
	uint16_t port = 80;
	struct conf conf = { .listen = { .ports = &port, .ports_count = 1 },
			     .discover = &rule,
			     .discover_count = 1 };
	char space[] = "qrouter-1", good[] = "qr-1", odd[] = "qr\xff", name[SL_NAME_MAX],
	     network[SL_NAME_MAX];
	struct tenant_want want;

	unit_case = "discovered";
	CHECK(want_discovered(&want, &conf, space, good, name, network, sizeof(name)) &&
	      !strcmp(want.name, "blue") && want.interface == good);
	CHECK(!want_discovered(&want, &conf, space, odd, name, network, sizeof(name)));
}

int main(void)
{
	test_ports();
	test_names();
	test_equal();
	test_discovered();
	return unit_end();
}
