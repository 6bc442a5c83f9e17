/* SPDX-License-Identifier: BSD-2-Clause */
/* bundle.yaml: what "sluice-bundle create" makes a bundle from. See docs/bundle.md. */
#ifndef BUNDLE_DEFINITION_H
#define BUNDLE_DEFINITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/bundle.h"

struct definition_words {
	char **list;
	unsigned count;
};

struct definition_port {
	uint16_t port;
	char *protocol;
};

struct definition_variable {
	char *name, *title, *value;
};

struct definition_config {
	char *path, *owner, *group, *mode, *when;
	char *text, *file; /* one of them; file is read into text when the definition is loaded */
};

struct definition_step {
	char *run;
	uint32_t timeout, tries, interval;
};

struct definition_steps {
	struct definition_step *list;
	unsigned count;
};

struct definition_item {
	char *name, *version, *title;
	enum bundle_role role;
	/* needs */
	char **os;
	unsigned os_count;
	char *architecture, *kernel;
	uint32_t space, memory; /* MiB */
	struct definition_port *ports;
	unsigned ports_count;
	char **requires, **conflicts;
	unsigned requires_count, conflicts_count;
	/* payload: one of three */
	char **packages;
	unsigned packages_count;
	bool recommends;
	char *tarball, *target;
	char *image, *reference;
	/* all */
	struct definition_variable *variables;
	unsigned variables_count;
	struct definition_config *configs;
	unsigned configs_count;
	struct definition_step *prepare, *install, *health, *uninstall;
	unsigned prepare_count, install_count, health_count, uninstall_count;
};

struct definition {
	char *name, *title;
	uint64_t version;
	/* what the closures are resolved against, and from */
	char *os, *architecture, *status; /* status: a file, "machine" or "empty" */
	bool machine_sources;		  /* the apt sources of this machine */
	char **debs;			  /* directories of .deb files */
	unsigned debs_count;
	struct definition_item *items;
	unsigned items_count;
};

/*
 * Reads and checks; paths in it are relative to its own directory and come back as they are to
 * be opened. 0, or an error with *ret_why (malloc'd, a line for each mistake).
 */
int definition_load(const char *path, struct definition **ret_definition, char **ret_why);
void definition_free(struct definition *definition);

#endif
