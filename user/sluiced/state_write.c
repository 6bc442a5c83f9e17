/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing it: as JSON, because the reader may be another version and must be able to say what it
 * does not understand.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"

static json_t *pack_generation(const struct state_generation *generation, bool fds)
{
	return json_pack("{s:I, s:I, s:i, s:i, s:I, s:I, s:I}", "number",
			 (json_int_t)generation->number, "conf_inode",
			 (json_int_t)generation->conf_inode, "conf", fds ? generation->conf_fd : -1,
			 "access", fds ? generation->access_fd : -1, "uid",
			 (json_int_t)generation->uid, "gid", (json_int_t)generation->gid, "workers",
			 (json_int_t)generation->nworkers);
}

static json_t *pack_worker(const struct state_worker *worker, bool fds)
{
	json_t *connects = json_array();

	/* After a crash the worker asks again by itself. */
	for (unsigned i = 0; fds && i < worker->nconnects; i++)
		json_array_append_new(connects,
				      json_pack("[I, I, I]", (json_int_t)worker->connects[i].id,
						(json_int_t)worker->connects[i].service,
						(json_int_t)worker->connects[i].origin));
	return json_pack("{s:I, s:I, s:i, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:i, s:i, s:o}", "pid",
			 (json_int_t)worker->pid, "born", (json_int_t)worker->born, "role",
			 (int)worker->role, "index", (json_int_t)worker->index, "generation",
			 (json_int_t)worker->generation, "phase", worker->phase, "started_ms",
			 (json_int_t)worker->started_ms, "drain_by_ms",
			 (json_int_t)worker->drain_by_ms, "slots", (json_int_t)worker->nstats,
			 "stats_inode", (json_int_t)worker->stats_inode, "sock",
			 fds ? worker->sock : -1, "stats", fds ? worker->stats_fd : -1, "connects",
			 connects);
}

static json_t *pack_want(const struct tenant_want *want)
{
	json_t *ports = json_array();

	for (unsigned i = 0; i < want->nports; i++)
		json_array_append_new(ports, json_integer(want->ports[i]));
	return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:i, s:i, s:i, s:o, s:b}", "name", want->name,
			 "netns", want->netns, "interface", want->interface, "l3_interface",
			 want->l3_interface, "network", want->network, "bridge", (int)want->bridge,
			 "fail", (int)want->fail, "guard", (int)want->guard, "ports", ports, "ipv6",
			 (int)want->ipv6);
}

static json_t *pack_gate(const struct gate *gate, bool fds)
{
	json_t *listeners = json_array();

	if (!gate->attached) {
		json_decref(listeners);
		return json_null();
	}
	for (unsigned i = 0; i < gate->nlisteners; i++) {
		const struct gate_listener *listener = &gate->listeners[i];

		json_array_append_new(listeners,
				      json_pack("[i, i, i, i, I]", fds ? listener->fd : -1,
						(int)listener->family, (int)listener->worker,
						(int)listener->port, (json_int_t)listener->cookie));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "cookie",
			 (json_int_t)gate->key.netns_cookie, "ifindex",
			 (json_int_t)gate->key.ifindex, "l3_ifindex", (json_int_t)gate->l3_ifindex,
			 "inode", (json_int_t)gate->netns_inode, "interface", gate->interface,
			 "l3_interface", gate->l3_interface, "kind", gate->kind, "ipv6",
			 (int)gate->ipv6, "route4", (int)gate->route4, "route6", (int)gate->route6,
			 "listeners", listeners);
}

