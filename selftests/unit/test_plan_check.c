/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands against an item on a node, by what the node tells: ports that are taken, by whom, and
 * a tarball's directory and storage in each other's way; and a network without the node's address.
 */
#include <stdint.h>

#include "../../user/cluster/plan_check.c"
#include "unit.h"

static struct bundle_port port = { 2379, false };
static struct bundle_item item = { .name = (char *)(uintptr_t) "etcd",
				   .needs = { .ports = &port, .ports_count = 1 } };

/* Facts of a machine with a listener; items: what its journal knows. */
static json_t *make_facts(const char *items)
{
	return json_pack("{s:{s:[i]}, s:I, s:I, s:o}", "ports", "tcp", 2379, "free",
			 (json_int_t)1 << 40, "memory", (json_int_t)1 << 40, "items",
			 json_loads(items, 0, NULL));
}

static size_t problems(const json_t *node)
{
	return json_array_size(json_object_get(node, "problems"));
}

static const struct {
	const char *name, *action, *items;
	bool problem;
} port_cases[] = {
	{ "somebody else's port", "install", "{}", true },
	{ "of an item that is gone", "install", "{\"etcd\": {\"state\": \"removed\"}}", true },
	{ "its health failed", "install", "{\"etcd\": {\"state\": \"failed\"}}", false },
	{ "cut short", "install", "{\"etcd\": {\"state\": \"configured\"}}", false },
	{ "an upgrade that was cut short", "install", "{\"etcd\": {\"state\": \"sending\"}}",
	  false },
	{ "an upgrade", "change", "{\"etcd\": {\"state\": \"healthy\"}}", false },
	{ "as it is", "keep", "{\"etcd\": {\"state\": \"healthy\"}}", false },
	{ "another item", "install", "{\"app\": {\"state\": \"healthy\"}}", true },
};

static void test_ports(void)
{
	for (size_t i = 0; i < sizeof(port_cases) / sizeof(port_cases[0]); i++) {
		json_t *node = json_pack("{s:[]}", "problems");
		json_t *entry = json_pack("{s:s, s:i}", "action", port_cases[i].action, "bytes", 0);
		json_t *facts = make_facts(port_cases[i].items);

		unit_case = port_cases[i].name;
		plan_check_item(node, entry, &item, facts, false);
		CHECK_THAT(problems(node) == port_cases[i].problem, "%zu problems", problems(node));
		json_decref(facts);
		json_decref(entry);
		json_decref(node);
	}
}

#define KNOWN  "{\"tool\": {\"state\": \"healthy\"}}"
#define STORED "{\"tool\": {\"state\": \"healthy\"}, \"@storage\": {\"state\": \"failed\"}}"

static const struct {
	const char *name, *path, *device, *action, *storage, *items;
	bool problem;
} place_cases[] = {
	{ "beside", "/srv/data", "/dev/vdb", "install", "install", "{}", false },
	{ "a name that begins the same", "/opt/tool-data", NULL, "install", "install", "{}",
	  false },
	{ "in it", "/opt/tool/data", "/dev/vdb", "install", "install", "{}", true },
	{ "a directory in it", "/opt/tool/data", NULL, "change", "keep", STORED, true },
	{ "the same", "/opt/tool", "/dev/vdb", "install", "install", "{}", true },
	{ "in it, added later", "/opt/tool/data", "/dev/vdb", "keep", "change", STORED, true },
	{ "in it, as it is", "/opt/tool/data", "/dev/vdb", "keep", "keep", STORED, false },
	{ "around it", "/opt", "/dev/vdb", "install", "install", "{}", false },
	{ "around it, too late", "/opt", "/dev/vdb", "keep", "install", KNOWN, true },
	{ "around it, a directory", "/opt", NULL, "keep", "install", KNOWN, false },
	{ "around it, tried before", "/opt", "/dev/vdb", "change", "install", STORED, false },
};

static void test_places(void)
{
	const struct bundle_item tool = { .name = (char *)(uintptr_t) "tool",
					  .target = (char *)(uintptr_t) "/opt/tool" };

	for (size_t i = 0; i < sizeof(place_cases) / sizeof(place_cases[0]); i++) {
		struct config_store store = { .path = (char *)(uintptr_t)place_cases[i].path,
					      .device = (char *)(uintptr_t)place_cases[i].device };
		const struct config_node config = { .storage = &store, .storage_count = 1 };
		json_t *node = json_pack("{s:[], s:[{s:s, s:s}]}", "problems", "items", "name",
					 "@storage", "action", place_cases[i].storage);
		json_t *entry = json_pack("{s:s}", "action", place_cases[i].action);
		json_t *facts = make_facts(place_cases[i].items);

		unit_case = place_cases[i].name;
		plan_check_places(node, entry, &tool, &config, facts);
		CHECK_THAT(problems(node) == place_cases[i].problem, "%zu problems",
			   problems(node));
		json_decref(facts);
		json_decref(entry);
		json_decref(node);
	}
	unit_case = "an item without a directory";
	plan_check_places(NULL, NULL, &item, NULL, NULL);
}

static const struct {
	const char *name, *address, *has[2];
	bool warning;
} address_cases[] = {
	{ "it is there", "10.9.0.11", { "10.9.0.11/24", "10.9.0.99/24" }, false },
	{ "it comes second", "10.9.0.11", { "10.9.0.99/24", "10.9.0.11/16" }, false },
	{ "another network", "10.9.0.11", { "10.10.0.11/24" }, false },
	{ "another one in the same", "10.9.0.11", { "10.10.0.11/24", "10.9.0.99/24" }, true },
	{ "written another way", "fd00:9::11", { "fd00:9:0::0011/64" }, false },
	{ "another one of IPv6", "fd00:9::11", { "fd00:9::99/64" }, true },
	{ "no scheme", "10.9.0.11", { NULL }, false },
};

static void test_addresses(void)
{
	for (size_t i = 0; i < sizeof(address_cases) / sizeof(address_cases[0]); i++) {
		char *list[2] = { (char *)(uintptr_t)address_cases[i].has[0],
				  (char *)(uintptr_t)address_cases[i].has[1] };
		struct config_link link = { .addresses = list,
					    .addresses_count = !!list[0] + !!list[1] };
		const struct config_node config = {
			.address = (char *)(uintptr_t)address_cases[i].address,
			.network = &link,
			.network_count = 1,
		};
		json_t *node = json_object();

		unit_case = address_cases[i].name;
		plan_check_address(node, &config);
		CHECK(json_array_size(json_object_get(node, "warnings")) ==
		      address_cases[i].warning);
		json_decref(node);
	}
}

int main(void)
{
	test_addresses();
	test_ports();
	test_places();
	return unit_end();
}
