/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading it: nothing is believed that is not within its bounds. Unknown keys are refused by
 * json_unpack's "!": a newer writer raises the format.
 */
#include "state.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"

#define FD_MAX_VALUE	1048576
#define GENERATIONS_MAX 1024
#define WORKERS_MAX	4096
#define TENANTS_MAX	65536
#define LISTENERS_MAX	(2 * SL_PORTS_MAX * SL_WORKERS_MAX)
#define PHASE_MAX	3

static int refuse(int err, char **ret_why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(int err, char **ret_why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_why, format, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return err;
}

/* An integer within bounds, or a mark that something was wrong. */
static int64_t bounded(json_int_t value, json_int_t least, json_int_t most, bool *bad)
{
	if (value < least || value > most) {
		*bad = true;
		return least;
	}
	return value;
}

#define U32(value, bad) ((uint32_t)bounded(value, 0, UINT32_MAX, bad))
#define U64(value, bad) ((uint64_t)bounded(value, 0, LLONG_MAX, bad))
#define FD(value, bad)	((int)bounded(value, -1, FD_MAX_VALUE, bad))

static bool text_fits(char *ret, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		return false;
	memcpy(ret, text, len + 1);
	return true;
}

static bool read_generation(json_t *object, struct state_generation *ret)
{
	json_int_t number, inode, uid, gid, workers, conf, access;
	bool bad = false;

	if (json_unpack(object, "{s:I, s:I, s:I, s:I, s:I, s:I, s:I !}", "number", &number,
			"conf_inode", &inode, "conf", &conf, "access", &access, "uid", &uid, "gid",
			&gid, "workers", &workers))
		return false;
	*ret = (struct state_generation){
		.number = U32(number, &bad),
		.conf_inode = U64(inode, &bad),
		.conf_fd = FD(conf, &bad),
		.access_fd = FD(access, &bad),
		.uid = U32(uid, &bad),
		.gid = U32(gid, &bad),
		.nworkers = (unsigned)bounded(workers, 1, SL_WORKERS_MAX, &bad),
	};
	return !bad;
}

static bool read_connects(json_t *list, struct state_worker *worker)
{
	size_t count = json_array_size(list);
	bool bad = false;

	if (!json_is_array(list) || count > STATE_CONNECTS_MAX)
		return false;
	worker->connects = calloc(count + 1, sizeof(*worker->connects));
	if (!worker->connects)
		return false;
	for (; worker->nconnects < count; worker->nconnects++) {
		json_int_t id, service, origin;

		if (json_unpack(json_array_get(list, worker->nconnects), "[I, I, I !]", &id,
				&service, &origin))
			return false;
		/* The worker chose the id; all 64 bits are its own. */
		worker->connects[worker->nconnects] =
			(struct state_connect){ (uint64_t)id, U32(service, &bad),
						U32(origin, &bad) };
	}
	return !bad;
}

static bool read_worker(json_t *object, struct state_worker *ret)
{
	json_int_t pid, born, role, index, generation, phase, started, drain, slots, inode, sock,
		stats;
	json_t *connects;
	bool bad = false;

	if (json_unpack(object,
			"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o !}",
			"pid", &pid, "born", &born, "role", &role, "index", &index, "generation",
			&generation, "phase", &phase, "started_ms", &started, "drain_by_ms", &drain,
			"slots", &slots, "stats_inode", &inode, "sock", &sock, "stats", &stats,
			"connects", &connects))
		return false;
	*ret = (struct state_worker){
		.pid = (pid_t)bounded(pid, 2, INT_MAX, &bad),
		.born = U64(born, &bad),
		.role = (enum proto_role)bounded(role, 0, PROTO_ROLE_BACK, &bad),
		.index = (unsigned)bounded(index, 0, SL_WORKERS_MAX - 1, &bad),
		.generation = U32(generation, &bad),
		.phase = (int)bounded(phase, 0, PHASE_MAX, &bad),
		.started_ms = U64(started, &bad),
		.drain_by_ms = U64(drain, &bad),
		.nstats = (uint32_t)bounded(slots, 1, TENANTS_MAX, &bad),
		.stats_inode = U64(inode, &bad),
		.sock = FD(sock, &bad),
		.stats_fd = FD(stats, &bad),
	};
	return !bad && read_connects(connects, ret);
}

static bool text_or_null(json_t *value, char **ret)
{
	*ret = (char *)(uintptr_t)json_string_value(value);
	return *ret || json_is_null(value);
}

static bool read_want(json_t *object, struct tenant_want *ret)
{
	struct tenant_want want = { 0 };
	uint16_t numbers[SL_PORTS_MAX];
	json_int_t bridge, fail, guard;
	json_t *ports, *l3_interface, *network;
	bool bad = false;
	int ipv6;

	if (json_unpack(object, "{s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:o, s:b !}", "name",
			&want.name, "netns", &want.netns, "interface", &want.interface,
			"l3_interface", &l3_interface, "network", &network, "bridge", &bridge,
			"fail", &fail, "guard", &guard, "ports", &ports, "ipv6", &ipv6))
		return false;
	if (!text_or_null(l3_interface, &want.l3_interface) ||
	    !text_or_null(network, &want.network))
		return false;
	want.bridge = (enum conf_bridge)bounded(bridge, 0, CONF_BRIDGE_STREAM, &bad);
	want.fail = (enum conf_fail)bounded(fail, 0, CONF_FAIL_DROP, &bad);
	want.guard = (enum conf_guard_mode)bounded(guard, 0, CONF_GUARD_XDP_GENERIC, &bad);
	want.ipv6 = ipv6;
	if (bad || !want_name_valid(want.name) || !json_is_array(ports) ||
	    !json_array_size(ports) || json_array_size(ports) > SL_PORTS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(ports); i++)
		numbers[i] = (uint16_t)bounded(json_integer_value(json_array_get(ports, i)), 1,
					       UINT16_MAX, &bad);
	if (bad || want_set_ports(&want, numbers, (unsigned)json_array_size(ports)))
		return false;
	return !want_copy(ret, &want);
}

static bool read_listeners(json_t *list, struct gate *gate)
{
	size_t count = json_array_size(list);
	bool bad = false;

	if (!json_is_array(list) || !count || count > LISTENERS_MAX)
		return false;
	gate->listeners = calloc(count, sizeof(*gate->listeners));
	if (!gate->listeners)
		return false;
	for (; gate->nlisteners < count; gate->nlisteners++) {
		json_int_t fd, family, worker, port, cookie;

		if (json_unpack(json_array_get(list, gate->nlisteners), "[I, I, I, I, I !]", &fd,
				&family, &worker, &port, &cookie) ||
		    (family != 4 && family != 6))
			return false;
		gate->listeners[gate->nlisteners] = (struct gate_listener){
			.fd = FD(fd, &bad),
			.family = (uint8_t)family,
			.worker = (uint8_t)bounded(worker, 0, SL_WORKERS_MAX - 1, &bad),
			.port = (uint16_t)bounded(port, 1, UINT16_MAX, &bad),
			.cookie = U64(cookie, &bad),
		};
	}
	return !bad;
}

static bool read_gate(json_t *object, uint32_t tenant, struct gate *gate)
{
	json_int_t cookie, ifindex, l3_ifindex, inode;
	const char *interface, *l3_interface, *kind;
	int ipv6, route4, route6;
	json_t *listeners;
	bool bad = false;

	if (json_is_null(object))
		return true;
	if (json_unpack(object, "{s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:b, s:b, s:b, s:o !}",
			"cookie", &cookie, "ifindex", &ifindex, "l3_ifindex", &l3_ifindex, "inode",
			&inode, "interface", &interface, "l3_interface", &l3_interface, "kind",
			&kind, "ipv6", &ipv6, "route4", &route4, "route6", &route6, "listeners",
			&listeners))
		return false;
	gate->tenant = tenant;
	gate->key.netns_cookie = U64(cookie, &bad);
	gate->key.ifindex = (uint32_t)bounded(ifindex, 1, INT_MAX, &bad);
	gate->l3_ifindex = (uint32_t)bounded(l3_ifindex, 1, INT_MAX, &bad);
	gate->netns_inode = U64(inode, &bad);
	gate->ipv6 = ipv6;
	gate->route4 = route4;
	gate->route6 = route6;
	if (bad || !text_fits(gate->interface, sizeof(gate->interface), interface) ||
	    !text_fits(gate->l3_interface, sizeof(gate->l3_interface), l3_interface) ||
	    !text_fits(gate->kind, sizeof(gate->kind), kind) || !read_listeners(listeners, gate))
		return false;
	gate->attached = true;
	return true;
}

static bool read_retired(json_t *object, struct sl_relay *ret)
{
	bool bad = !json_is_object(object);

#define X(field, text) ret->field = U64(json_integer_value(json_object_get(object, #field)), &bad);
	SL_RELAY_COUNTERS(X)
#undef X
	return !bad;
}

static void free_tenant(struct tenant *tenant)
{
	if (!tenant)
		return;
	free(tenant->gate.listeners);
	want_free(&tenant->want);
	free(tenant);
}

static struct tenant *read_tenant(json_t *object)
{
	struct tenant *tenant = calloc(1, sizeof(*tenant));
	json_int_t id, slot, state, hook, raised, lowered;
	int from_conf, discovered, raised_now;
	json_t *want, *gate, *retired;
	const char *reason;
	bool bad = false;

	if (!tenant ||
	    json_unpack(object,
			"{s:I, s:I, s:b, s:b, s:I, s:s, s:o, s:o, s:{s:b, s:I, s:I, s:I !}, s:o !}",
			"id", &id, "slot", &slot, "from_conf", &from_conf, "discovered",
			&discovered, "state", &state, "reason", &reason, "want", &want, "gate",
			&gate, "guard", "raised_now", &raised_now, "hook", &hook, "raised", &raised,
			"lowered", &lowered, "retired", &retired))
		goto fail;
	tenant->id = (uint32_t)bounded(id, 1, UINT32_MAX, &bad);
	tenant->slot = (uint32_t)bounded(slot, 0, TENANTS_MAX - 1, &bad);
	tenant->from_conf = from_conf;
	tenant->discovered = discovered;
	tenant->state = (enum tenant_state)bounded(state, 0, TENANT_FAILED, &bad);
	tenant->guard.raised_now = raised_now;
	tenant->guard.hook = (enum gate_load_xdp)bounded(hook, 0, GATE_LOAD_XDP_GENERIC, &bad);
	tenant->guard.raised = U64(raised, &bad);
	tenant->guard.lowered = U64(lowered, &bad);
	if (bad || !text_fits(tenant->reason, sizeof(tenant->reason), reason) ||
	    !read_want(want, &tenant->want) || !read_gate(gate, tenant->id, &tenant->gate) ||
	    !read_retired(retired, &tenant->retired))
		goto fail;
	return tenant;
fail:
	free_tenant(tenant);
	return NULL;
}

/* Ids, slots and names are keys. */
static bool tenants_distinct(const struct state *state)
{
	uint8_t *slots = calloc(TENANTS_MAX / 8, 1);
	bool distinct = slots != NULL;

	for (unsigned i = 0; distinct && i < state->ntenants; i++) {
		const struct tenant *tenant = state->tenants[i];

		distinct = !(slots[tenant->slot / 8] & 1 << tenant->slot % 8);
		slots[tenant->slot / 8] |= (uint8_t)(1 << tenant->slot % 8);
		/* Written in the order of their slots, so names and ids are compared rarely. */
		if (tenant->id >= state->next_id)
			distinct = false;
	}
	free(slots);
	return distinct;
}

static const char *read_lists(json_t *generations, json_t *workers, json_t *tenants,
			      struct state *state)
{
	size_t count = json_array_size(generations);

	if (!json_is_array(generations) || count > GENERATIONS_MAX)
		return "generations";
	state->generations = calloc(count + 1, sizeof(*state->generations));
	for (; state->generations && state->ngenerations < count; state->ngenerations++)
		if (!read_generation(json_array_get(generations, state->ngenerations),
				     &state->generations[state->ngenerations]))
			return "generations";
	count = json_array_size(workers);
	if (!json_is_array(workers) || count > WORKERS_MAX)
		return "workers";
	state->workers = calloc(count + 1, sizeof(*state->workers));
	while (state->workers && state->nworkers < count) {
		/* Counted first: what a half-read one holds is freed with the rest. */
		struct state_worker *worker = &state->workers[state->nworkers++];

		if (!read_worker(json_array_get(workers, state->nworkers - 1), worker))
			return "workers";
	}
	count = json_array_size(tenants);
	if (!json_is_array(tenants) || count > TENANTS_MAX)
		return "tenants";
	state->tenants = calloc(count + 1, sizeof(*state->tenants));
	for (; state->tenants && state->ntenants < count; state->ntenants++) {
		state->tenants[state->ntenants] =
			read_tenant(json_array_get(tenants, state->ntenants));
		if (!state->tenants[state->ntenants])
			return "tenants";
	}
	if (!state->generations || !state->workers || !state->tenants)
		return "memory";
	return tenants_distinct(state) ? NULL : "tenants";
}

static int check_layout(json_t *root, char **ret_why)
{
	json_t *mine = state_layout();
	json_t *format = json_object_get(root, "format");
	bool same = json_equal(mine, json_object_get(root, "layout"));
	const char *version = json_string_value(json_object_get(root, "version"));

	json_decref(mine);
	if (!json_is_integer(format))
		return refuse(-EINVAL, ret_why, "it is not a state of sluiced");
	if (json_integer_value(format) != STATE_FORMAT)
		return refuse(-EPROTO, ret_why,
			      "state of format %lld by version %.32s; this is " SLUICE_VERSION
			      ", which reads format %d",
			      (long long)json_integer_value(format), version ? version : "?",
			      STATE_FORMAT);
	if (!same)
		return refuse(-EPROTO, ret_why,
			      "version %.32s lays out its maps, counters or messages to workers in "
			      "another way than " SLUICE_VERSION,
			      version ? version : "?");
	return 0;
}

static int read_root(json_t *root, struct state *state, char **ret_why)
{
	json_int_t format, started, upgrades, next_id, next_slot, generation, lock, control;
	json_t *layout, *generations, *workers, *tenants;
	const char *version, *wrong;
	bool bad = false;
	int err = check_layout(root, ret_why);

	if (err)
		return err;
	if (json_unpack(root, "{s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o !}",
			"format", &format, "version", &version, "layout", &layout, "started_ms",
			&started, "upgrades", &upgrades, "next_id", &next_id, "next_slot",
			&next_slot, "generation", &generation, "lock", &lock, "control", &control,
			"generations", &generations, "workers", &workers, "tenants", &tenants))
		return refuse(-EINVAL, ret_why, "the state lacks something or has too much");
	if (!text_fits(state->version, sizeof(state->version), version))
		bad = true;
	state->started_ms = U64(started, &bad);
	state->upgrades = U32(upgrades, &bad);
	state->next_id = U32(next_id, &bad);
	state->next_slot = U32(next_slot, &bad);
	state->generation = U32(generation, &bad);
	state->lock_fd = FD(lock, &bad);
	state->control_fd = FD(control, &bad);
	wrong = bad ? "numbers" : read_lists(generations, workers, tenants, state);
	return wrong ? refuse(-EINVAL, ret_why, "the state's %s are wrong", wrong) : 0;
}

int state_read(const char *text, size_t len, struct state **ret, char **ret_why)
{
	struct state *state = calloc(1, sizeof(*state));
	json_t *root;
	int err;

	*ret_why = NULL;
	if (!state)
		return -ENOMEM;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	err = root ? read_root(root, state, ret_why)
		   : refuse(-EINVAL, ret_why, "the state is not JSON");
	json_decref(root);
	if (err) {
		state_free(state);
		return err;
	}
	*ret = state;
	return 0;
}

void state_free(struct state *state)
{
	if (!state)
		return;
	for (unsigned i = 0; i < state->ntenants; i++)
		free_tenant(state->tenants[i]);
	for (unsigned i = 0; i < state->nworkers; i++)
		free(state->workers[i].connects);
	free(state->tenants);
	free(state->workers);
	free(state->generations);
	free(state);
}

void state_each_fd(struct state *state, void (*fn)(int *fd, void *arg), void *arg)
{
	fn(&state->lock_fd, arg);
	fn(&state->control_fd, arg);
	for (unsigned i = 0; i < state->ngenerations; i++) {
		fn(&state->generations[i].conf_fd, arg);
		fn(&state->generations[i].access_fd, arg);
	}
	for (unsigned i = 0; i < state->nworkers; i++) {
		fn(&state->workers[i].sock, arg);
		fn(&state->workers[i].stats_fd, arg);
	}
	for (unsigned i = 0; i < state->ntenants; i++)
		for (unsigned l = 0; l < state->tenants[i]->gate.nlisteners; l++)
			fn(&state->tenants[i]->gate.listeners[l].fd, arg);
}
