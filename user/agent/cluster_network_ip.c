/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network by "ip", where networkd does not run: how a link and the routes are, what a scheme
 * makes of them, and the way back. Addresses are written one way (lib/subnet.h), so that what ip
 * says can be compared with what the document says. What others set meanwhile is left alone.
 */
#include "cluster_network_ip.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/subnet.h"

#define OUT_MAX (256 * 1024)

const char *ip_text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static unsigned number(const json_t *object, const char *key)
{
	return (unsigned)json_integer_value(json_object_get(object, key));
}

bool ip_listed(const json_t *list, const json_t *value)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry)
		if (json_equal(entry, value))
			return true;
	return false;
}

const json_t *ip_find(const json_t *links, const char *interface)
{
	const json_t *link;
	size_t i;

	json_array_foreach (links, i, link)
		if (!strcmp(ip_text(link, "interface"), interface))
			return link;
	return NULL;
}

bool ip_is_parent(const json_t *links, const char *interface)
{
	const json_t *link;
	size_t i;

	json_array_foreach (links, i, link)
		if (*interface && !strcmp(ip_text(link, "parent"), interface))
			return true;
	return false;
}

/* Takes value. */
static void add_new(json_t *list, json_t *value)
{
	if (value && !ip_listed(list, value))
		json_array_append(list, value);
	json_decref(value);
}

/* One way to write an address, with its prefix. via: of which family "default" is. */
static json_t *plain(const char *address, const char *via)
{
	char out[SUBNET_TEXT_MAX];
	struct subnet subnet;

	if (!strcmp(address, "default"))
		address = strchr(via, ':') ? "::/0" : "0.0.0.0/0";
	if (subnet_parse(address, &subnet))
		return json_string(address);
	subnet_text(&subnet, out);
	return json_string(out);
}

/* ---- what is there ---- */

/* Takes what ip printed; NULL: it failed. */
static json_t *parse(char *out)
{
	json_t *list = out ? json_loads(out, 0, NULL) : NULL;

	free(out);
	return list;
}

/* NULL: there is no such interface. Addresses that a server gave come and go by themselves. */
json_t *ip_link(const char *interface)
{
	json_t *list = parse(
		exec_output(OUT_MAX, "ip", "-json", "address", "show", "dev", interface, NULL));
	json_t *entry, *was = NULL;
	json_t *link = json_array_get(list, 0), *up = json_string("UP");
	char address[SUBNET_TEXT_MAX];
	size_t i;

	if (link)
		was = json_pack("{s:i, s:b, s:[]}", "mtu", (int)number(link, "mtu"), "up",
				ip_listed(json_object_get(link, "flags"), up), "addresses");
	json_array_foreach (json_object_get(link, "addr_info"), i, entry) {
		snprintf(address, sizeof(address), "%s/%u", ip_text(entry, "local"),
			 number(entry, "prefixlen"));
		if (!strcmp(ip_text(entry, "scope"), "global") &&
		    !json_object_get(entry, "dynamic"))
			add_new(json_object_get(was, "addresses"), plain(address, ""));
	}
	json_decref(list);
	json_decref(up);
	return was;
}

static json_t *make_route(const char *to, const char *via, const char *dev, unsigned metric)
{
	return json_pack("{s:o, s:s, s:s, s:i}", "dst", plain(to, via), "via", via, "dev", dev,
			 "metric", (int)metric);
}

/* Of a machine that routes for others, those that a protocol keeps are many, and not ours. */
static int add_routes(json_t *routes, const char *family, const char *protocol)
{
	json_t *list = parse(exec_output(OUT_MAX, "ip", family, "-json", "route", "show", "table",
					 "main", "proto", protocol, NULL));
	const json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry)
		if (*ip_text(entry, "gateway"))
			add_new(routes, make_route(ip_text(entry, "dst"), ip_text(entry, "gateway"),
						   ip_text(entry, "dev"), number(entry, "metric")));
	json_decref(list);
	return list ? 0 : -EIO;
}

json_t *ip_routes(void)
{
	json_t *routes = json_array();
	int err = add_routes(routes, "-4", "boot");

	if (!err)
		err = add_routes(routes, "-4", "static");
	/* A kernel without IPv6 has none to tell of. */
	add_routes(routes, "-6", "boot");
	add_routes(routes, "-6", "static");
	if (!err)
		return routes;
	json_decref(routes);
	return NULL;
}

/* ---- what a link of the scheme sets ---- */

static json_t *addresses_of(const json_t *link)
{
	json_t *list = json_array();
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(link, "addresses"), i, entry)
		add_new(list, plain(json_string_value(entry), ""));
	return list;
}

