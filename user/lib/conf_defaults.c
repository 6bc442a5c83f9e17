/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values for what a file leaves out. libcyaml leaves zeroes behind; whether a zero was
 * written is asked from the document.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_impl.h"
#include "conf_numbers.h"

static bool given(struct conf_doc *doc, const char *path)
{
	size_t line, column;

	return conf_doc_find(doc, path, &line, &column);
}

static void set_number(void *base, const struct conf_number *number)
{
	if (number->size == sizeof(uint64_t))
		*(uint64_t *)((char *)base + number->offset) = number->preset;
	else
		*(uint32_t *)((char *)base + number->offset) = (uint32_t)number->preset;
}

static void fill_numbers(void *base, struct conf_doc *doc, const char *prefix,
			 const struct conf_number *numbers, size_t count)
{
	char path[128];

	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s%s", prefix, numbers[i].key);
		if (!given(doc, path))
			set_number(base, &numbers[i]);
	}
}

static int fill_listen(struct conf_listen *listen, struct conf_doc *doc)
{
	static const uint16_t ports[] = { 80, 8080 };

	if (!listen->ports) {
		listen->ports = malloc(sizeof(ports));
		if (!listen->ports)
			return -ENOMEM;
		memcpy(listen->ports, ports, sizeof(ports));
		listen->ports_count = CYAML_ARRAY_LEN(ports);
	}
	if (!given(doc, "listen.ipv6"))
		listen->ipv6 = true;
	return 0;
}

static int fill_route(struct conf_route *route)
{
	if (route->methods)
		return 0;
	route->methods = calloc(2, sizeof(*route->methods));
	if (!route->methods)
		return -ENOMEM;
	route->methods_count = 2;
	route->methods[0] = strdup("GET");
	route->methods[1] = strdup("HEAD");
	return route->methods[0] && route->methods[1] ? 0 : -ENOMEM;
}

static void fill_tenant(struct conf *conf, struct conf_doc *doc, unsigned index)
{
	struct conf_tenant *tenant = &conf->tenants[index];
	char path[64];

	snprintf(path, sizeof(path), "tenants[%u].ipv6", index);
	if (!given(doc, path))
		tenant->ipv6 = conf->listen.ipv6;
	snprintf(path, sizeof(path), "tenants[%u].guard", index);
	if (!given(doc, path))
		tenant->guard = conf->guard.mode;
}

static int fill_discover(struct conf *conf, struct conf_doc *doc, unsigned index)
{
	struct conf_discover *rule = &conf->discover[index];
	char path[64];

	snprintf(path, sizeof(path), "discover[%u].ipv6", index);
	if (!given(doc, path))
		rule->ipv6 = conf->listen.ipv6;
	snprintf(path, sizeof(path), "discover[%u].guard", index);
	if (!given(doc, path))
		rule->guard = conf->guard.mode;
	if (!rule->tenant && !(rule->tenant = strdup("{namespace}.{interface}")))
		return -ENOMEM;
	if (!rule->network && !(rule->network = strdup("{namespace}")))
		return -ENOMEM;
	return 0;
}

int conf_fill_defaults(struct conf *conf, struct conf_doc *doc)
{
	char prefix[32];
	int err;

	fill_numbers(conf, doc, "", conf_numbers, CONF_NUMBERS);
	err = fill_listen(&conf->listen, doc);
	if (err < 0)
		return err;
	if (!conf->relay.user && !(conf->relay.user = strdup("sluice")))
		return -ENOMEM;
	if (!conf->metrics.user && !(conf->metrics.user = strdup("sluice-metrics")))
		return -ENOMEM;
	for (unsigned i = 0; i < conf->services_count; i++) {
		snprintf(prefix, sizeof(prefix), "services[%u].", i);
		fill_numbers(&conf->services[i], doc, prefix, conf_service_numbers,
			     CONF_SERVICE_NUMBERS);
	}
	for (unsigned i = 0; i < conf->routes_count; i++) {
		err = fill_route(&conf->routes[i]);
		if (err < 0)
			return err;
	}
	for (unsigned i = 0; i < conf->tenants_count; i++)
		fill_tenant(conf, doc, i);
	for (unsigned i = 0; i < conf->discover_count; i++) {
		err = fill_discover(conf, doc, i);
		if (err < 0)
			return err;
	}
	return 0;
}
