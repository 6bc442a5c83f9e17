/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine has one entry for its MAC alone and one for each of its addresses. Entries are counted
 * by nobody but the map: what it has no room for stays out, and says so.
 */
#include "binder_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../gate/gate.h"
#include "../lib/binding.h"
#include "../lib/conf.h"
#include "../lib/log.h"
#include "tenants.h"

static const uint8_t nowhere[16];

bool binder_guard_fits(const struct conf *conf, const struct binding_list *list)
{
	size_t most = conf->limits.bindings, keys = 0;

	for (size_t i = 0; i < list->count; i++)
		keys += 1 + list->list[i]->naddresses;
	return list->count <= most && keys <= most * BINDER_GUARD_KEYS;
}

static struct sl_binding_key key_of(const struct gate *gate, const struct binding *binding,
				    const uint8_t address[16])
{
	struct sl_binding_key key = {
		.netns_cookie = gate->key.netns_cookie,
		.l3_ifindex = gate->l3_ifindex,
	};

	memcpy(key.mac, binding->mac, sizeof(key.mac));
	memcpy(key.address, address, sizeof(key.address));
	return key;
}

static struct sl_binding value_of(const struct binding *binding)
{
	struct sl_binding value = { 0 };

	strncpy(value.instance, binding->instance, sizeof(value.instance) - 1);
	strncpy(value.project, binding->project, sizeof(value.project) - 1);
	return value;
}

/* Index 0 is the MAC alone. */
static const uint8_t *address_of(const struct binding *binding, unsigned index)
{
	return index ? binding->addresses[index - 1] : nowhere;
}

/* Whether list has the same machine under this MAC and address. */
static bool covers(const struct binding_list *list, const struct binding *binding, unsigned index)
{
	const struct binding *other = bindings_find(list, binding->tenant, binding->mac);

	return other && binding_same(other, binding) &&
	       (!index || binding_has(other, address_of(binding, index)));
}

static void report(const struct tenant *tenant, const char *what, int err)
{
	static struct log_limit limit = LOG_LIMIT(10000, 3);
	uint32_t left_out;

	if (err && log_allowed(&limit, &left_out))
		log_error("tenant %s: %s: %s (%u lines left out)", tenant->want.name, what,
			  err == -E2BIG ? "the map of port bindings is full: raise limits.bindings "
					  "and restart"
					: strerror(-err),
			  left_out);
}

void binder_guard_close(const struct sluiced *sluiced, const struct tenant *tenant,
			const struct binding_list *from, const struct binding_list *kept)
{
	for (size_t at = bindings_first(from, tenant->want.name); at < from->count; at++) {
		const struct binding *binding = from->list[at];

		if (strcmp(binding->tenant, tenant->want.name))
			return;
		for (unsigned i = 0; i <= binding->naddresses; i++) {
			struct sl_binding_key key =
				key_of(&tenant->gate, binding, address_of(binding, i));

			if (!kept || !covers(kept, binding, i))
				report(tenant, "a port binding cannot be taken back",
				       gate_load_binding_del(sluiced->load, &key));
		}
	}
}

void binder_guard_open(const struct sluiced *sluiced, const struct tenant *tenant,
		       const struct binding_list *to, const struct binding_list *had)
{
	for (size_t at = bindings_first(to, tenant->want.name); at < to->count; at++) {
		const struct binding *binding = to->list[at];
		struct sl_binding value = value_of(binding);

		if (strcmp(binding->tenant, tenant->want.name))
			return;
		for (unsigned i = 0; i <= binding->naddresses; i++) {
			struct sl_binding_key key =
				key_of(&tenant->gate, binding, address_of(binding, i));

			if (!had || !covers(had, binding, i))
				report(tenant, "a machine with a port binding is kept out",
				       gate_load_binding_put(sluiced->load, &key, &value));
		}
	}
}

void binder_guard_enforce(const struct sluiced *sluiced, struct tenant *tenant, bool bound)
{
	report(tenant,
	       bound ? "port bindings cannot be enforced" : "port bindings cannot be lifted",
	       gate_bind(&tenant->gate, sluiced->load, bound));
}

/* ---- what an earlier parent left --------------------------------------------------------------
 */

struct sweep {
	const struct binding_list *list;
	const struct tenant **tenants; /* in the order of their gates */
	size_t count;
};

static int by_gate(const void *a, const void *b)
{
	const struct tenant *x = *(const struct tenant *const *)a;
	const struct tenant *y = *(const struct tenant *const *)b;

	if (x->gate.key.netns_cookie != y->gate.key.netns_cookie)
		return x->gate.key.netns_cookie < y->gate.key.netns_cookie ? -1 : 1;
	return (x->gate.l3_ifindex > y->gate.l3_ifindex) -
	       (x->gate.l3_ifindex < y->gate.l3_ifindex);
}

static bool is_wanted(const struct sl_binding_key *key, const struct sl_binding *value, void *arg)
{
	const struct sweep *sweep = arg;
	const struct tenant wanted = { .gate = { .key.netns_cookie = key->netns_cookie,
						 .l3_ifindex = key->l3_ifindex } };
	const struct tenant *pointer = &wanted, **found;
	const struct binding *binding;
	struct sl_binding should;

	found = bsearch(&pointer, sweep->tenants, sweep->count, sizeof(struct tenant *), by_gate);
	binding = found ? bindings_find(sweep->list, (*found)->want.name, key->mac) : NULL;
	if (!binding ||
	    (memcmp(key->address, nowhere, sizeof(nowhere)) && !binding_has(binding, key->address)))
		return false;
	should = value_of(binding);
	return !memcmp(&should, value, sizeof(should));
}

void binder_guard_sweep(const struct sluiced *sluiced, const struct binding_list *list)
{
	struct tenants *all = sluiced->tenants;
	struct sweep sweep = { .list = list };
	struct tenant *tenant = NULL;
	int gone;

	sweep.tenants = calloc(tenants_count(all) + 1u, sizeof(struct tenant *));
	while (sweep.tenants && (tenant = tenants_next(all, tenant)))
		if (tenant->gate.attached)
			sweep.tenants[sweep.count++] = tenant;
	if (sweep.count)
		qsort(sweep.tenants, sweep.count, sizeof(struct tenant *), by_gate);
	gone = gate_load_binding_sweep(sluiced->load, is_wanted, &sweep);
	if (gone > 0)
		log_info("%d entries of earlier port bindings removed", gone);
	free(sweep.tenants);
}
