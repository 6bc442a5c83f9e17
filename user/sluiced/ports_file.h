/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operator's file of port bindings: read when the daemon starts, when the configuration is
 * read again and whenever it changes. Its last good content is what counts: a file that is wrong,
 * or gone, changes nothing, over a restart neither.
 *
 *   bindings.file ──inotify, looks──▶ list ──changed()──▶ ports.c      STORE/file: last good
 */
#ifndef SLUICE_SLUICED_PORTS_FILE_H
#define SLUICE_SLUICED_PORTS_FILE_H

#include <sys/stat.h>

#include "../lib/binding.h"
#include "sluiced.h"

struct ports_store;

enum ports_file_state {
	PORTS_FILE_NONE, /* the configuration names none */
	PORTS_FILE_OK,
	PORTS_FILE_MISSING,
	PORTS_FILE_WRONG,
};

struct ports_file {
	struct sluiced *sluiced;
	const struct ports_store *store;
	void (*changed)(struct ports_file *file);
	char *path;		  /* or NULL */
	struct binding_list list; /* the last good content */
	enum ports_file_state state;
	char *problem; /* while it is missing or wrong */
	struct stat seen;
	int events; /* inotify; -1: none */
	struct loop_watch watch;
	struct loop_timer read, look;
};

/*
 * Reads it and begins to watch it, if the configuration names one; refuses what is wrong and has
 * no good predecessor: -errno and *ret_why (malloc'd, may be NULL). changed() is told of later
 * readings, also of such as found nothing good. ports_file_end() takes all it made away, whatever
 * the result was.
 */
int ports_file_begin(struct ports_file *file, struct sluiced *sluiced,
		     const struct ports_store *store, void (*changed)(struct ports_file *file),
		     char **ret_why);
/* The configuration may name another one now. -ENOMEM: as it was. changed() is not told. */
int ports_file_reload(struct ports_file *file);
void ports_file_end(struct ports_file *file);

const char *ports_file_state_name(const struct ports_file *file);

#endif
