/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request from its first header to its answer:
 *
 *   http.c     libmicrohttpd calls in; makes the request, feeds the body, sends the reply
 *   auth.c     who asks
 *   routes.c   which handler answers, and what it may be asked by whom
 *   api_*.c, serve.c, page.c   the handlers: they fill in the reply
 *   reply.c    what a reply is made of
 *
 * A handler runs in the connection's thread, or, for routes marked ROUTE_JOB or ROUTE_SLOW, in a
 * job thread while the connection is suspended. Either way it alone holds the request.
 */
#ifndef REPO_REQUEST_H
#define REPO_REQUEST_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "problem.h"
#include "repod.h"
#include "upload.h"

#define REQUEST_PATH_MAX 1024
#define REQUEST_BODY_MAX (64 * 1024)

struct route;
struct listener;

struct who {
	enum role role;		   /* ROLE_NONE for tenants and the anonymous */
	bool tenant;		   /* came with a signed identity */
	bool refused;		   /* may not even see what is public */
	char name[UPLOAD_WHO_MAX]; /* for the audit log: "token:ci", "unix:root", … */
	/* What the catalogue calls a viewer: NULL sees everything, "" what is public. */
	const char *viewer;
	char tenant_name[NAME_TENANT_MAX + 1];
	char instance[128];
};

enum request_state {
	REQUEST_NEW,	  /* headers not seen yet */
	REQUEST_BODY,	  /* taking the body */
	REQUEST_JOB,	  /* suspended; the job thread owns the request */
	REQUEST_ANSWERED, /* the reply is set or sent */
};

struct request {
	struct repod *repod;
	const struct listener *listener;
	struct MHD_Connection *connection;
	enum request_state state;
	char *target; /* as it came: what the relay signed */
	char method[8];
	char path[REQUEST_PATH_MAX]; /* decoded, without tenants.prefix and query */
	const char *rest;	     /* the path behind the route's prefix */
	const struct route *route;
	struct who who;

	char *body; /* JSON bodies: NUL-terminated, at most REQUEST_BODY_MAX */
	size_t body_len;

	struct upload upload; /* uploads: where the body goes */
	int fd;		      /* its file, locked; -1 otherwise */
	uint64_t offset;      /* where the next byte belongs */
	uint64_t discarded;   /* bytes thrown away since it failed */

	struct problem problem;
	struct MHD_Response *response;
	unsigned status;

	struct request *next_waiter; /* waiters.c */
	int64_t generation, deadline_ms;
};

/* A header's or a query argument's value, or NULL; repeated headers: the first. */
const char *request_header(const struct request *request, const char *name);
const char *request_argument(const struct request *request, const char *name);

/* auth.c: fills request->who. 0, or -1 and request->problem. */
int auth_identify(struct request *request);

/* routes.c: sets request->route and rest. 0, or -1 and request->problem. */
int routes_find(struct request *request);

enum route_flags {
	ROUTE_TENANT = 1, /* tenants and the anonymous may ask, and see their view */
	ROUTE_AGENT = 64, /* for tenants alone */
	ROUTE_JSON = 2,	  /* has a JSON body */
	ROUTE_UPLOAD = 4, /* has a body that goes to request->fd */
	ROUTE_JOB = 8,	  /* run in a job thread */
	ROUTE_SLOW = 128, /* in one of those for what may take minutes */
	ROUTE_PAGE = 16,  /* for browsers: asks for a password */
	ROUTE_WAIT = 32,  /* suspended while run() and until somebody calls request_resume() */
};

struct route {
	const char *method; /* GET also answers HEAD */
	const char *path;   /* whole, or a prefix when it ends with '/' */
	enum role role;	    /* least role of the management side */
	unsigned flags;
	/* Called when the headers are there; may be NULL. 0, or -1 and request->problem. */
	int (*begin)(struct request *request);
	/* Called when the body is there: must set a reply. */
	void (*run)(struct request *request);
};

/*
 * The reply is set: gives the request back to its connection's thread. For routes with
 * ROUTE_WAIT, whose run() may leave that to another thread; not to be touched afterwards.
 */
void request_resume(struct request *request);

/* reply.c: each sets the reply; reply_json() takes the object (NULL: out of memory). */
void reply_json(struct request *request, unsigned status, json_t *object);
void reply_problem(struct request *request);
void reply_header(struct request *request, const char *name, const char *value);
/* Takes text, malloc'd. */
void reply_text(struct request *request, unsigned status, const char *type, char *text);
void reply_empty(struct request *request, unsigned status);
/*
 * Parses the body: an object of these members, each of its type (JSON_TRUE: true or false), none
 * needed. NULL and request->problem when it is another: what is misspelt or of a wrong type would
 * count as not said, and a package be public or a token be valid for ever. Without members (NULL)
 * any object will do.
 */
struct request_member {
	const char *name;
	json_type type;
};
json_t *request_json(struct request *request, const struct request_member *members, size_t count);
/* The same with a table whose size is known. */
#define REQUEST_JSON(request, table)                                                               \
	request_json(request, table, sizeof(table) / sizeof((table)[0]))

/*
 * serve.c: answers with the file, ranges and conditions honoured. Takes fd. etag is without
 * quotes; filename, when given, is what a browser saves it as.
 */
void serve_file(struct request *request, int fd, const char *etag, const char *type,
		const char *filename);

#endif
