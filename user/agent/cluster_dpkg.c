/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What dpkg was cut off in. apt ends well on a package whose unpacking was killed, having done
 * nothing: so that is looked for before and after, in dpkg's own words.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_TRIES 150 /* of 2 s */
#define CONFIGURE  3600
#define STATES_MAX (1024 * 1024)

/* What a kill or a power loss left half-configured, dpkg finishes first. */
int payload_recover(struct outcome *outcome)
{
	static const char *const argv[] = { "dpkg", "--force-confold", "--configure", "-a", NULL };
	struct exec exec = { .argv = argv, .timeout = CONFIGURE, .input = -1 };
	int status;

	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		outcome->log[0] = '\0';
		status = exec_run(&exec, outcome);
		/* Somebody else's dpkg, or our own that outlived a killed agent. */
		if (status != 2 || !strstr(outcome->log, "lock"))
			return status < 0 ? status : 0;
		sleep(2);
	}
	return outcome_fail(outcome, -EBUSY, "another program holds dpkg's lock");
}

static const struct bundle_package *find(const struct bundle_item *item, const char *name)
{
	for (size_t i = 0; i < item->packages_count; i++)
		if (!strcmp(item->packages[i].name, name))
			return &item->packages[i];
	return NULL;
}

size_t payload_torn(const struct bundle_item *item, char **names, size_t max)
{
	char *text = exec_output(STATES_MAX, "dpkg-query", "-W", "-f",
				 "${db:Status-Eflag} ${db:Status-Status} ${Package}\\n", NULL);
	char *save = NULL, flag[16], state[24], name[128];
	const struct bundle_package *package;
	size_t count = 0;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line && count < max;
	     line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%15s %23s %127s", flag, state, name) != 3 ||
		    (!strcmp(flag, "ok") && strcmp(state, "half-installed") != 0))
			continue;
		package = find(item, name);
		if (package && asprintf(&names[count], "%s=%s", name, package->version) >= 0)
			count++;
	}
	free(text);
	return count;
}

int payload_whole(struct work *work)
{
	json_t *installed = facts_packages();
	const char *missing = NULL;

	if (!installed)
		return outcome_fail(&work->outcome, -EIO,
				    "dpkg-query does not say what is installed");
	for (size_t i = 0; i < work->item->packages_count && !missing; i++)
		if (!json_object_get(installed, work->item->packages[i].name))
			missing = work->item->packages[i].name;
	json_decref(installed);
	return missing ? outcome_fail(&work->outcome, -EIO,
				      "%s is not whole, though apt-get ended well: see dpkg "
				      "--audit",
				      missing)
		       : 0;
}
