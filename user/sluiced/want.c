/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies own all their strings; a half-made copy frees itself.
 */
#include "want.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/glob.h"
#include "../lib/log.h"
#include "../lib/text.h"

static int copy_string(char **ret, const char *from)
{
	if (!from)
		return 0;
	*ret = strdup(from);
	return *ret ? 0 : -ENOMEM;
}

static int copy_strings(struct tenant_want *want, const char *name, const char *netns,
			const char *interface, const char *l3_interface, const char *network)
{
	want->name = want->netns = want->interface = want->l3_interface = want->network = NULL;
	if (!copy_string(&want->name, name) && !copy_string(&want->netns, netns) &&
	    !copy_string(&want->interface, interface) &&
	    !copy_string(&want->l3_interface, l3_interface) &&
	    !copy_string(&want->network, network))
		return 0;
	want_free(want);
	return -ENOMEM;
}

int want_copy(struct tenant_want *ret, const struct tenant_want *from)
{
	*ret = *from;
	return copy_strings(ret, from->name, from->netns, from->interface, from->l3_interface,
			    from->network);
}

int want_set_ports(struct tenant_want *want, const uint16_t *ports, unsigned count)
{
	unsigned n = 0;
	uint16_t sorted[SL_PORTS_MAX] = { 0 };

	for (unsigned i = 0; i < count; i++) {
		unsigned at = 0;

		if (!ports[i])
			return -EINVAL;
		while (at < n && sorted[at] < ports[i])
			at++;
		if (at < n && sorted[at] == ports[i])
			continue;
		if (n == SL_PORTS_MAX)
			return -E2BIG;
		memmove(sorted + at + 1, sorted + at, (n - at) * sizeof(*sorted));
		sorted[at] = ports[i];
		n++;
	}
	memcpy(want->ports, sorted, sizeof(sorted));
	want->nports = n;
	return 0;
}

int want_from_conf(struct tenant_want *ret, const struct conf *conf, const struct conf_tenant *from)
{
	struct tenant_want want = {
		.bridge = from->bridge,
		.fail = from->fail,
		.guard = from->guard,
		.ipv6 = from->ipv6,
	};
	int err = from->ports_count
			  ? want_set_ports(&want, from->ports, from->ports_count)
			  : want_set_ports(&want, conf->listen.ports, conf->listen.ports_count);

	if (!err)
		err = copy_strings(&want, from->name, from->netns, from->interface,
				   from->l3_interface, want_network(from->netns));
	if (!err)
		*ret = want;
	return err;
}

static int from_rule(struct tenant_want *ret, const struct conf *conf,
		     const struct conf_discover *rule, char *name, char *network, char *netns,
		     char *interface)
{
	*ret = (struct tenant_want){
		.name = name,
		.netns = netns,
		.interface = interface,
		.network = network,
		.bridge = rule->bridge,
		.fail = rule->fail,
		.guard = rule->guard,
		.ipv6 = rule->ipv6,
	};
	return rule->ports_count
		       ? want_set_ports(ret, rule->ports, rule->ports_count)
		       : want_set_ports(ret, conf->listen.ports, conf->listen.ports_count);
}

bool want_discovered(struct tenant_want *ret, const struct conf *conf, char *netns, char *interface,
		     char *name, char *network, size_t size)
{
	static struct log_limit limit = LOG_LIMIT(60000, 10);
	uint32_t left_out;

	for (unsigned i = 0; i < conf->discover_count; i++) {
		const struct conf_discover *rule = &conf->discover[i];
		struct glob_captures captures = { 0 };

		if (!glob_match(rule->namespaces, netns, &captures) ||
		    !glob_match(rule->interfaces, interface, &captures))
			continue;
		if (text_is_plain(netns) && text_is_plain(interface) &&
		    !glob_expand(rule->tenant, netns, interface, &captures, name, size) &&
		    want_name_valid(name) &&
		    !glob_expand(rule->network, netns, interface, &captures, network, size) &&
		    !from_rule(ret, conf, rule, name, network, netns, interface))
			return true;
		if (log_allowed(&limit, &left_out))
			log_error("%s in %s matches rule %u of discover, but is no plain text, or "
				  "makes no tenant's name (63 letters, digits, '.', '_', '-')",
				  interface, netns, i + 1);
		return false;
	}
	return false;
}

const char *want_network(const char *netns)
{
	const char *slash = strrchr(netns, '/');

	if (!strncmp(netns, "pid:", 4))
		return NULL;
	return slash ? slash + 1 : netns;
}

const char *want_space(const char *netns)
{
	static const char *const dirs[] = { "/run/netns/", "/var/run/netns/" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (!strncmp(netns, dirs[i], strlen(dirs[i])))
			return netns + strlen(dirs[i]);
	return netns;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

const char *want_change(const struct tenant_want *a, const struct tenant_want *b)
{
	if (!same(a->name, b->name))
		return "name";
	if (!same(a->netns, b->netns))
		return "namespace";
	if (!same(a->interface, b->interface) || !same(a->l3_interface, b->l3_interface))
		return "interface";
	if (!same(a->network, b->network))
		return "network";
	if (a->bridge != b->bridge)
		return "bridge";
	if (a->ipv6 != b->ipv6)
		return "ipv6";
	if (a->nports != b->nports || memcmp(a->ports, b->ports, a->nports * sizeof(*a->ports)))
		return "list of ports";
	return NULL;
}

bool want_equal(const struct tenant_want *a, const struct tenant_want *b)
{
	return !want_change(a, b) && a->fail == b->fail && a->guard == b->guard;
}

void want_free(struct tenant_want *want)
{
	free(want->name);
	free(want->netns);
	free(want->interface);
	free(want->l3_interface);
	free(want->network);
	memset(want, 0, sizeof(*want));
}

bool want_name_valid(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789-_.");

	return len > 0 && len < SL_NAME_MAX && !name[len] && name[0] != '.' && name[0] != '-';
}
