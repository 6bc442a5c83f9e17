/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "ports" is what was said by command (ports.c), "file" the last good content of the operator's
 * (ports_file.c). Both read what they wrote when the daemon starts.
 */
#include "ports_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/binding.h"
#include "generation.h"

#define STORE "/var/lib/sluice"

void ports_store_init(struct ports_store *store, const struct sluiced *sluiced)
{
	const char *wanted = sluiced->generation->conf->bindings.store;

	if (wanted)
		snprintf(store->dir, sizeof(store->dir), "%s", wanted);
	else
		snprintf(store->dir, sizeof(store->dir), STORE "/%s", sluiced->instance);
}

static void path_of(const struct ports_store *store, const char *name, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/%s", store->dir, name);
}

int ports_store_save(const struct ports_store *store, const char *name,
		     const struct binding_list *list)
{
	char path[PATH_MAX];
	int err = 0;

	path_of(store, name, path);
	if ((mkdir(STORE, 0755) && errno != EEXIST) || (mkdir(store->dir, 0700) && errno != EEXIST))
		err = -errno;
	if (!err)
		err = bindings_save(path, list);
	/* Only when nothing is left in them. */
	rmdir(store->dir);
	rmdir(STORE);
	return err;
}

int ports_store_load(const struct ports_store *store, const char *name, struct binding_list *ret,
		     char **ret_why)
{
	char path[PATH_MAX];
	int err;

	path_of(store, name, path);
	err = bindings_load(path, ret, ret_why);
	if (err != -ENOENT)
		return err;
	free(*ret_why);
	*ret_why = NULL;
	return 0;
}
