/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing it. All tenants are read first, since a metric's series stand together. Histograms
 * exist for tenants that have asked for something; their finer buckets are added up, so a bucket's
 * bound is right to an eighth.
 */
#include "exposition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../gate/load.h"
#include "generation.h"
#include "stats.h"
#include "supervise.h"
#include "tenants.h"
#include "upgrade.h"

#define OTHERS "(others)" /* no tenant can be called so */

/* One tenant's numbers, or those of several together. */
struct row {
	const char *name;
	uint64_t tenants, raised_now, raised, lowered;
	struct sl_verdicts verdicts;
	struct sl_relay relay;
	struct latency *latency; /* NULL: nothing yet */
};

struct rows {
	struct row *row;
	size_t count;
};

/* ---- text ------------------------------------------------------------------------------------ */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*value == '\\' || *value == '"')
			putc('\\', out);
		putc(*value, out);
	}
	putc('"', out);
}

/* A thousand tenants have 50,000 samples: fprintf() would take half of the time. */
static void put_number(FILE *out, uint64_t number)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	*--at = '\n';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	*--at = ' ';
	fputs(at, out);
}

/* A sample with up to two labels; those without a name are left out. */
static void sample(FILE *out, const char *metric, const char *label, const char *value,
		   const char *label2, const char *value2, uint64_t number)
{
	fputs(metric, out);
	if (label) {
		putc('{', out);
		put_label(out, label, value);
		if (label2) {
			putc(',', out);
			put_label(out, label2, value2);
		}
		putc('}', out);
	}
	put_number(out, number);
}

