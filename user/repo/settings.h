/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-repod's configuration, /etc/sluice/repod.yaml: a libcyaml schema, defaults for
 * what is not given (0 counts as not given), and the checks a schema cannot make.
 * Documented in sluice-repod(8).
 */
#ifndef REPO_SETTINGS_H
#define REPO_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/conf.h"
#include "token.h"

/* Who is served on an address. */
enum settings_audience {
	SETTINGS_MANAGEMENT, /* tokens and unix peers; signed identities too */
	SETTINGS_TENANTS,    /* signed identities only: where a relay connects */
};

struct settings_listen {
	char *address; /* "tcp:127.0.0.1:8081", "unix:/run/…" */
	enum settings_audience audience;
	char *group; /* of a unix socket (mode 0660); NULL: mode 0600 */
	bool tls;
	struct conf_address parsed;
};

/* A unix peer's role by user or by group. */
struct settings_peer {
	char *user, *group;
	char *role;
	enum role parsed;
	uint32_t id; /* uid or gid */
};

struct settings_tls {
	char *certificate, *key;	 /* PEM files */
	char *certificate_pem, *key_pem; /* their content */
};

struct settings_tenants {
	char *secret_file;
	char *prefix; /* what the relay's route puts before our paths; default "/repo" */
	char *secret; /* content of secret_file; NULL: no tenant is served */
	size_t secret_len;
};

struct settings_limits {
	uint64_t upload_size;	/* default 16 GiB */
	uint64_t keep_free;	/* bytes uploads leave free; default 64 MiB */
	uint32_t connections;	/* per address; default 4096 */
	uint32_t threads;	/* per address; default 2 */
	uint32_t idle_timeout;	/* seconds; default 60 */
	uint32_t upload_expiry; /* seconds an unfinished upload is kept; default 7 days */
	uint32_t uploads;	/* unfinished ones of one token or peer; default 100 */
	uint64_t upload_budget; /* bytes that those may hold; default twice upload_size */
};

struct settings_publish {
	char *suite;	      /* default "stable" */
	char *component;      /* default "main" */
	char *origin;	      /* Origin and Label of Release; default "sluice" */
	char **architectures; /* always listed; default amd64 */
	unsigned architectures_count;
	uint32_t grace; /* seconds what was published before stays; default 86400 */
};

struct settings {
	char *state; /* default /var/lib/sluice-repo */
	struct settings_listen *listen;
	unsigned listen_count;
	struct settings_tls tls;
	struct settings_tenants tenants;
	struct settings_peer *peers;
	unsigned peers_count;
	char *anonymous; /* "public" (default) or "none": what a management client without a
			    token may see */
	struct settings_limits limits;
	struct settings_publish publish;
};

/* path NULL: defaults. 0, or -errno and *ret_why, malloc'd: lines for people. */
int settings_load(const char *path, struct settings **ret_settings, char **ret_why);
void settings_free(struct settings *settings);

#endif
