/* SPDX-License-Identifier: BSD-2-Clause */
/* A cluster file: whatever is accepted can be walked, and has names that are safe in paths. */
#include <stdlib.h>
#include <string.h>

#include "../../user/cluster/config.c"
#include "../../user/cluster/config_check.c"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	char *why = NULL;

	if (!config_parse("fuzz", data, size, &config, &why)) {
		if (!config->nodes_count || strchr(config->cluster, '/'))
			abort();
		for (unsigned i = 0; i < config->nodes_count; i++)
			if (strchr(config->nodes[i].name, '/') ||
			    config_node(config, config->nodes[i].name) != &config->nodes[i])
				abort();
		config_free(config);
	} else if (!why || !*why) {
		abort();
	}
	free(why);
	return 0;
}