static void single(FILE *out, const char *name, const char *type, const char *help, uint64_t number)
{
	head(out, name, type, help);
	sample(out, name, NULL, NULL, NULL, NULL, number);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void add_words(void *sum, const void *part, size_t size)
{
	uint64_t *to = sum;
	const uint64_t *from = part;

	for (size_t i = 0; i < size / sizeof(*to); i++)
		to[i] += from[i];
}

static void read_tenant(struct sluiced *sluiced, const struct tenant *tenant, struct row *row)
{
	struct sl_verdicts verdicts = { 0 };
	struct latency latency;
	struct sl_relay relay;

	if (tenant->gate.attached)
		gate_load_verdicts_get(sluiced->load, &tenant->gate.key, &verdicts);
	add_words(&row->verdicts, &verdicts, sizeof(verdicts));
	stats_tenant(sluiced, tenant, &relay);
	add_words(&row->relay, &relay, sizeof(relay));
	row->tenants++;
	row->raised_now += tenant->guard.raised_now;
	row->raised += tenant->guard.raised;
	row->lowered += tenant->guard.lowered;
	if (!relay.requests)
		return;
	stats_latency(sluiced, tenant, &latency);
	if (!row->latency)
		row->latency = calloc(1, sizeof(*row->latency));
	if (row->latency)
		latency_add(row->latency, &latency);
}

static int read_tenants(struct sluiced *sluiced, struct rows *rows)
{
	uint32_t own = sluiced->generation->conf->metrics.tenants;
	struct tenant *tenant = NULL;
	struct row others = { .name = OTHERS };

	rows->row = calloc(tenants_count(sluiced->tenants) + 1, sizeof(*rows->row));
	if (!rows->row)
		return -ENOMEM;
	while ((tenant = tenants_next(sluiced->tenants, tenant))) {
		struct row *row = &others;

		if (tenant->slot < own) {
			row = &rows->row[rows->count++];
			row->name = tenant->want.name;
		}
		read_tenant(sluiced, tenant, row);
	}
	if (others.tenants)
		rows->row[rows->count++] = others;
	return 0;
}

static void free_rows(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		free(rows->row[i].latency);
	free(rows->row);
}

/* ---- the daemon --------------------------------------------------------------------------------
 */

static void put_features(struct sluiced *sluiced, FILE *out)
{
	const struct gate_load_features *features = gate_load_features(sluiced->load);

	head(out, "sluice_kernel_feature", "gauge",
	     "1 for what the kernel offers, 0 for what it lacks.");
#define X(field, text)                                                                             \
	sample(out, "sluice_kernel_feature", "feature", #field, NULL, NULL, features->field);
	GATE_LOAD_FEATURES(X)
#undef X
}

static void put_workers(struct sluiced *sluiced, FILE *out)
{
	const char *metric = "sluice_worker_open_connections";
	struct worker *worker = NULL;
	uint64_t states[WORKER_ENDING + 1] = { 0 }, roles[PROTO_ROLE_BACK + 1] = { 0 };
	uint64_t restarts = 0;

	while ((worker = supervise_next(sluiced->supervise, worker))) {
		states[worker->state]++;
		roles[worker->role] += stats_connections(worker);
		if (worker->state == WORKER_SERVING)
			restarts += supervise_restarts(sluiced->supervise, worker);
	}
	head(out, metric, "gauge", "Connections that workers have open, by what they serve.");
	for (unsigned i = 0; i <= PROTO_ROLE_BACK; i++)
		sample(out, metric, "role", worker_role_name(i), NULL, NULL, roles[i]);
	head(out, "sluice_workers", "gauge", "Worker processes.");
	for (unsigned i = 0; i <= WORKER_ENDING; i++)
		sample(out, "sluice_workers", "state", worker_state_name(i), NULL, NULL, states[i]);
	single(out, "sluice_worker_restarts", "gauge",
	       "Workers now serving whose slot had to get another one, counted once each time.",
	       restarts);
}

enum origin_field { ORIGIN_UP, ORIGIN_CONNECTS, ORIGIN_FAILURES };

static void put_origins(struct sluiced *sluiced, FILE *out, const char *metric,
			enum origin_field field)
{
	const struct generation *generation = sluiced->generation;

	for (unsigned s = 0; s < generation->conf->services_count; s++) {
		const struct conf_service *service = &generation->conf->services[s];

		for (unsigned o = 0; o < service->origins_count; o++) {
			const struct origin *origin = &generation->origins[s][o];
			uint64_t value = field == ORIGIN_CONNECTS ? origin->connects
					 : field == ORIGIN_FAILURES
						 ? origin->failures
						 : origin->down_until_ms <= loop_now();

			sample(out, metric, "service", service->name, "origin",
			       service->origins[o].address, value);
		}
	}
}

static void put_services(struct sluiced *sluiced, FILE *out)
{
	head(out, "sluice_origin_up", "gauge", "1, or 0 while an origin rests after a failure.");
	put_origins(sluiced, out, "sluice_origin_up", ORIGIN_UP);
	head(out, "sluice_origin_connects_total", "counter",
	     "Connections made to an origin since the last reload.");
	put_origins(sluiced, out, "sluice_origin_connects_total", ORIGIN_CONNECTS);
	head(out, "sluice_origin_failures_total", "counter",
	     "Failed connections and unanswered requests of an origin since the last reload.");
	put_origins(sluiced, out, "sluice_origin_failures_total", ORIGIN_FAILURES);
}

static void put_daemon(struct sluiced *sluiced, FILE *out)
{
	uint64_t states[TENANT_FAILED + 1] = { 0 };
	struct tenant *tenant = NULL;

	head(out, "sluice_build_info", "gauge", "1; the version is in the label.");
	sample(out, "sluice_build_info", "version", SLUICE_VERSION, "instance_name",
	       sluiced->instance, 1);
	single(out, "sluice_start_time_seconds", "gauge", "When the daemon began, as Unix time.",
	       (uint64_t)time(NULL) - (loop_now() - sluiced->started_ms) / 1000);
	single(out, "sluice_upgrades_total", "counter", "Programs replaced while serving.",
	       sluiced->upgrades);
	while ((tenant = tenants_next(sluiced->tenants, tenant)))
		states[tenant->state]++;
	head(out, "sluice_tenants", "gauge", "Tenants by state.");
	for (unsigned i = 0; i <= TENANT_FAILED; i++)
		sample(out, "sluice_tenants", "state", tenant_state_name(i), NULL, NULL, states[i]);
	put_features(sluiced, out);
	put_workers(sluiced, out);
	put_services(sluiced, out);
}

/* ---- tenants -----------------------------------------------------------------------------------
 */

static void put_packets(const struct rows *rows, FILE *out)
{
	const char *passed = "sluice_tenant_packets_total";
	const char *dropped = "sluice_tenant_dropped_packets_total";

	head(out, passed, "counter",
	     "Packets for the metadata address that were let in, by verdict.");
	for (size_t i = 0; i < rows->count; i++) {
#define X(id, field, drop, text)                                                                   \
	if (!drop)                                                                                 \
		sample(out, passed, "tenant", rows->row[i].name, "verdict", #field,                \
		       rows->row[i].verdicts.field);
		SL_VERDICTS(X)
#undef X
	}
	head(out, dropped, "counter",
	     "Packets for the metadata address that were dropped, by reason.");
	for (size_t i = 0; i < rows->count; i++) {
#define X(id, field, drop, text)                                                                   \
	if (drop)                                                                                  \
		sample(out, dropped, "tenant", rows->row[i].name, "reason", #field,                \
		       rows->row[i].verdicts.field);
		SL_VERDICTS(X)
#undef X
	}
}

/* How a field of struct sl_relay is called outside; what is not listed, by its own name. */
struct naming {
	const char *field, *metric, *label, *value, *type;
};

static const struct naming namings[] = {
	{ "accepted", "sluice_tenant_connections_total", NULL, NULL, "counter" },
	{ "open", "sluice_tenant_open_connections", NULL, NULL, "gauge" },
	{ "responses_2xx", "sluice_tenant_responses_total", "class", "2xx", "counter" },
	{ "responses_3xx", "sluice_tenant_responses_total", "class", "3xx", "counter" },
	{ "responses_4xx", "sluice_tenant_responses_total", "class", "4xx", "counter" },
	{ "responses_5xx", "sluice_tenant_responses_total", "class", "5xx", "counter" },
	{ "bytes_from_client", "sluice_tenant_received_bytes_total", NULL, NULL, "counter" },
	{ "bytes_to_client", "sluice_tenant_sent_bytes_total", NULL, NULL, "counter" },
	{ "bytes_inline", "sluice_tenant_body_bytes_total", "engine", "inline", "counter" },
	{ "bytes_uring", "sluice_tenant_body_bytes_total", "engine", "uring", "counter" },
	{ "bytes_copied", "sluice_tenant_body_bytes_total", "engine", "copy", "counter" },
	{ "closed_ok", "sluice_tenant_closed_connections_total", "reason", "ok", "counter" },
	{ "closed_client", "sluice_tenant_closed_connections_total", "reason", "client",
	  "counter" },
	{ "closed_origin", "sluice_tenant_closed_connections_total", "reason", "origin",
	  "counter" },
	{ "closed_timeout", "sluice_tenant_closed_connections_total", "reason", "timeout",
	  "counter" },
	{ "closed_protocol", "sluice_tenant_closed_connections_total", "reason", "protocol",
	  "counter" },
	{ "closed_limit", "sluice_tenant_closed_connections_total", "reason", "limit", "counter" },
	{ "closed_shutdown", "sluice_tenant_closed_connections_total", "reason", "shutdown",
	  "counter" },
};

static const struct naming *naming_of(const char *field)
{
	for (size_t i = 0; i < sizeof(namings) / sizeof(namings[0]); i++)
		if (!strcmp(namings[i].field, field))
			return &namings[i];
	return NULL;
}

/* The fields of one metric follow one another in struct sl_relay. */
static void put_relay(const struct rows *rows, FILE *out)
{
	static const struct {
		const char *field, *text;
		size_t offset;
	} fields[] = {
#define X(name, help) { #name, help, offsetof(struct sl_relay, name) },
		SL_RELAY_COUNTERS(X)
#undef X
	};
	char last[64] = "";

	for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
		const struct naming *naming = naming_of(fields[f].field);
		char metric[64];

		snprintf(metric, sizeof(metric), naming ? "%s" : "sluice_tenant_%s_total",
			 naming ? naming->metric : fields[f].field);
		if (strcmp(metric, last))
			head(out, metric, naming ? naming->type : "counter",
			     naming && naming->label ? "By label; what a value means stands in "
						       "sluice tenant show."
						     : fields[f].text);
		strcpy(last, metric);
		for (size_t i = 0; i < rows->count; i++)
			sample(out, metric, "tenant", rows->row[i].name,
			       naming ? naming->label : NULL, naming ? naming->value : NULL,
			       *(const uint64_t *)((const char *)&rows->row[i].relay +
						   fields[f].offset));
	}
}

static void put_histogram(const struct row *row, FILE *out, const char *metric)
{
	static const struct {
		uint64_t us;
		const char *text;
	} bounds[] = { { 500, "0.0005" },  { 1000, "0.001" },	  { 2500, "0.0025" },
		       { 5000, "0.005" },  { 10000, "0.01" },	  { 25000, "0.025" },
		       { 50000, "0.05" },  { 100000, "0.1" },	  { 250000, "0.25" },
		       { 500000, "0.5" },  { 1000000, "1" },	  { 2500000, "2.5" },
		       { 5000000, "5" },   { 10000000, "10" },	  { 30000000, "30" },
		       { 60000000, "60" }, { UINT64_MAX, "+Inf" } };
	const struct latency *latency = row->latency;
	uint64_t seen = 0;
	unsigned bucket = 0;
	char series[64];

	snprintf(series, sizeof(series), "%s_bucket", metric);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		for (; bucket < LATENCY_BUCKETS &&
		       (bounds[i].us == UINT64_MAX || latency_bound_us(bucket) <= bounds[i].us);
		     bucket++)
			seen += latency->count[bucket];
		sample(out, series, "tenant", row->name, "le", bounds[i].text, seen);
	}
	fprintf(out, "%s_sum{", metric);
	put_label(out, "tenant", row->name);
	fprintf(out, "} %" PRIu64 ".%06u\n", latency->sum_us / 1000000,
		(unsigned)(latency->sum_us % 1000000));
	snprintf(series, sizeof(series), "%s_count", metric);
	sample(out, series, "tenant", row->name, NULL, NULL, seen);
}

