/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes and accepted hosts, from the configuration (lib/conf), asked by the
 * connection code for each request after its path was normalised (lib/http_path).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"
#include "../lib/http_path.h"
#include "route.h"

struct route_entry {
	const struct conf_route *route;
	size_t path_len; /* without trailing slashes; longer ones come first */
	unsigned index;	 /* into conf.routes */
	unsigned service;
	char *allow;  /* "GET, HEAD" */
	char *reason; /* of a 403; NULL when no header is required */
};

struct route_address {
	int family; /* AF_INET, AF_INET6 */
	uint8_t ip[16];
};

struct route_table {
	const struct conf *conf;
	struct route_entry *entries;
	unsigned nentries;
	struct route_address *addresses; /* the metadata addresses and those of listen.hosts */
	unsigned naddresses;
};

static int find_service(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->services_count; i++)
		if (!strcmp(conf->services[i].name, name))
			return i;
	return -EINVAL;
}

/* "GET, HEAD", to be freed; NULL without memory. */
static char *join_methods(const struct conf_route *route)
{
	size_t size = 1;
	char *text;

	for (unsigned i = 0; i < route->methods_count; i++)
		size += strlen(route->methods[i]) + 2;
	text = malloc(size);
	if (!text)
		return NULL;
	*text = '\0';
	for (unsigned i = 0; i < route->methods_count; i++) {
		if (i)
			strcat(text, ", ");
		strcat(text, route->methods[i]);
	}
	return text;
}

static int entry_init(struct route_entry *entry, const struct conf *conf, unsigned index)
{
	const struct conf_route *route = &conf->routes[index];
	int service = find_service(conf, route->service);

	if (service < 0 || route->path[0] != '/')
		return -EINVAL;
	entry->route = route;
	entry->index = index;
	entry->service = service;
	entry->path_len = strlen(route->path);
	while (entry->path_len && route->path[entry->path_len - 1] == '/')
		entry->path_len--;
	entry->allow = join_methods(route);
	if (!entry->allow)
		return -ENOMEM;
	if (route->require_header &&
	    asprintf(&entry->reason, "This path requires the header %s; send it.",
		     route->require_header) < 0) {
		entry->reason = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	const struct route_entry *one = a, *other = b;

	if (one->path_len != other->path_len)
		return one->path_len < other->path_len ? 1 : -1;
	return one->index < other->index ? -1 : one->index > other->index;
}

/* text[0..len) as an address; IPv6 without brackets, its zone left out. */
static bool parse_address(const char *text, size_t len, struct route_address *ret)
{
	const char *zone = memchr(text, '%', len);
	char copy[INET6_ADDRSTRLEN];

	if (zone)
		len = zone - text;
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	memset(ret, 0, sizeof(*ret));
	ret->family = AF_INET6;
	if (inet_pton(AF_INET6, copy, ret->ip) == 1)
		return true;
	ret->family = AF_INET;
	return !zone && inet_pton(AF_INET, copy, ret->ip) == 1;
}

static void collect_addresses(struct route_table *table, const struct conf_listen *listen)
{
	static const uint8_t ip4[] = SL_META_IP4, ip6[] = SL_META_IP6;
	struct route_address *next = table->addresses;

	next->family = AF_INET;
	memcpy(next++->ip, ip4, sizeof(ip4));
	next->family = AF_INET6;
	memcpy(next++->ip, ip6, sizeof(ip6));
	for (unsigned i = 0; i < listen->hosts_count; i++) {
		const char *host = listen->hosts[i];
		size_t len = strlen(host);

		if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
			host++;
			len -= 2;
		}
		if (parse_address(host, len, next))
			next++;
	}
	table->naddresses = next - table->addresses;
}

int route_table_new(const struct conf *conf, struct route_table **ret_table)
{
	struct route_table *table = calloc(1, sizeof(*table));
	int err = -ENOMEM;

	if (!table)
		return -ENOMEM;
	table->conf = conf;
	table->addresses = calloc(2 + conf->listen.hosts_count, sizeof(*table->addresses));
	table->entries = calloc(conf->routes_count + 1, sizeof(*table->entries));
	if (!table->addresses || !table->entries)
		goto fail;
	collect_addresses(table, &conf->listen);
	for (unsigned i = 0; i < conf->routes_count; i++) {
		table->nentries++;
		err = entry_init(&table->entries[i], conf, i);
		if (err)
			goto fail;
	}
	qsort(table->entries, table->nentries, sizeof(*table->entries), compare_entries);
	*ret_table = table;
	return 0;
fail:
	route_table_free(table);
	return err;
}

