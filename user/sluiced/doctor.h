/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "sluiced --doctor": looks at every link of the chain from the kernel to the origins, and says of
 * each that is broken what that means and which command mends it. A process of its own, started
 * by a daemon that was asked (doctor_run.c) or by "sluice doctor" where no daemon answers. In:
 * what the daemon knows, as JSON on stdin (report_doctor(); empty: no daemon). Out: one JSON
 * object on stdout, see docs/control.md. It changes nothing but what gate/probe.h says.
 */
#ifndef SLUICE_SLUICED_DOCTOR_H
#define SLUICE_SLUICED_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../gate/load.h"
#include "../lib/conf.h"

/* Below the instance's run directory, while a probe stands: see gate/probe_left.h. */
#define DOCTOR_RECORD "/probe"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_WARN,	/* works, but not as it could */
	DOCTOR_FAIL,	/* broken */
	DOCTOR_SKIPPED, /* could not be looked at */
	DOCTOR_STATES,
};

struct doctor {
	const char *instance;
	const char *config; /* its file, for whatever directory a command is typed in */
	const char *only;   /* a tenant's name, or NULL: all */
	json_t *report;	    /* NULL: no daemon */
	struct gate_load *load;
	json_t *findings;
	unsigned count[DOCTOR_STATES];
	bool hurried; /* a worker is ill: be done before sluiced replaces it */
};

/*
 * One link looked at. tenant NULL: the node's. means and fix are NULL when there is nothing to
 * say; found is a format.
 */
void doctor_say(struct doctor *doctor, const char *tenant, const char *link,
		enum doctor_state state, const char *means, const char *fix, const char *found, ...)
	__attribute__((format(printf, 7, 8)));
/* A text that lasts a while (until some twenty more were made), for means and fix. */
const char *doctor_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A word for a shell, in quotes where it needs them; lasts as long. */
const char *doctor_word(const char *word);
/* "nsenter --net=PATH " for a namespace as netns_open() takes it; NULL: nothing. */
const char *doctor_inside(const char *netns);

/* doctor_node.c. Here and below, conf is NULL where a report tells, or the file cannot be read. */
void doctor_node(struct doctor *doctor, const struct conf *conf);
/* doctor_origins.c: from where the daemon would. */
void doctor_origins(struct doctor *doctor, const struct conf *conf);
/* doctor_tenant.c */
void doctor_tenants(struct doctor *doctor);
/* doctor_probe.c: of one tenant of the report, which is attached. */
void doctor_probe(struct doctor *doctor, const json_t *tenant, const char *netns, int ns,
		  const struct sl_iface_key *key, uint32_t l3_ifindex);

/* The program: returns its exit status. */
int doctor_main(const char *instance, const char *tenant, const char *config);

#endif
