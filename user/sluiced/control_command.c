/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command table. Arguments are typed and closed: an unknown one is refused, so that a
 * misspelled option never silently means its default.
 */
#include "control_command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_log.h"
#include "control_create.h"
#include "control_port.h"
#include "control_reply.h"
#include "control_report.h"
#include "doctor_run.h"
#include "generation.h"
#include "handover.h"
#include "metrics.h"
#include "tenants.h"
#include "trace.h"
#include "upgrade.h"

/* ---- arguments ------------------------------------------------------------------------- */

/* A name or an absolute path as a string, a process as a number. */
static bool parse_netns(json_t *value, char *ret, size_t size)
{
	const char *text = json_string_value(value);

	if (json_is_integer(value)) {
		json_int_t pid = json_integer_value(value);

		if (pid <= 0 || pid > INT_MAX)
			return false;
		snprintf(ret, size, "pid:%d", (int)pid);
		return true;
	}
	if (!text || !text[0] || strlen(text) >= size || !strncmp(text, "pid:", 4) ||
	    (text[0] != '/' && (strchr(text, '/') || text[0] == '.')))
		return false;
	strcpy(ret, text);
	return true;
}

static bool parse_ports(json_t *value, struct tenant_want *want)
{
	uint16_t ports[SL_PORTS_MAX];
	size_t count = json_array_size(value);

	if (!json_is_array(value) || !count || count > SL_PORTS_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		json_t *port = json_array_get(value, i);

		if (!json_is_integer(port) || json_integer_value(port) < 1 ||
		    json_integer_value(port) > UINT16_MAX)
			return false;
		ports[i] = (uint16_t)json_integer_value(port);
	}
	return !want_set_ports(want, ports, (unsigned)count);
}

static bool parse_words(json_t *arguments, struct tenant_want *want, const char **ret_bad)
{
	const char *word;

	word = control_text(arguments, "bridge", ret_bad);
	if (word && conf_bridge_parse(word, &want->bridge))
		*ret_bad = "bridge";
	word = control_text(arguments, "fail", ret_bad);
	if (word && conf_fail_parse(word, &want->fail))
		*ret_bad = "fail";
	word = control_text(arguments, "guard", ret_bad);
	if (word && conf_guard_mode_parse(word, &want->guard))
		*ret_bad = "guard";
	return !*ret_bad;
}

/*
 * Fills want, whose strings then point into arguments and netns. Returns NULL, or the key that
 * is missing or wrong.
 */
static const char *parse_want(const struct conf *conf, json_t *arguments, char *netns,
			      size_t netns_size, struct tenant_want *want)
{
	const char *bad = NULL;
	json_t *value;

	*want = (struct tenant_want){ .guard = conf->guard.mode, .ipv6 = conf->listen.ipv6 };
	want->name = (char *)control_text(arguments, "name", &bad);
	if (!want->name || !want_name_valid(want->name))
		return "name";
	if (!parse_netns(json_object_get(arguments, "netns"), netns, netns_size))
		return "netns";
	want->netns = netns;
	want->network = (char *)want_network(netns);
	want->interface = (char *)control_text(arguments, "interface", &bad);
	if (!want->interface || !control_interface_valid(want->interface))
		return "interface";
	want->l3_interface = (char *)control_text(arguments, "l3_interface", &bad);
	if (want->l3_interface && !control_interface_valid(want->l3_interface))
		return "l3_interface";
	if (!parse_words(arguments, want, &bad))
		return bad;
	value = json_object_get(arguments, "ports");
	if (!value)
		want_set_ports(want, conf->listen.ports, conf->listen.ports_count);
	else if (!parse_ports(value, want))
		return "ports";
	value = json_object_get(arguments, "ipv6");
	if (value && !json_is_boolean(value))
		return "ipv6";
	if (value)
		want->ipv6 = json_is_true(value);
	return NULL;
}

/* ---- commands ---------------------------------------------------------------------------- */