static json_t *routes_of(const json_t *link)
{
	json_t *list = json_array();
	const json_t *entry;
	size_t i;

	if (*ip_text(link, "gateway"))
		add_new(list, make_route("default", ip_text(link, "gateway"),
					 ip_text(link, "interface"), 0));
	json_array_foreach (json_object_get(link, "routes"), i, entry)
		add_new(list, make_route(ip_text(entry, "to"), ip_text(entry, "via"),
					 ip_text(link, "interface"), 0));
	return list;
}

/* Is it this route, whatever its metric? Without one, IPv6 has 1024. */
static bool same_route(const json_t *a, const json_t *b)
{
	return !strcmp(ip_text(a, "dst"), ip_text(b, "dst")) &&
	       !strcmp(ip_text(a, "via"), ip_text(b, "via")) &&
	       !strcmp(ip_text(a, "dev"), ip_text(b, "dev"));
}

static bool has_route(const json_t *routes, const json_t *route)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (routes, i, entry)
		if (same_route(entry, route))
			return true;
	return false;
}

/* ---- doing ---- */

static int change_address(const char *word, const char *address, const char *interface,
			  struct outcome *outcome)
{
	return exec_words(outcome, "ip", "address", word, address, "dev", interface, NULL);
}

static int change_route(const char *word, const json_t *route, struct outcome *outcome)
{
	char metric[12];

	snprintf(metric, sizeof(metric), "%u", number(route, "metric"));
	return exec_words(outcome, "ip", "route", word, ip_text(route, "dst"), "via",
			  ip_text(route, "via"), "dev", ip_text(route, "dev"),
			  number(route, "metric") ? "metric" : NULL, metric, NULL);
}

static int set_link(const json_t *link, struct outcome *outcome)
{
	const char *interface = ip_text(link, "interface"), *parent = ip_text(link, "parent");
	json_t *there = ip_link(interface);
	char id[12], mtu[12];
	int err = 0;

	snprintf(id, sizeof(id), "%u", number(link, "vlan"));
	snprintf(mtu, sizeof(mtu), "%u", number(link, "mtu"));
	if (*parent && !there) {
		err = exec_words(outcome, "ip", "link", "set", parent, "up", NULL);
		if (!err)
			err = exec_words(outcome, "ip", "link", "add", "link", parent, "name",
					 interface, "type", "vlan", "id", id, NULL);
	}
	json_decref(there);
	if (!err && number(link, "mtu"))
		err = exec_words(outcome, "ip", "link", "set", interface, "mtu", mtu, NULL);
	return err ? err : exec_words(outcome, "ip", "link", "set", interface, "up", NULL);
}

static int set_addresses(const json_t *link, struct outcome *outcome)
{
	json_t *addresses = addresses_of(link), *routes = routes_of(link), *entry;
	size_t i;
	int err = 0;

	json_array_foreach (addresses, i, entry)
		if (!err)
			err = change_address("replace", json_string_value(entry),
					     ip_text(link, "interface"), outcome);
	json_array_foreach (routes, i, entry)
		if (!err)
			err = change_route("replace", entry, outcome);
	json_decref(addresses);
	json_decref(routes);
	return err;
}

/* Interfaces before the VLANs on them, whatever their order in the file. */
int ip_set_links(const json_t *links, struct outcome *outcome)
{
	const json_t *link;
	int err = 0;
	size_t i;

	for (int vlan = 0; vlan <= 1; vlan++)
		json_array_foreach (links, i, link) {
			if (err || (*ip_text(link, "parent") != '\0') != vlan)
				continue;
			err = set_link(link, outcome);
			if (!err)
				err = set_addresses(link, outcome);
		}
	return err;
}

/* ---- as it was ---- */

static void remove_set(const char *interface, const json_t *entry, const json_t *routes,
		       const json_t *wanted, struct outcome *outcome)
{
	json_t *stay_addresses = addresses_of(wanted), *stay_routes = routes_of(wanted);
	const json_t *was = json_object_get(json_object_get(entry, "was"), "addresses"), *link;
	json_t *list, *value;
	size_t i, k;

	json_array_foreach (json_object_get(entry, "sets"), i, link) {
		list = routes_of(link);
		json_array_foreach (list, k, value)
			if (!has_route(routes, value) && !has_route(stay_routes, value))
				change_route("delete", value, outcome);
		json_decref(list);
		list = addresses_of(link);
		json_array_foreach (list, k, value)
			if (!ip_listed(was, value) && !ip_listed(stay_addresses, value))
				change_address("delete", json_string_value(value), interface,
					       outcome);
		json_decref(list);
	}
	json_decref(stay_addresses);
	json_decref(stay_routes);
}

static int put_mtu_back(const char *interface, const json_t *was, struct outcome *outcome)
{
	json_t *is = ip_link(interface);
	char mtu[12];
	int err = 0;

	if (!is && if_nametoindex(interface))
		return outcome_fail(outcome, -EIO, "ip does not say how %s is", interface);
	snprintf(mtu, sizeof(mtu), "%u", number(was, "mtu"));
	if (is && number(was, "mtu") != number(is, "mtu"))
		err = exec_words(outcome, "ip", "link", "set", interface, "mtu", mtu, NULL);
	json_decref(is);
	return err;
}

