/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a plan is made from: the bundle, opened as its publishers signed it and never older than the
 * last, and facts that agents tell now, not before they were asked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

struct bundle *plan_bundle(struct cluster *cluster, const char *path, char **ret_path)
{
	char *keys = cluster_read(cluster, "publishers.pub"), *last = NULL, *name = NULL, *version;
	struct bundle_trust trust = { .keys = keys };
	struct bundle *bundle = NULL;
	struct bundle_error error;
	const char *paths[1];
	char *absolute;

	last = path ? NULL : state_meta(&cluster->state, "bundle");
	absolute = path || last ? realpath(path ? path : last, NULL) : NULL;
	name = state_meta(&cluster->state, "bundle_name");
	version = state_meta(&cluster->state, "bundle_version");
	trust.name = name;
	trust.least = version ? strtoull(version, NULL, 10) : 0;
	paths[0] = absolute;
	if (!path && !last)
		cluster_complain("no bundle was given yet: --bundle FILE, with plan or apply");
	else if (!absolute)
		cluster_complain("%s: %s%s", path ? path : last, strerror(errno),
				 path ? ""
				      : ": bring it back, or give another: apply --bundle FILE");
	else if (keys && bundle_open(paths, 1, &trust, &bundle, &error))
		cluster_complain("%s", error.text);
	free(keys);
	free(last);
	free(name);
	free(version);
	if (bundle)
		*ret_path = absolute;
	else
		free(absolute);
	return bundle;
}

int plan_refresh(struct cluster *cluster, unsigned seconds, int64_t *ret_since)
{
	char text[24], *last = state_meta(&cluster->state, "refresh");
	int64_t before;
	int err;

	/* It only rises, also when this machine's clock was set back. */
	before = last ? strtoll(last, NULL, 10) : 0;
	free(last);
	*ret_since = state_now() > before ? state_now() : before + 1;
	snprintf(text, sizeof(text), "%lld", (long long)*ret_since);
	err = state_meta_set(&cluster->state, "refresh", text);
	if (!err)
		err = state_await_none(&cluster->state, seconds,
				       "SELECT count(*) FROM nodes WHERE polled < ? OR facts = ''",
				       *ret_since);
	return err;
}