static void put_guard(const struct rows *rows, FILE *out)
{
	const char *names[] = { "sluice_tenant_xdp_dropped_packets_total",
				"sluice_tenant_packet_bytes_total", "sluice_tenant_xdp_raised",
				"sluice_tenant_xdp_raises_total",
				"sluice_tenant_xdp_lowers_total" };
	const char *helps[] = { "Of the dropped packets, those that XDP took.",
				"L2 bytes of all packets for the metadata address.",
				"Interfaces on which XDP polices now.",
				"How often XDP was raised against a flood.",
				"How often it was lowered after one." };

	for (unsigned m = 0; m < sizeof(names) / sizeof(names[0]); m++) {
		head(out, names[m], m == 2 ? "gauge" : "counter", helps[m]);
		for (size_t i = 0; i < rows->count; i++) {
			const struct row *row = &rows->row[i];
			const uint64_t values[] = { row->verdicts.xdp_dropped, row->verdicts.bytes,
						    row->raised_now, row->raised, row->lowered };

			sample(out, names[m], "tenant", row->name, NULL, NULL, values[m]);
		}
	}
}

int exposition_write(struct sluiced *sluiced, FILE *out)
{
	const char *responses = "sluice_tenant_response_seconds";
	struct rows rows = { 0 };
	int err = read_tenants(sluiced, &rows);

	if (err)
		return err;
	put_daemon(sluiced, out);
	put_packets(&rows, out);
	put_guard(&rows, out);
	put_relay(&rows, out);
	head(out, responses, "histogram",
	     "From a whole request head to the head of its response; of tenants that have asked.");
	for (size_t i = 0; i < rows.count; i++)
		if (rows.row[i].latency)
			put_histogram(&rows.row[i], out, responses);
	free_rows(&rows);
	return 0;
}
