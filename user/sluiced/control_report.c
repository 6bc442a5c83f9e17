/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything here is read from the same maps and shared counters that bpftool shows.
 * json_pack() and json_*_new() take NULL members for failure, so one check at the end of
 * each object is enough.
 */
#include "control_report.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../gate/load.h"
#include "generation.h"
#include "ports.h"
#include "stats.h"
#include "supervise.h"
#include "tenants.h"
#include "upgrade.h"

static json_t *report_verdicts(struct sluiced *sluiced, const struct tenant *tenant)
{
	struct sl_verdicts verdicts = { 0 };
	json_t *object = json_object();

	if (tenant->gate.attached)
		gate_load_verdicts_get(sluiced->load, &tenant->gate.key, &verdicts);
#define X(id, field, drop, text)                                                                   \
	json_object_set_new(object, #field, json_integer((json_int_t)verdicts.field));
	SL_VERDICTS(X)
#undef X
	json_object_set_new(object, "xdp_dropped", json_integer((json_int_t)verdicts.xdp_dropped));
	json_object_set_new(object, "bytes", json_integer((json_int_t)verdicts.bytes));
	return object;
}

static json_t *report_relay(struct sluiced *sluiced, const struct tenant *tenant)
{
	json_t *object = json_object();
	struct sl_relay relay;

	stats_tenant(sluiced, tenant, &relay);
#define X(field, text) json_object_set_new(object, #field, json_integer((json_int_t)relay.field));
	SL_RELAY_COUNTERS(X)
#undef X
	return object;
}

static json_t *report_listeners(const struct tenant *tenant)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < tenant->gate.nlisteners; i++) {
		const struct gate_listener *listener = &tenant->gate.listeners[i];

		json_array_append_new(list,
				      json_pack("{s:i, s:i, s:i, s:I}", "family", listener->family,
						"port", listener->port, "worker", listener->worker,
						"socket_cookie", (json_int_t)listener->cookie));
	}
	return list;
}

static json_t *report_ports(const struct tenant *tenant)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < tenant->want.nports; i++)
		json_array_append_new(list, json_integer(tenant->want.ports[i]));
	return list;
}

/* "pid:N", as netns_open() takes it, is a number outside. */
static json_t *report_netns(const char *netns)
{
	if (!strncmp(netns, "pid:", 4))
		return json_integer(strtol(netns + 4, NULL, 10));
	return json_string(netns);
}

json_t *report_tenant(struct sluiced *sluiced, struct tenant *tenant)
{
	const struct tenant_want *want = &tenant->want;
	const struct gate *gate = &tenant->gate;
	const char *l3 = gate->attached ? gate->l3_interface : want->l3_interface;

	return json_pack("{s:s, s:I, s:o, s:I, s:s, s:I, s:s?, s:I, s:s, s:s, s:s, s:s,"
			 " s:{s:s, s:s, s:I, s:I}, s:o, s:b, s:o, s:o, s:o}",
			 "name", want->name, "id", (json_int_t)tenant->id, "netns",
			 report_netns(want->netns), "netns_cookie",
			 (json_int_t)gate->key.netns_cookie, "interface", want->interface,
			 "ifindex", (json_int_t)gate->key.ifindex, "l3_interface", l3, "l3_ifindex",
			 (json_int_t)gate->l3_ifindex, "state", tenant_state_name(tenant->state),
			 "reason", tenant->reason, "bridge", conf_bridge_name(want->bridge), "fail",
			 conf_fail_name(want->fail), "guard", "mode",
			 conf_guard_mode_name(want->guard), "active", tenant_guard_name(tenant),
			 "raised", (json_int_t)tenant->guard.raised, "lowered",
			 (json_int_t)tenant->guard.lowered, "ports", report_ports(tenant), "ipv6",
			 (int)want->ipv6, "listeners", report_listeners(tenant), "verdicts",
			 report_verdicts(sluiced, tenant), "relay", report_relay(sluiced, tenant));
}

static json_t *report_features(struct sluiced *sluiced)
{
	const struct gate_load_features *features = gate_load_features(sluiced->load);
	json_t *object = json_object();

#define X(field, text) json_object_set_new(object, #field, json_boolean(features->field));
	GATE_LOAD_FEATURES(X)
#undef X
	return object;
}

static json_t *report_degraded(struct sluiced *sluiced)
{
	const struct gate_load_features *features = gate_load_features(sluiced->load);
	json_t *list = json_array();

#define X(field, text)                                                                             \
	if (!features->field)                                                                      \
		json_array_append_new(list, json_string("the kernel lacks: " text));
	GATE_LOAD_FEATURES(X)
#undef X
	return list;
}

static json_t *report_workers(struct sluiced *sluiced)
{
	struct worker *worker = NULL;
	json_t *list = json_array();

	while ((worker = supervise_next(sluiced->supervise, worker)))
		json_array_insert_new(
			list, 0,
			json_pack("{s:i, s:s, s:i, s:I, s:s, s:I, s:I, s:I}", "index",
				  (int)worker->index, "role", worker_role_name(worker->role), "pid",
				  (int)worker->pid, "generation",
				  (json_int_t)worker->generation->number, "state",
				  worker_state_name(worker->state), "connections",
				  (json_int_t)stats_connections(worker), "restarts",
				  (json_int_t)supervise_restarts(sluiced->supervise, worker),
				  "silent_ms", (json_int_t)(loop_now() - worker->pulse_ms)));
	return list;
}

