/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole way at once, as a VM would go it: into the tenant's interface, guard, steer, listener,
 * worker, origin and back (gate/probe.h). One request for each service that a plain GET reaches.
 * When nothing comes back, the counters say which packet was last seen where.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../gate/probe.h"
#include "doctor.h"
#include "rundir.h"

#define ANSWER_MS    5000
#define HURRIED_MS   500
#define SERVICES_MAX 8

struct probing {
	struct doctor *doctor;
	const char *tenant, *netns;
	const struct sl_iface_key *key;
	struct probe probe;
	struct sl_verdicts before;
};

/* What the interface's packets met since then: the name of the drop that rose most, or NULL. */
static const char *dropped_by(const struct probing *probing, bool *ret_arrived)
{
	struct sl_verdicts now = probing->before;
	const __u64 *before = (const __u64 *)&probing->before, *after = (const __u64 *)&now;
	static const bool drops[] = {
#define X(id, field, drop, text) drop,
		SL_VERDICTS(X)
#undef X
	};
	uint64_t most = 0;
	const char *name = NULL;

	gate_load_verdicts_get(probing->doctor->load, probing->key, &now);
	*ret_arrived = now.bytes != probing->before.bytes;
	for (unsigned i = 0; i < SL_V_COUNT; i++)
		if (drops[i] && after[i] - before[i] > most) {
			most = after[i] - before[i];
			name = gate_load_verdict_name(i);
		}
	return name;
}

static void explain_silence(struct probing *probing, const char *path, int err)
{
	struct doctor *doctor = probing->doctor;
	bool arrived;
	const char *drop = dropped_by(probing, &arrived);

	if (drop && !strcmp(drop, "spoofed"))
		doctor_say(
			doctor, probing->tenant, "probe", DOCTOR_SKIPPED,
			"port bindings are set here: only VMs they name may ask, and the probe is "
			"none",
			NULL, "the guard refused the probe: %s", drop);
	else if (drop)
		doctor_say(doctor, probing->tenant, "probe", DOCTOR_FAIL,
			   "a VM's packets would meet the same now",
			   doctor_text("sluice --instance %s tenant show %s",
				       doctor_word(doctor->instance), doctor_word(probing->tenant)),
			   "no answer: the guard dropped packets (%s)", drop);
	else if (!arrived)
		doctor_say(
			doctor, probing->tenant, "probe", DOCTOR_FAIL,
			"packets go past the interface's filters",
			doctor_text("sluice --instance %s reload", doctor_word(doctor->instance)),
			"no answer (%s), and the guard saw no packet", strerror(-err));
	else
		doctor_say(
			doctor, probing->tenant, "probe", DOCTOR_FAIL,
			"guard and steer took the packets, and the listener or the way back "
			"failed: a "
			"packet filter of the namespace may drop by rule what comes in or goes out",
			doctor_text("%snft insert rule inet filter input ip daddr 169.254.169.254 "
				    "accept   # in the chain that drops; on the way out: saddr",
				    doctor_inside(probing->netns)),
			"GET %s: no connection: %s", path, strerror(-err));
}

static void ask(struct probing *probing, uint16_t port, const char *path, const char *service)
{
	struct doctor *doctor = probing->doctor;
	bool connected;
	int status = 0, err;

	gate_load_verdicts_get(doctor->load, probing->key, &probing->before);
	err = probe_get(&probing->probe, port, path, doctor->hurried ? HURRIED_MS : ANSWER_MS,
			&status, &connected);
	if (err && !connected)
		explain_silence(probing, path, err);
	else if (err)
		doctor_say(
			doctor, probing->tenant, "probe", DOCTOR_FAIL,
			"the kernel accepted the connection, and no worker answered on it, or the "
			"origin is slower than that",
			doctor_text("sluice --instance %s status", doctor_word(doctor->instance)),
			"GET %s (service %s): connected, then: %s", path, service, strerror(-err));
	else if (status >= 502 && status <= 504)
		doctor_say(doctor, probing->tenant, "probe", DOCTOR_FAIL,
			   "guard, steer, listener and worker serve; the origin does not",
			   "see the lines of link origin", "GET %s (service %s): %d", path, service,
			   status);
	else
		doctor_say(doctor, probing->tenant, "probe", DOCTOR_OK, NULL, NULL,
			   "GET %s (service %s): %d, through guard, steer, listener and worker",
			   path, service, status);
}

/* Is a plain GET enough for this route? */
static bool is_plain(const json_t *route)
{
	json_t *methods = json_object_get(route, "methods"), *method;
	size_t i;

	if (json_is_string(json_object_get(route, "require_header")))
		return false;
	json_array_foreach (methods, i, method)
		if (!strcmp(json_string_value(method), "GET"))
			return true;
	return false;
}

static void ask_all(struct probing *probing, uint16_t port)
{
	const char *asked[SERVICES_MAX], *service;
	json_t *routes = json_object_get(probing->doctor->report, "routes"), *route;
	unsigned count = 0, j;
	size_t i;

	json_array_foreach (routes, i, route) {
		service = json_string_value(json_object_get(route, "service"));
		for (j = 0; j < count && service && strcmp(asked[j], service); j++)
			;
		if (!service || j < count || count == SERVICES_MAX || !is_plain(route))
			continue;
		asked[count++] = service;
		ask(probing, port, json_string_value(json_object_get(route, "path")), service);
	}
	/* Whatever the relay says to it comes from a worker. */
	if (!count)
		ask(probing, port, "/", "none");
}

void doctor_probe(struct doctor *doctor, const json_t *tenant, const char *netns, int ns,
		  const struct sl_iface_key *key, uint32_t l3_ifindex)
{
	struct probing probing = {
		.doctor = doctor,
		.tenant = json_string_value(json_object_get(tenant, "name")),
		.netns = netns,
		.key = key,
	};
	json_t *ports = json_object_get(tenant, "ports");
	char why[PROBE_WHY_MAX], record[PATH_MAX] = "";
	struct probe_spec spec = { .netns = netns,
				   .tenant_ns = ns,
				   .ifindex = key->ifindex,
				   .l3_ifindex = l3_ifindex,
				   .record = record };
	int err;

	err = rundir_path(doctor->instance, record, sizeof(record) - sizeof(DOCTOR_RECORD));
	if (err)
		return;
	strcat(record, DOCTOR_RECORD);
	err = probe_open(&probing.probe, &spec, why);
	if (err) {
		doctor_say(doctor, probing.tenant, "probe", DOCTOR_SKIPPED, NULL, NULL,
			   "the probe cannot be built: %s", why);
		return;
	}
	ask_all(&probing, (uint16_t)json_integer_value(json_array_get(ports, 0)));
	probe_close(&probing.probe);
}
