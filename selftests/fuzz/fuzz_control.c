/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line on the control socket, from a reader and from an administrator: there is always a
 * reply, a reader changes nothing, and what reaches the tenants is within its bounds. What the
 * commands do is left out: this is about reading them.
 */
#include <stdio.h>

#include "../../user/sluiced/control_command.c"
#include "../../user/sluiced/control_port.c"
#include "../../user/sluiced/control_reply.c"
#include "../../user/sluiced/want.c"
#include "fuzz.h"

static unsigned changes;
static bool no_memory;

static uint16_t ports[] = { 80, 8080 };
static struct conf conf = { .listen = { .ports = ports, .ports_count = 2, .ipv6 = true } };
static struct generation generation = { .conf = &conf };

json_t *report_status(struct sluiced *sluiced)
{
	return json_object();
}

json_t *report_tenant(struct sluiced *sluiced, struct tenant *tenant)
{
	return json_object();
}

json_t *report_top_tenant(struct sluiced *sluiced, struct tenant *tenant)
{
	return json_object();
}

int handover_flush(struct handover *handover)
{
	return -ENOSPC;
}

int ports_set(struct ports *table, struct binding *binding)
{
	changes++;
	if (!want_name_valid(binding->tenant))
		abort();
	free(binding);
	return -ENOSPC;
}

int ports_del(struct ports *table, const char *tenant, const uint8_t mac[6])
{
	changes++;
	return -ENOENT;
}

json_t *ports_list(struct ports *table, const char *tenant, const uint8_t *mac)
{
	return json_array();
}

json_t *ports_report(const struct ports *table)
{
	return json_object();
}

json_t *report_top(struct sluiced *sluiced)
{
	return no_memory ? NULL : json_object();
}

int doctor_run_start(struct doctor_run *run, const char *tenant)
{
	if (tenant && !want_name_valid(tenant))
		abort();
	return -EBUSY;
}

int trace_begin(struct trace *trace, const char *tenant, bool drops, bool requests)
{
	return -EBUSY;
}

int metrics_open(struct metrics *metrics)
{
	return -ENOMEM;
}

int access_log_read(struct sluiced *sluiced)
{
	return -ENOENT;
}

int access_log_rotate(struct sluiced *sluiced, char **ret_why)
{
	changes++;
	*ret_why = NULL;
	return 0;
}

int sluiced_reload(struct sluiced *sluiced, char **ret_why)
{
	changes++;
	*ret_why = strdup("a reason");
	return -EINVAL;
}

int upgrade_begin(struct upgrade *upgrade)
{
	changes++;
	return -EBUSY;
}

const char *upgrade_program(const struct upgrade *upgrade)
{
	return "/usr/sbin/sluiced";
}

enum tenants_error tenants_attach(struct tenants *tenants, const struct tenant_want *want,
				  struct tenant **ret, char why[GATE_WHY_MAX])
{
	changes++;
	assert(want_name_valid(want->name));
	assert(want->netns[0] && strlen(want->netns) < PATH_MAX);
	assert(want->interface[0] && strlen(want->interface) < IFNAMSIZ);
	assert(!want->l3_interface || strlen(want->l3_interface) < IFNAMSIZ);
	assert(want->nports && want->nports <= SL_PORTS_MAX);
	for (unsigned i = 0; i < want->nports; i++)
		assert(want->ports[i] && (!i || want->ports[i] > want->ports[i - 1]));
	strcpy(why, "a reason");
	return TENANTS_NOT_FOUND;
}

bool tenants_detach(struct tenants *tenants, const char *name)
{
	changes++;
	return false;
}

struct tenant *tenants_find(struct tenants *tenants, const char *name)
{
	return NULL;
}

/* Building gateways is another module's. */
const char *const control_create_tenant_keys[] = { "name", NULL };
const char *const control_create_gateway_keys[] = { "name", NULL };
const char *const control_delete_gateway_keys[] = { "name", NULL };

#define STUB(function)                                                                             \
	json_t *function(struct sluiced *sluiced, json_t *arguments)                               \
	{                                                                                          \
		changes++;                                                                         \
		return control_data(json_object());                                                \
	}
STUB(control_create_tenant)
STUB(control_create_gateway)
STUB(control_delete_tenant)
STUB(control_delete_gateway)

static void ask(enum control_access access, const uint8_t *data, size_t size)
{
	struct sluiced sluiced = { .generation = &generation };
	char *line = fuzz_copy(data, size);
	struct control_rest rest;
	json_t *reply = control_command(&sluiced, access, line, size, &rest);
	json_t *ok = json_object_get(reply, "ok");

	free(line);
	assert(rest.fd == -1);
	assert(!rest.tenant || json_is_true(ok));
	assert(json_is_boolean(ok));
	assert(json_is_true(ok) == (json_object_get(reply, "data") != NULL));
	json_decref(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	changes = 0;
	ask(CONTROL_DENIED, data, size);
	ask(CONTROL_READ, data, size);
	no_memory = true;
	ask(CONTROL_READ, data, size);
	no_memory = false;
	assert(!changes);
	ask(CONTROL_ADMIN, data, size);
	assert(changes <= 1);
	return 0;
}
