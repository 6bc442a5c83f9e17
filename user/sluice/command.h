/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a command of the CLI is. Each family of commands is a file with its options and
 * functions; main.c lists them in one table.
 */
#ifndef SLUICE_COMMAND_H
#define SLUICE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/opt.h"

/* Exit statuses, documented in sluice(8). */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,    /* the daemon tried and could not */
	STATUS_USAGE = 2,     /* the command line is wrong */
	STATUS_NO_DAEMON = 3, /* nobody answers on the control socket */
	STATUS_DENIED = 4,    /* the caller lacks the right */
};

/* What every command is told: the common options. */
struct common {
	const char *instance; /* NULL: "default" */
	const char *socket;   /* NULL: the instance's */
	bool json;
	bool help;
	bool version;
};

struct command {
	const char *name;      /* "tenant attach" */
	const char *arguments; /* "NAME", or NULL */
	const char *summary;   /* one line, begins with a verb, ends without a full stop */
	const struct opt *options;
	size_t options_count;
	void *target; /* of the options */
	unsigned arguments_min, arguments_max;
	enum status (*run)(const struct common *common, char **arguments, int count);
};

/* tenant.c */
extern const struct command command_tenant_attach, command_tenant_detach, command_tenant_list,
	command_tenant_show;
/* create.c */
extern const struct command command_tenant_create, command_tenant_delete, command_gateway_create,
	command_gateway_delete;
/* port.c */
extern const struct command command_port_set, command_port_del, command_port_list;
/* status.c */
extern const struct command command_status;
/* metrics.c */
extern const struct command command_metrics;
/* top.c */
extern const struct command command_top;
/* trace.c */
extern const struct command command_trace;
/* doctor.c */
extern const struct command command_doctor;
/* log.c */
extern const struct command command_log, command_log_rotate;
/* daemon.c */
extern const struct command command_reload, command_upgrade, command_version;

#endif
