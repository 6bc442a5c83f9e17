/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new configuration takes over from the old one without a connection noticing: it is read
 * and checked as a whole first; then tenants are brought to it; then each slot gets a new
 * worker on the same listeners, and the old one drains when the new one serves.
 */
#include <errno.h>
#include <stdlib.h>

#include "../lib/log.h"
#include "discover.h"
#include "generation.h"
#include "metrics.h"
#include "origins.h"
#include "ports.h"
#include "sluiced.h"
#include "state.h"
#include "supervise.h"
#include "tenants.h"

/* Whatever looks into the configuration looks into the new one before the old one goes. */
static void put_in_force(struct sluiced *sluiced, struct generation *new)
{
	struct generation *old = sluiced->generation;

	sluiced->generation = new;
	ports_reload(sluiced->ports);
	tenants_apply(sluiced->tenants);
	supervise_apply(sluiced->supervise);
	discover_apply(sluiced->discover);
	metrics_apply(sluiced->metrics);
	generation_unref(old);
}

int sluiced_renew(struct sluiced *sluiced)
{
	const struct generation *old = sluiced->generation;
	const struct state_generation from = {
		.conf_fd = old->conf_fd,
		.uid = old->uid,
		.gid = old->gid,
		.nworkers = old->nworkers,
	};
	struct generation *new;
	int err = generation_resume(&from, old->number + 1, &new);

	if (!err)
		put_in_force(sluiced, new);
	return err;
}

int sluiced_reload(struct sluiced *sluiced, char **ret_why)
{
	struct generation *old = sluiced->generation, *new;
	int err = generation_load(sluiced->conf_path, old->number + 1, &new, ret_why);

	if (err)
		goto fail;
	err = origins_manage(sluiced->origins, &new->conf->management, ret_why);
	if (err) {
		generation_unref(new);
		goto fail;
	}
	put_in_force(sluiced, new);
	log_info("configuration reloaded: generation %u", new->number);
	return 0;
fail:
	log_text(LOG_ERROR, "configuration not reloaded", *ret_why ? *ret_why : "see above");
	return err;
}