static json_t *do_status(struct sluiced *sluiced, json_t *arguments)
{
	return control_data(report_status(sluiced));
}

static json_t *do_tenant_list(struct sluiced *sluiced, json_t *arguments)
{
	return control_data(json_array());
}

static json_t *do_tenant_show(struct sluiced *sluiced, json_t *arguments)
{
	const char *bad = NULL;
	const char *name = control_text(arguments, "name", &bad);
	struct tenant *tenant;

	if (!name)
		return control_error("usage", "give the tenant's name", "name is missing");
	tenant = tenants_find(sluiced->tenants, name);
	if (!tenant)
		return control_error("not-found", "see: sluice tenant list",
				     "there is no tenant %.64s", name);
	return control_data(report_tenant(sluiced, tenant));
}

static json_t *do_tenant_attach(struct sluiced *sluiced, json_t *arguments)
{
	struct tenant_want want;
	struct tenant *tenant;
	char netns[PATH_MAX], why[GATE_WHY_MAX];
	const char *bad =
		parse_want(sluiced->generation->conf, arguments, netns, sizeof(netns), &want);

	if (bad)
		return control_bad_argument(bad);
	switch (tenants_attach(sluiced->tenants, &want, &tenant, why)) {
	case TENANTS_OK:
		return control_data(report_tenant(sluiced, tenant));
	case TENANTS_EXISTS:
		return control_error("exists", "detach it first, or choose another name", "%s",
				     why);
	case TENANTS_CONFLICT:
		return control_error("conflict", "free the interface, or attach another one", "%s",
				     why);
	case TENANTS_FULL:
		return control_error("busy", "raise limits.tenants", "%s", why);
	case TENANTS_NOT_FOUND:
		return control_error("not-found",
				     "namespaces: ip netns list; interfaces: ip -n NETNS link",
				     "%s", why);
	case TENANTS_SYSTEM:
		break;
	}
	return control_error("system", "see sluiced's log", "%s", why);
}

static json_t *do_tenant_detach(struct sluiced *sluiced, json_t *arguments)
{
	const char *bad = NULL;
	const char *name = control_text(arguments, "name", &bad);

	if (!name)
		return control_error("usage", "give the tenant's name", "name is missing");
	tenants_detach(sluiced->tenants, name);
	return control_data(json_object());
}

static json_t *do_reload(struct sluiced *sluiced, json_t *arguments)
{
	char *why = NULL;
	int err = sluiced_reload(sluiced, &why);
	json_t *reply;

	if (!err)
		return control_data(json_object());
	reply = control_error("usage", "correct the file; the configuration in force is unchanged",
			      "%s", why ? why : strerror(-err));
	free(why);
	return reply;
}

static json_t *do_log_open(struct sluiced *sluiced, json_t *arguments)
{
	const struct conf_log *log = &sluiced->generation->conf->log;

	return control_data(json_pack("{s:s, s:s}", "path", log->access, "format",
				      log->format == CONF_LOG_JSON ? "json" : "text"));
}

static json_t *do_log_rotate(struct sluiced *sluiced, json_t *arguments)
{
	char *why = NULL;
	int err = access_log_rotate(sluiced, &why);
	json_t *reply;

	if (!err)
		return control_data(
			json_pack("{s:s?}", "path", sluiced->generation->conf->log.access));
	reply = control_error("system", "lines still go to the file that was open before", "%s",
			      why ? why : strerror(-err));
	free(why);
	return reply;
}

static int open_log(struct sluiced *sluiced, json_t *arguments)
{
	return access_log_read(sluiced);
}

/* What opened it has said all; the answer is in the descriptor. */
static json_t *do_open(struct sluiced *sluiced, json_t *arguments)
{
	return control_data(json_object());
}

static int open_doctor(struct sluiced *sluiced, json_t *arguments)
{
	const char *bad = NULL;
	const char *tenant = control_text(arguments, "tenant", &bad);

	if (bad || (tenant && !want_name_valid(tenant)))
		return -EINVAL;
	return doctor_run_start(sluiced->doctor, tenant);
}