static json_t *report_services(const struct generation *generation)
{
	json_t *list = json_array();

	for (unsigned s = 0; s < generation->conf->services_count; s++) {
		const struct conf_service *service = &generation->conf->services[s];
		json_t *origins = json_array();

		for (unsigned o = 0; o < service->origins_count; o++) {
			const struct origin *origin = &generation->origins[s][o];
			uint64_t now = loop_now(), rests = 0;

			if (origin->down_until_ms > now)
				rests = origin->down_until_ms - now;

			json_array_append_new(origins,
					      json_pack("{s:s, s:s, s:I, s:I, s:I}", "address",
							service->origins[o].address, "state",
							rests ? "resting"
							: origin->connects || origin->failures
								? "ok"
								: "unused",
							"rests_ms", (json_int_t)rests, "connects",
							(json_int_t)origin->connects, "failures",
							(json_int_t)origin->failures));
		}
		json_array_append_new(
			list, json_pack("{s:s, s:o}", "name", service->name, "origins", origins));
	}
	return list;
}

json_t *report_status(struct sluiced *sluiced)
{
	const struct conf *conf = sluiced->generation->conf;
	struct utsname kernel = { 0 };

	uname(&kernel);
	return json_pack(
		"{s:s, s:s, s:i, s:I, s:I, s:{s:b, s:s?}, s:s, s:o, s:o, s:{s:s?, s:s?}, s:s, s:o, "
		"s:o, s:o, s:o}",
		"version", SLUICE_VERSION, "instance", sluiced->instance, "pid", (int)getpid(),
		"uptime_s", (json_int_t)((loop_now() - sluiced->started_ms) / 1000), "upgrades",
		(json_int_t)sluiced->upgrades, "upgrade", "active",
		(int)upgrade_active(sluiced->upgrade), "failure", upgrade_failure(sluiced->upgrade),
		"kernel", kernel.release, "features", report_features(sluiced), "degraded",
		report_degraded(sluiced), "management", "netns", conf->management.netns, "source",
		conf->management.source, "engine", conf_engine_name(conf->relay.engine), "workers",
		report_workers(sluiced), "services", report_services(sluiced->generation),
		"bindings", ports_report(sluiced->ports), "tenants", json_array());
}

static json_t *report_tenants(struct sluiced *sluiced)
{
	struct tenant *tenant = NULL;
	json_t *list = json_array();

	while ((tenant = tenants_next(sluiced->tenants, tenant)))
		if (json_array_append_new(list, report_tenant(sluiced, tenant))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

json_t *report_doctor(struct sluiced *sluiced)
{
	const struct conf *conf = sluiced->generation->conf;
	json_t *status = report_status(sluiced), *routes = json_array();

	for (unsigned i = 0; i < conf->routes_count; i++) {
		const struct conf_route *route = &conf->routes[i];
		json_t *methods = json_array();

		for (unsigned m = 0; m < route->methods_count; m++)
			json_array_append_new(methods, json_string(route->methods[m]));
		json_array_append_new(routes,
				      json_pack("{s:s, s:s, s:o, s:s?}", "path", route->path,
						"service", route->service, "methods", methods,
						"require_header", route->require_header));
	}
	json_object_set_new(status, "worker_gid", json_integer(sluiced->generation->gid));
	json_object_set_new(status, "routes", routes);
	json_object_set_new(status, "tenants", report_tenants(sluiced));
	return status;
}

/* Buckets that are not empty, as [number, count]; null for a tenant that has not asked yet. */
static json_t *report_latency(struct sluiced *sluiced, const struct tenant *tenant)
{
	json_t *list = json_array();
	struct latency latency;

	stats_latency(sluiced, tenant, &latency);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		if (latency.count[i])
			json_array_append_new(list,
					      json_pack("[i, I]", i, (json_int_t)latency.count[i]));
	return list;
}

json_t *report_top_tenant(struct sluiced *sluiced, struct tenant *tenant)
{
	struct sl_verdicts verdicts = { 0 };
	struct sl_relay relay;

	if (tenant->gate.attached)
		gate_load_verdicts_get(sluiced->load, &tenant->gate.key, &verdicts);
	stats_tenant(sluiced, tenant, &relay);
	return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name",
			 tenant->want.name, "id", (json_int_t)tenant->id, "state",
			 tenant_state_name(tenant->state), "guard", tenant_guard_name(tenant),
			 "requests", (json_int_t)relay.requests, "responses_5xx",
			 (json_int_t)relay.responses_5xx, "bytes_from_client",
			 (json_int_t)relay.bytes_from_client, "bytes_to_client",
			 (json_int_t)relay.bytes_to_client, "open", (json_int_t)relay.open, "drops",
			 (json_int_t)gate_load_verdicts_drops(&verdicts), "latency",
			 relay.requests ? report_latency(sluiced, tenant) : json_null());
}

json_t *report_top(struct sluiced *sluiced)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:o}", "version", SLUICE_VERSION, "instance",
			 sluiced->instance, "uptime_s",
			 (json_int_t)((loop_now() - sluiced->started_ms) / 1000), "time_ms",
			 (json_int_t)loop_now(), "tenants", json_array());
}
