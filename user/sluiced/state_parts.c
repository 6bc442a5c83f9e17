/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One generation, worker or tenant of a state out of its JSON. Nothing is believed that is not
 * within its bounds. Unknown keys are refused by json_unpack's "!": a newer writer raises the
 * format.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"
#include "state_priv.h"

#define LISTENERS_MAX (2 * SL_PORTS_MAX * SL_WORKERS_MAX)
#define PHASE_MAX     3

int64_t state_bounded(json_int_t value, json_int_t least, json_int_t most, bool *bad)
{
	if (value < least || value > most) {
		*bad = true;
		return least;
	}
	return value;
}

bool state_text_fits(char *ret, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		return false;
	memcpy(ret, text, len + 1);
	return true;
}

bool state_read_generation(json_t *object, struct state_generation *ret)
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
		.nworkers = (unsigned)state_bounded(workers, 1, SL_WORKERS_MAX, &bad),
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

bool state_read_worker(json_t *object, struct state_worker *ret)
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
		.pid = (pid_t)state_bounded(pid, 2, INT_MAX, &bad),
		.born = U64(born, &bad),
		.role = (enum proto_role)state_bounded(role, 0, PROTO_ROLE_BACK, &bad),
		.index = (unsigned)state_bounded(index, 0, SL_WORKERS_MAX - 1, &bad),
		.generation = U32(generation, &bad),
		.phase = (int)state_bounded(phase, 0, PHASE_MAX, &bad),
		.started_ms = U64(started, &bad),
		.drain_by_ms = U64(drain, &bad),
		.nstats = (uint32_t)state_bounded(slots, 1, STATE_TENANTS_MAX, &bad),
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
	want.bridge = (enum conf_bridge)state_bounded(bridge, 0, CONF_BRIDGE_STREAM, &bad);
	want.fail = (enum conf_fail)state_bounded(fail, 0, CONF_FAIL_DROP, &bad);
	want.guard = (enum conf_guard_mode)state_bounded(guard, 0, CONF_GUARD_XDP_GENERIC, &bad);
	want.ipv6 = ipv6;
	if (bad || !want_name_valid(want.name) || !json_is_array(ports) ||
	    !json_array_size(ports) || json_array_size(ports) > SL_PORTS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(ports); i++)
		numbers[i] = (uint16_t)state_bounded(json_integer_value(json_array_get(ports, i)),
						     1, UINT16_MAX, &bad);
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
			.worker = (uint8_t)state_bounded(worker, 0, SL_WORKERS_MAX - 1, &bad),
			.port = (uint16_t)state_bounded(port, 1, UINT16_MAX, &bad),
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
	gate->key.ifindex = (uint32_t)state_bounded(ifindex, 1, INT_MAX, &bad);
	gate->l3_ifindex = (uint32_t)state_bounded(l3_ifindex, 1, INT_MAX, &bad);
	gate->netns_inode = U64(inode, &bad);
	gate->ipv6 = ipv6;
	gate->route4 = route4;
	gate->route6 = route6;
	if (bad || !state_text_fits(gate->interface, sizeof(gate->interface), interface) ||
	    !state_text_fits(gate->l3_interface, sizeof(gate->l3_interface), l3_interface) ||
	    !state_text_fits(gate->kind, sizeof(gate->kind), kind) ||
	    !read_listeners(listeners, gate))
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

void state_free_tenant(struct tenant *tenant)
{
	if (!tenant)
		return;
	free(tenant->gate.listeners);
	want_free(&tenant->want);
	free(tenant);
}

struct tenant *state_read_tenant(json_t *object)
{
	struct tenant *tenant = calloc(1, sizeof(*tenant));
	json_int_t id, slot, state, hook, raised, lowered, cookie = 0;
	int from_conf, discovered, raised_now;
	json_t *want, *gate, *retired;
	const char *reason;
	bool bad = false;

	if (!tenant ||
	    json_unpack(object,
			"{s:I, s:I, s:b, s:b, s:I, s:s, s:o, s:o, s:{s:b, s:I, s:I, s:I !}, s:o,"
			" s?I !}",
			"id", &id, "slot", &slot, "from_conf", &from_conf, "discovered",
			&discovered, "state", &state, "reason", &reason, "want", &want, "gate",
			&gate, "guard", "raised_now", &raised_now, "hook", &hook, "raised", &raised,
			"lowered", &lowered, "retired", &retired, "cookie", &cookie))
		goto fail;
	tenant->id = (uint32_t)state_bounded(id, 1, UINT32_MAX, &bad);
	tenant->slot = (uint32_t)state_bounded(slot, 0, STATE_TENANTS_MAX - 1, &bad);
	tenant->from_conf = from_conf;
	tenant->discovered = discovered;
	tenant->state = (enum tenant_state)state_bounded(state, 0, TENANT_FAILED, &bad);
	tenant->cookie = U64(cookie, &bad);
	tenant->guard.raised_now = raised_now;
	tenant->guard.hook =
		(enum gate_load_xdp)state_bounded(hook, 0, GATE_LOAD_XDP_GENERIC, &bad);
	tenant->guard.raised = U64(raised, &bad);
	tenant->guard.lowered = U64(lowered, &bad);
	if (bad || !state_text_fits(tenant->reason, sizeof(tenant->reason), reason) ||
	    !read_want(want, &tenant->want) || !read_gate(gate, tenant->id, &tenant->gate) ||
	    !read_retired(retired, &tenant->retired))
		goto fail;
	return tenant;
fail:
	state_free_tenant(tenant);
	return NULL;
}