static int open_metrics(struct sluiced *sluiced, json_t *arguments)
{
	return metrics_open(sluiced->metrics);
}

static int open_trace(struct sluiced *sluiced, json_t *arguments)
{
	json_t *drops = json_object_get(arguments, "drops");
	json_t *requests = json_object_get(arguments, "requests");
	const char *bad = NULL, *tenant = control_text(arguments, "tenant", &bad);
	/* Neither asked for is both. */
	bool both = !drops && !requests;

	if (bad || (drops && !json_is_boolean(drops)) || (requests && !json_is_boolean(requests)))
		return -EINVAL;
	if (tenant && !tenants_find(sluiced->tenants, tenant))
		return -ENOENT;
	return trace_begin(sluiced->trace, tenant, both || json_is_true(drops),
			   both || json_is_true(requests));
}

static json_t *do_top(struct sluiced *sluiced, json_t *arguments)
{
	return control_data(report_top(sluiced));
}

static json_t *do_upgrade(struct sluiced *sluiced, json_t *arguments)
{
	int err = upgrade_begin(sluiced->upgrade);

	if (err == -EBUSY)
		return control_error("busy", "wait for it to end", "an upgrade is under way");
	if (err)
		return control_error("system", "see sluiced's log", "%s", strerror(-err));
	return control_data(json_pack("{s:s, s:I}", "program", upgrade_program(sluiced->upgrade),
				      "upgrades", (json_int_t)sluiced->upgrades));
}

static const char *const no_keys[] = { NULL };
static const char *const trace_keys[] = { "tenant", "drops", "requests", NULL };
static const char *const doctor_keys[] = { "tenant", NULL };
static const char *const name_keys[] = { "name", NULL };
static const char *const attach_keys[] = { "name", "netns", "interface", "l3_interface", "bridge",
					   "fail", "guard", "ports",	 "ipv6",	 NULL };