static json_t *pack_retired(const struct sl_relay *relay)
{
	json_t *object = json_object();

#define X(field, text)                                                                             \
	if (relay->field)                                                                          \
		json_object_set_new(object, #field, json_integer((json_int_t)relay->field));
	SL_RELAY_COUNTERS(X)
#undef X
	return object;
}

static json_t *pack_tenant(const struct tenant *tenant, bool fds)
{
	/* Earlier versions refuse keys that they do not know: not where the gate's says it. */
	json_t *cookie = tenant->cookie && !tenant->gate.attached
				 ? json_integer((json_int_t)tenant->cookie)
				 : NULL;

	return json_pack("{s:I, s:I, s:b, s:b, s:i, s:s, s:o, s:o, s:{s:b, s:i, s:I, s:I}, s:o,"
			 " s:o*}",
			 "id", (json_int_t)tenant->id, "slot", (json_int_t)tenant->slot,
			 "from_conf", (int)tenant->from_conf, "discovered", (int)tenant->discovered,
			 "state", (int)tenant->state, "reason", tenant->reason, "want",
			 pack_want(&tenant->want), "gate", pack_gate(&tenant->gate, fds), "guard",
			 "raised_now", (int)tenant->guard.raised_now, "hook",
			 (int)tenant->guard.hook, "raised", (json_int_t)tenant->guard.raised,
			 "lowered", (json_int_t)tenant->guard.lowered, "retired",
			 pack_retired(&tenant->retired), "cookie", cookie);
}

json_t *state_layout(void)
{
	return json_pack("{s:i, s:i, s:i, s:i}", "abi", SL_ABI_VERSION, "protocol", PROTO_VERSION,
			 "relay", (int)sizeof(struct sl_relay), "verdicts",
			 (int)sizeof(struct sl_verdicts));
}

static json_t *pack_generations(const struct state *state, bool fds)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < state->ngenerations; i++)
		if (json_array_append_new(list, pack_generation(&state->generations[i], fds)))
			goto fail;
	return list;
fail:
	json_decref(list);
	return NULL;
}

static json_t *pack_workers(const struct state *state, bool fds)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < state->nworkers; i++)
		if (json_array_append_new(list, pack_worker(&state->workers[i], fds)))
			goto fail;
	return list;
fail:
	json_decref(list);
	return NULL;
}

static json_t *pack_tenants(const struct state *state, bool fds)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < state->ntenants; i++)
		if (json_array_append_new(list, pack_tenant(state->tenants[i], fds)))
			goto fail;
	return list;
fail:
	json_decref(list);
	return NULL;
}

/* Takes root over; NULL is fine. */
static char *dump_line(json_t *root, size_t *ret_len)
{
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(root);
	if (!text)
		return NULL;
	text[len] = '\n'; /* where its NUL was */
	*ret_len = len + 1;
	return text;
}

char *state_write(const struct state *state, bool with_fds, size_t *ret_len)
{
	json_t *root = json_pack(
		"{s:i, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:o, s:o, s:o}", "format",
		STATE_FORMAT, "version", state->version, "layout", state_layout(), "started_ms",
		(json_int_t)state->started_ms, "upgrades", (json_int_t)state->upgrades, "next_id",
		(json_int_t)state->next_id, "next_slot", (json_int_t)state->next_slot, "generation",
		(json_int_t)state->generation, "lock", with_fds ? state->lock_fd : -1, "control",
		with_fds ? state->control_fd : -1, "generations", pack_generations(state, with_fds),
		"workers", pack_workers(state, with_fds), "tenants", pack_tenants(state, with_fds));

	return dump_line(root, ret_len);
}

char *state_write_change(const struct state *state, const uint32_t *gone, size_t ngone,
			 size_t *ret_len)
{
	json_t *list = json_array(), *root;
	bool complete = list;

	for (size_t i = 0; i < ngone; i++)
		complete &= !json_array_append_new(list, json_integer(gone[i]));
	root = json_pack("{s:I, s:I, s:I, s:o, s:o}", "next_id", (json_int_t)state->next_id,
			 "next_slot", (json_int_t)state->next_slot, "generation",
			 (json_int_t)state->generation, "tenants", pack_tenants(state, false),
			 "gone", list);
	if (root && state->ngenerations)
		complete &=
			!json_object_set_new(root, "generations", pack_generations(state, false)) &&
			!json_object_set_new(root, "workers", pack_workers(state, false));
	if (!complete) {
		json_decref(root);
		root = NULL;
	}
	return dump_line(root, ret_len);
}
