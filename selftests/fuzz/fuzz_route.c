/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes, Host and identity, as one request meets them: "METHOD TARGET HOST" and a
 * namespace's name, separated by LF. The route found is the longest that matches; no
 * identity line holds a line end of its own.
 */
#include <stdio.h>

#include "../../user/lib/http_path.h"
#include "../../user/relay/identity.c"
#include "../../user/relay/route.c"
#include "fuzz.h"

/* The configuration owns its strings, so they are not const. */
#define S(text) ((char *)(text))

static char *methods[] = { S("GET"), S("HEAD") };
static char *hosts[] = { S("metadata.google.internal"), S("10.1.2.3"), S("[fd00::6]") };
static struct conf_service services[] = { { .name = S("a") }, { .name = S("b") } };
static struct conf_route routes[] = {
	{ S("/repo"), S("a"), methods, 2, NULL },
	{ S("/"), S("b"), methods, 2, NULL },
	{ S("/latest/api"), S("b"), methods, 2, S("X-Token") },
	{ S("/latest/"), S("a"), methods, 1, NULL },
};
static const struct conf conf = {
	.listen = { .hosts = hosts, .hosts_count = 3 },
	.services = services,
	.services_count = 2,
	.routes = routes,
	.routes_count = 4,
};

/* The part of the input up to the next LF. */
static char *take(const uint8_t **data, size_t *size, size_t *ret_len)
{
	const uint8_t *end = *size ? memchr(*data, '\n', *size) : NULL;
	size_t len = end ? (size_t)(end - *data) : *size;
	char *part = fuzz_copy(*data, len);

	*ret_len = len;
	*data += len + (end != NULL);
	*size -= len + (end != NULL);
	return part;
}

static void check_route(const struct route_table *table, const char *target, size_t len)
{
	static struct http_head head;
	char *path = malloc(3 * len + 1);
	struct route_verdict verdict;
	const char *why;
	size_t path_len;

	assert(path);
	head.method_at.len = 3;
	if (http_path_normalise(target, len, path, 3 * len + 1, &path_len, &why) > 0) {
		route_find(table, &head, "GET", path, path_len, &verdict);
		assert(verdict.status == 0 || verdict.status == 403);
		assert(verdict.route < 4 && verdict.service < 2);
		for (unsigned i = 0; i < conf.routes_count; i++)
			if (http_path_has_prefix(path, path_len, routes[i].path,
						 strlen(routes[i].path)))
				assert(strlen(routes[i].path) <=
				       strlen(routes[verdict.route].path));
	}
	free(path);
}

static void check_identity(const char *network, size_t len, const char *target, size_t target_len)
{
	char *name = malloc(len + 1), lines[IDENTITY_MAX];
	struct identity_input in = {
		.tenant = name,
		.network = name,
		.instance = name,
		.project = name,
		.method = "GET",
		.method_len = 3,
		.target = target,
		.target_len = target_len,
		.time = 1700000000,
	};

	assert(name);
	if (len)
		memcpy(name, network, len);
	name[len] = '\0';
	for (int kind = CONF_IDENTITY_NONE; kind <= CONF_IDENTITY_NOVA; kind++) {
		int n = identity_write(kind, "secret", &in, lines, sizeof(lines)), ends = 0;

		if (n <= 0)
			continue;
		assert(n < IDENTITY_MAX && lines[n - 2] == '\r' && lines[n - 1] == '\n');
		for (int i = 0; i < n; i++) {
			assert(lines[i] >= 0x20 || lines[i] == '\r' || lines[i] == '\n');
			ends += lines[i] == '\n' && lines[i - 1] == '\r';
		}
		assert(ends <= 5);
	}
	free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct route_table *table;
	size_t target_len, host_len, network_len;
	char *target, *host, *network;

	if (!table)
		assert(!route_table_new(&conf, &table));
	target = take(&data, &size, &target_len);
	host = take(&data, &size, &host_len);
	network = take(&data, &size, &network_len);
	check_route(table, target, target_len);
	if (route_host_allowed(table, host, host_len, 80))
		assert(route_host_allowed(table, host, host_len, 0));
	check_identity(network, network_len, target, target_len);
	free(target);
	free(host);
	free(network);
	return 0;
}