static const struct command {
	const char *name;
	enum control_access access;
	const char *const *keys;
	json_t *(*run)(struct sluiced *sluiced, json_t *arguments);
	/* Opens what goes along with the reply; NULL: nothing does. */
	int (*open)(struct sluiced *sluiced, json_t *arguments);
	/* As in struct control_rest. */
	json_t *(*tenant)(struct sluiced *sluiced, struct tenant *tenant);
} commands[] = {
	{ "status", CONTROL_READ, no_keys, do_status, NULL, report_tenant },
	{ "tenant.list", CONTROL_READ, no_keys, do_tenant_list, NULL, report_tenant },
	{ "tenant.show", CONTROL_READ, name_keys, do_tenant_show, NULL, NULL },
	{ "tenant.attach", CONTROL_ADMIN, attach_keys, do_tenant_attach, NULL, NULL },
	{ "tenant.detach", CONTROL_ADMIN, name_keys, do_tenant_detach, NULL, NULL },
	{ "tenant.create", CONTROL_ADMIN, control_create_tenant_keys, control_create_tenant, NULL,
	  NULL },
	{ "tenant.delete", CONTROL_ADMIN, name_keys, control_delete_tenant, NULL, NULL },
	{ "gateway.create", CONTROL_ADMIN, control_create_gateway_keys, control_create_gateway,
	  NULL, NULL },
	{ "gateway.delete", CONTROL_ADMIN, control_delete_gateway_keys, control_delete_gateway,
	  NULL, NULL },
	{ "port.list", CONTROL_READ, control_port_keys, control_port_list, NULL, NULL },
	{ "port.status", CONTROL_READ, no_keys, control_port_status, NULL, NULL },
	{ "port.set", CONTROL_ADMIN, control_port_set_keys, control_port_set, NULL, NULL },
	{ "port.del", CONTROL_ADMIN, control_port_keys, control_port_del, NULL, NULL },
	{ "reload", CONTROL_ADMIN, no_keys, do_reload, NULL, NULL },
	{ "upgrade", CONTROL_ADMIN, no_keys, do_upgrade, NULL, NULL },
	{ "doctor", CONTROL_READ, doctor_keys, do_open, open_doctor, NULL },
	{ "metrics", CONTROL_READ, no_keys, do_open, open_metrics, NULL },
	{ "top", CONTROL_READ, no_keys, do_top, NULL, report_top_tenant },
	{ "trace", CONTROL_READ, trace_keys, do_open, open_trace, NULL },
	{ "log.open", CONTROL_READ, no_keys, do_log_open, open_log, NULL },
	{ "log.rotate", CONTROL_ADMIN, no_keys, do_log_rotate, NULL, NULL },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static json_t *run_command(struct sluiced *sluiced, const struct command *command,
			   json_t *arguments, struct control_rest *ret_rest)
{
	int fd = -1;

	if (command->open) {
		fd = command->open(sluiced, arguments);
		if (fd == -EINVAL)
			return control_error("usage", "see sluice(8)", "an argument is wrong");
		if (fd == -EBUSY)
			return control_error("busy", "try again in a moment",
					     "another %s is under way", command->name);
		if (fd == -ENOENT && command->open != open_log)
			return control_error("not-found", "see: sluice tenant list",
					     "there is no such tenant");
		if (fd == -ENOENT)
			return control_error("not-found",
					     "set log.access in sluice.yaml, then: sluice reload",
					     "there is no access log");
		if (fd < 0)
			return control_error("system", "see sluiced's log", "%s", strerror(-fd));
	}
	ret_rest->fd = fd;
	ret_rest->tenant = command->tenant;
	return command->run(sluiced, arguments);
}

static json_t *run_request(struct sluiced *sluiced, enum control_access access, json_t *request,
			   struct control_rest *ret_rest)
{
	static const char *const request_keys[] = { "command", "arguments", NULL };
	json_t *arguments = json_object_get(request, "arguments");
	const char *name = json_string_value(json_object_get(request, "command"));
	const struct command *command;
	const char *unknown;
	json_t *none, *reply;

	if (!json_is_object(request) || !control_only_keys(request, request_keys, &unknown) ||
	    !name || (arguments && !json_is_object(arguments)))
		return control_error("usage", "send {\"command\": ..., \"arguments\": {...}}",
				     "not a request");
	command = find_command(name);
	if (!command)
		return control_error("usage", "see docs/control.md", "there is no command %.64s",
				     name);
	if (access < command->access)
		return control_error("denied", "ask a member of group sluice-admin",
				     "%s needs more rights than you have", command->name);
	if (arguments && !control_only_keys(arguments, command->keys, &unknown))
		return control_error("usage", "see docs/control.md", "%s takes no argument %.64s",
				     command->name, unknown);
	none = json_object();
	reply = run_command(sluiced, command, arguments ? arguments : none, ret_rest);
	/* What the answer says is so, also for whoever comes after a crash. */
	if (command->access == CONTROL_ADMIN)
		handover_flush(sluiced->handover);
	json_decref(none);
	/* An error has no list to go on with. */
	if (!json_is_true(json_object_get(reply, "ok")))
		ret_rest->tenant = NULL;
	return reply;
}

json_t *control_command(struct sluiced *sluiced, enum control_access access, const char *line,
			size_t len, struct control_rest *ret_rest)
{
	json_error_t error;
	json_t *request, *reply;

	*ret_rest = (struct control_rest){ .fd = -1 };
	if (access == CONTROL_DENIED)
		return control_error("denied", "become root or a member of group sluice",
				     "you may not talk to sluiced");
	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (!request)
		return control_error("usage", "send one JSON object a line", "not JSON: %s",
				     error.text);
	reply = run_request(sluiced, access, request, ret_rest);
	json_decref(request);
	return reply;
}