void route_table_free(struct route_table *table)
{
	if (!table)
		return;
	for (unsigned i = 0; i < table->nentries; i++) {
		free(table->entries[i].allow);
		free(table->entries[i].reason);
	}
	free(table->entries);
	free(table->addresses);
	free(table);
}

static bool port_is(const char *text, size_t len, uint16_t local_port)
{
	unsigned port = 0;

	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (text[i] - '0');
	}
	return port && port <= UINT16_MAX && (!local_port || port == local_port);
}

static bool address_is_known(const struct route_table *table, const char *text, size_t len,
			     int family)
{
	struct route_address address;

	if (!parse_address(text, len, &address) || address.family != family)
		return false;
	for (unsigned i = 0; i < table->naddresses; i++)
		if (table->addresses[i].family == family &&
		    !memcmp(table->addresses[i].ip, address.ip, sizeof(address.ip)))
			return true;
	return false;
}

static bool name_is_known(const struct conf_listen *listen, const char *name, size_t len)
{
	if (len && name[len - 1] == '.')
		len--;
	for (unsigned i = 0; i < listen->hosts_count; i++)
		if (strlen(listen->hosts[i]) == len && http_case_equal(listen->hosts[i], name, len))
			return true;
	return false;
}

bool route_host_allowed(const struct route_table *table, const char *host, size_t len,
			uint16_t local_port)
{
	static const char usual[] = "169.254.169.254"; /* in every table: collect_addresses() */
	const char *end, *rest;
	size_t name_len;
	bool literal;

	if (len == sizeof(usual) - 1 && !memcmp(host, usual, len))
		return true;
	literal = len && host[0] == '[';
	end = memchr(host, literal ? ']' : ':', len);
	name_len = end ? (size_t)(end - host) : len;
	rest = host + name_len;
	if (literal) {
		if (!end)
			return false;
		rest++;
	}
	if (rest < host + len &&
	    (*rest != ':' || !port_is(rest + 1, host + len - rest - 1, local_port)))
		return false;
	if (literal)
		return address_is_known(table, host + 1, name_len - 1, AF_INET6);
	return name_len && (address_is_known(table, host, name_len, AF_INET) ||
			    name_is_known(&table->conf->listen, host, name_len));
}

static bool method_is_allowed(const struct conf_route *route, const char *method, size_t len)
{
	for (unsigned i = 0; i < route->methods_count; i++)
		if (strlen(route->methods[i]) == len && !memcmp(route->methods[i], method, len))
			return true;
	return false;
}

static bool has_header(const struct http_head *head, const char *buf, const char *name)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < head->nfields; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->name.len == len && field->value.len &&
		    http_case_equal(buf + field->name.at, name, len))
			return true;
	}
	return false;
}

static const struct route_entry *find_entry(const struct route_table *table, const char *path,
					    size_t len)
{
	bool asterisk = len == 1 && path[0] == '*';

	for (unsigned i = 0; i < table->nentries; i++) {
		const struct route_entry *entry = &table->entries[i];

		if (asterisk ? !entry->path_len
			     : http_path_has_prefix(path, len, entry->route->path, entry->path_len))
			return entry;
	}
	return NULL;
}

void route_find(const struct route_table *table, const struct http_head *head, const char *buf,
		const char *path, size_t path_len, struct route_verdict *ret_verdict)
{
	const struct route_entry *entry = find_entry(table, path, path_len);
	struct route_verdict verdict = { 0 };

	if (!entry) {
		verdict.status = 404;
		verdict.reason = "Nothing is served under this path; check it.";
		*ret_verdict = verdict;
		return;
	}
	verdict.route = entry->index;
	verdict.service = entry->service;
	if (!method_is_allowed(entry->route, buf + head->method_at.at, head->method_at.len)) {
		verdict.status = 405;
		verdict.reason = "This path takes other methods; see Allow.";
		verdict.allow = entry->allow;
	} else if (entry->reason && !has_header(head, buf, entry->route->require_header)) {
		verdict.status = 403;
		verdict.reason = entry->reason;
	}
	*ret_verdict = verdict;
}