int ip_reduce(const char *interface, const json_t *entry, const json_t *routes, const json_t *link,
	      struct outcome *outcome)
{
	const json_t *was = json_object_get(entry, "was");

	remove_set(interface, entry, routes, link, outcome);
	return was && !number(link, "mtu") ? put_mtu_back(interface, was, outcome) : 0;
}

int ip_put_back(const char *interface, json_t *entry, const json_t *routes, struct outcome *outcome)
{
	const json_t *was = json_object_get(entry, "was"), *address;
	json_t *is = ip_link(interface);
	int err = 0, result;
	size_t i;

	if (!is && if_nametoindex(interface))
		return outcome_fail(outcome, -EIO, "ip does not say how %s is", interface);
	if (was && is)
		remove_set(interface, entry, routes, NULL, outcome);
	json_array_clear(json_object_get(entry, "sets"));
	json_decref(is);
	if (!was || !is)
		return is ? exec_words(outcome, "ip", "link", "delete", interface, NULL) : 0;
	err = put_mtu_back(interface, was, outcome);
	/* Now: with one address others may have gone, with a small MTU all of IPv6. */
	is = ip_link(interface);
	json_array_foreach (json_object_get(was, "addresses"), i, address)
		if (!ip_listed(json_object_get(is, "addresses"), address)) {
			result = change_address("replace", json_string_value(address), interface,
						outcome);
			err = err ? err : result;
		}
	if (json_is_false(json_object_get(was, "up"))) {
		result = exec_words(outcome, "ip", "link", "set", interface, "down", NULL);
		err = err ? err : result;
	}
	json_decref(is);
	return err;
}

/* Does this have to do with what was changed? */
static bool concerns(const json_t *links, const json_t *route)
{
	const json_t *entry, *link, *other;
	const char *interface;
	bool found = json_object_get(links, ip_text(route, "dev"));
	size_t i, k;

	json_object_foreach ((json_t *)links, interface, entry)
		json_array_foreach (json_object_get(entry, "sets"), i, link) {
			json_t *list = routes_of(link);

			json_array_foreach (list, k, other)
				found |= !strcmp(ip_text(other, "dst"), ip_text(route, "dst"));
			json_decref(list);
		}
	return found;
}

/* Those to put back: what could not be the last time, or else what this record's links changed. */
static json_t *routes_lost(const json_t *record)
{
	json_t *list = json_array(), *missing = json_object_get(record, "missing"), *route;
	size_t i;

	json_array_foreach (missing ? missing : json_object_get(record, "routes"), i, route)
		if (missing || concerns(json_object_get(record, "links"), route))
			json_array_append(list, route);
	return list;
}

/* Has it still what a scheme set? */
static bool is_set(const json_t *links, const char *interface)
{
	return json_array_size(json_object_get(json_object_get(links, interface), "sets")) > 0;
}

/* Leaves those that could not be in the list; and those of links that are to lose an address yet:
 * with its last one a link loses its routes. */
static int put_routes_back(json_t *list, const json_t *links, struct outcome *outcome)
{
	json_t *now = ip_routes(), *route;
	int err = 0, result;
	size_t i = 0;

	while ((route = json_array_get(list, i))) {
		if (is_set(links, ip_text(route, "dev"))) {
			i++;
			continue;
		}
		result = 0;
		if (!ip_listed(now, route) && if_nametoindex(ip_text(route, "dev")))
			result = change_route("replace", route, outcome);
		if (result)
			i++;
		else
			json_array_remove(list, i);
		err = err ? err : result;
	}
	json_decref(now);
	return err;
}

/* Is there a link that still has what a scheme set? */
static bool any_set(const json_t *links)
{
	const char *interface;
	const json_t *entry;

	json_object_foreach ((json_t *)links, interface, entry)
		if (is_set(links, interface))
			return true;
	return false;
}

int ip_put_all_back(json_t *record, struct outcome *outcome)
{
	json_t *links = json_object_get(record, "links"), *lost = routes_lost(record), *entry;
	const json_t *routes = json_object_get(record, "routes");
	const char *interface;
	int err = 0, result;
	void *next;

	/* VLANs go before what they are on. */
	for (int there = 0; there <= 1; there++)
		json_object_foreach_safe(links, next, interface, entry)
		{
			if ((json_object_get(entry, "was") != NULL) != there)
				continue;
			result = ip_put_back(interface, entry, routes, outcome);
			err = err ? err : result;
			if (!result)
				json_object_del(links, interface);
		}
	result = put_routes_back(lost, links, outcome);
	if (!any_set(links))
		json_object_del(record, "routes");
	json_object_set_new(record, "missing", lost);
	return err ? err : result;
}
