/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: sluice.yaml as a typed tree. conf_load() reads it through
 * a declarative libcyaml schema, fills defaults, and checks what a schema cannot
 * (addresses, cross references, ranges). Man page: sluice.yaml(5).
 *
 * Lists are (array, array_count), as libcyaml wants them. Optional strings are
 * NULL when not given. Times are milliseconds, sizes bytes unless a name says
 * otherwise.
 */
#ifndef SLUICE_CONF_H
#define SLUICE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_guard_mode {
	CONF_GUARD_AUTO,
	CONF_GUARD_TC,
	CONF_GUARD_XDP_NATIVE,
	CONF_GUARD_XDP_GENERIC
};
enum conf_bridge { CONF_BRIDGE_FD, CONF_BRIDGE_STREAM };
enum conf_fail { CONF_FAIL_PASS, CONF_FAIL_DROP };
enum conf_engine { CONF_ENGINE_AUTO, CONF_ENGINE_INLINE, CONF_ENGINE_URING, CONF_ENGINE_COPY };
enum conf_congestion {
	CONF_CONGESTION_CUBIC,
	CONF_CONGESTION_RENO,
	CONF_CONGESTION_DCTCP,
	CONF_CONGESTION_SYSTEM
};
enum conf_identity {
	CONF_IDENTITY_NONE,
	CONF_IDENTITY_SLUICE,
	CONF_IDENTITY_NEUTRON,
	CONF_IDENTITY_NOVA,
};
enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON };

/* Where services are reached from. */
struct conf_management {
	char *netns;  /* name, path, or NULL: sluiced's own namespace */
	char *source; /* local address to connect from, or NULL */
};

/* What every tenant gateway opens unless the tenant says otherwise. */
struct conf_listen {
	uint16_t *ports; /* default 80, 8080 */
	unsigned ports_count;
	bool ipv6;	    /* default true */
	uint32_t hop_limit; /* TTL of responses, 1..255; 0: the kernel's default */
	char **hosts;	    /* names accepted in Host beside the metadata addresses */
	unsigned hosts_count;
};

struct conf_origin {
	char *address; /* "tcp:10.0.0.5:8081", "tcp:[fd00::5]:80", "unix:/path" */
};

struct conf_service {
	char *name;
	struct conf_origin *origins;
	unsigned origins_count;
	enum conf_identity identity;
	char *secret_file;	   /* for identity sluice (optional) and nova; read by the parent */
	char *secret;		   /* its content, filled by conf_read_secrets(); never from YAML */
	uint32_t connect_timeout;  /* default 3000 */
	uint32_t response_timeout; /* request sent .. response head; default 60000 */
	uint32_t idle_timeout;	   /* no byte moved in a body; default 60000 */
	uint32_t total_timeout;	   /* whole exchange; 0: none (default) */
	uint32_t pool_size;	   /* idle origin connections kept per worker; default 32 */
	uint32_t pool_idle;	   /* how long one may stay idle; default 30000 */
};

struct conf_route {
	char *path; /* prefix, starts with '/'; longest wins; matched on segments */
	char *service;
	char **methods; /* default GET, HEAD */
	unsigned methods_count;
	char *require_header; /* header name that must be present, or NULL */
};

struct conf_tenant {
	char *name;
	char *netns;	    /* name under /run/netns, or absolute path */
	char *interface;    /* where the programs attach */
	char *l3_interface; /* where the address lives; NULL: found (the bridge of a port) */
	enum conf_bridge bridge;
	enum conf_fail fail;
	enum conf_guard_mode guard;
	uint16_t *ports; /* NULL: listen.ports */
	unsigned ports_count;
	bool ipv6; /* default: listen.ipv6 */
};

/*
 * A rule that finds tenants by itself. namespaces and interfaces are shell patterns with '*' and
 * '?' (lib/glob.h); tenant and network are templates of what they matched.
 */
struct conf_discover {
	char *namespaces;
	char *interfaces;
	char *tenant;  /* the tenant's name; default "{namespace}.{interface}" */
	char *network; /* its network to identity "neutron"; default "{namespace}" */
	enum conf_bridge bridge;
	enum conf_fail fail;
	enum conf_guard_mode guard;
	uint16_t *ports; /* NULL: listen.ports */
	unsigned ports_count;
	bool ipv6; /* default: listen.ipv6 */
};

/* Budgets are packets per second with a burst; rate 0 means no limit. */
struct conf_guard {
	enum conf_guard_mode mode; /* default for tenants; auto */
	uint32_t source_rate, source_burst;
	uint32_t syn_rate, syn_burst;
	uint32_t interface_rate, interface_burst;
	uint32_t interface_syn_rate, interface_syn_burst;
	uint32_t raise_drops; /* auto: drops per second that raise XDP; default 20000 */
	uint32_t quiet_ms;    /* auto: below a tenth of that for so long lowers it; default 30000 */
};

/* Port bindings: who stands behind a MAC and its addresses (lib/binding.h). */
struct conf_bindings {
	char *file;  /* the operator's, watched; or NULL: none */
	char *store; /* directory of what "sluice port set" said; NULL: /var/lib/sluice/INSTANCE */
};

struct conf_limits {
	uint32_t tenants;		 /* default 4096 */
	uint32_t bindings;		 /* machines; default 16384 */
	uint32_t head_size;		 /* request and response heads; default 16384 */
	uint32_t head_count;		 /* header fields; default 100 */
	uint64_t body_size;		 /* request bodies; default 1 MiB */
	uint32_t connections;		 /* per worker; default 16384 */
	uint32_t connections_per_client; /* per (tenant, address) and worker; default 256 */
	uint32_t connections_per_tenant; /* per worker; default 8192 */
	/* Requests per second of one (tenant, address) and worker; rate 0 means no limit. */
	uint32_t request_rate, request_burst; /* default 1000, 5000 */
	uint32_t request_timeout;   /* first byte of a head .. last byte of its body; 300000 */
	uint32_t head_timeout;	    /* first byte .. end of a request head; default 10000 */
	uint32_t keepalive_timeout; /* between requests; default 60000 */
	uint32_t body_timeout;	    /* no byte of a request body; default 30000 */
	uint32_t send_timeout;	    /* client takes no byte of a response; default 60000 */
};

struct conf_relay {
	uint32_t workers; /* 0: one per CPU, at most 8 */
	char *user;	  /* name or number; default "sluice" */
	enum conf_engine engine;
	enum conf_congestion congestion; /* TCP's, of both legs; default cubic */
	uint32_t pipes_small;		 /* 256 KiB pipes per worker; default 64 */
	uint32_t pipes_large;		 /* 1 MiB pipes per worker; default 16 */
	uint32_t turn_budget;		 /* bytes per connection per turn; default 262144 */
	uint32_t busy_poll;  /* us of looking before a sleep, for one that is alone; default 50 */
	uint32_t copy_below; /* bodies with less than this left are copied; default 32768 */
	uint32_t drain_timeout; /* an old generation's deadline; default 60000 */
};

struct conf_log {
	char *access; /* path of the access log, or NULL: none */
	enum conf_log_format format;
	/* Lines per second of one tenant and worker; rate 0 means no limit. */
	uint32_t rate, burst; /* default 100, 1000 */
};

/* The endpoint that Prometheus scrapes; a process of its own serves it. */
struct conf_metrics {
	char *listen;	  /* "tcp:…" or "unix:…" in the management namespace, or NULL: none */
	char *user;	  /* name or number; default "sluice-metrics" */
	uint32_t tenants; /* with series of their own, by slot; others in one; default 1000 */
};

struct conf {
	struct conf_management management;
	struct conf_listen listen;
	struct conf_relay relay;
	struct conf_guard guard;
	struct conf_limits limits;
	struct conf_log log;
	struct conf_metrics metrics;
	struct conf_bindings bindings;
	struct conf_service *services;
	unsigned services_count;
	struct conf_route *routes;
	unsigned routes_count;
	struct conf_tenant *tenants;
	unsigned tenants_count;
	struct conf_discover *discover;
	unsigned discover_count;
};

/* An origin's address, parsed. */
struct conf_address {
	uint16_t family; /* AF_INET, AF_INET6, AF_UNIX */
	uint16_t port;	 /* host order */
	uint8_t ip[16];
	char path[108];
};

/*
 * Reads path. On success returns 0 and *ret_conf, to be freed with conf_free().
 * On failure returns -errno (-EINVAL: the file is wrong) and *ret_why holds one or
 * more lines "FILE:LINE:COL: what is wrong; what to write instead", malloc'd.
 */
int conf_load(const char *path, struct conf **ret_conf, char **ret_why);
/* The same from memory; name stands for the path in messages. */
int conf_parse(const char *name, const void *yaml, size_t len, struct conf **ret_conf,
	       char **ret_why);
/* Reads every secret_file (mode must not be world-readable). -errno and *ret_why as above. */
int conf_read_secrets(struct conf *conf, char **ret_why);
/*
 * Writes the tree, defaults and secrets included, into a sealed memfd: how a worker gets it.
 * Returns the fd or -errno. conf_recv() is its reader; it maps and parses the fd.
 */
int conf_send(const struct conf *conf);
/* The same without secrets: for workers that sign nothing. */
int conf_send_public(const struct conf *conf);
int conf_recv(int memfd, struct conf **ret_conf);
void conf_free(struct conf *conf);

/* Parses "tcp:…" and "unix:…". 0 or -EINVAL; *ret untouched on failure. */
int conf_address_parse(const char *text, struct conf_address *ret);

/* Canonical words of the enums, also for --json. */
const char *conf_guard_mode_name(enum conf_guard_mode mode);
const char *conf_bridge_name(enum conf_bridge bridge);
const char *conf_fail_name(enum conf_fail fail);
const char *conf_engine_name(enum conf_engine engine);
/* As TCP_CONGESTION takes it; NULL when the system's choice is left alone. */
const char *conf_congestion_name(enum conf_congestion congestion);
const char *conf_identity_name(enum conf_identity identity);
/* The reverse: 0 or -EINVAL. */
int conf_guard_mode_parse(const char *word, enum conf_guard_mode *ret);
int conf_bridge_parse(const char *word, enum conf_bridge *ret);
int conf_fail_parse(const char *word, enum conf_fail *ret);

#endif
