/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who asks. In this order, and nothing falls through to the next:
 *
 *  1. a request with any X-Sluice-* header, or on an address that is "for: tenants", comes
 *     through a relay: its signature (relay/identity.h) is right, or it is refused
 *  2. an Authorization header: its token is right, or the request is refused
 *  3. a unix peer, by SO_PEERCRED
 *  4. anybody else is anonymous
 */
#include "request.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "../lib/log.h"
#include "../relay/identity.h"
#include "../lib/digest.h"
#include "http.h"

#define HEADER_PREFIX	 "X-Sluice-"
#define HEADER_VALUE_MAX 256
#define PEER_GROUPS_MAX	 256

enum { ID_TENANT, ID_INSTANCE, ID_CLIENT, ID_TIME, ID_SIGNATURE, ID_COUNT };

static const char *const id_names[] = {
	[ID_TENANT] = "Tenant", [ID_INSTANCE] = "Instance",   [ID_CLIENT] = "Client",
	[ID_TIME] = "Time",	[ID_SIGNATURE] = "Signature",
};
_Static_assert(sizeof(id_names) / sizeof(id_names[0]) == ID_COUNT, "id_names");

struct id_headers {
	const char *value[ID_COUNT];
	bool any;   /* some X-Sluice- header is there */
	bool wrong; /* one is repeated, unknown or too long */
};

static enum MHD_Result collect_id(void *arg, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	struct id_headers *headers = arg;
	size_t prefix = strlen(HEADER_PREFIX);

	if (strncasecmp(name, HEADER_PREFIX, prefix) != 0)
		return MHD_YES;
	headers->any = true;
	for (int i = 0; i < ID_COUNT; i++) {
		if (strcasecmp(name + prefix, id_names[i]) != 0)
			continue;
		if (headers->value[i] || !value || strlen(value) > HEADER_VALUE_MAX)
			headers->wrong = true;
		headers->value[i] = value;
		return MHD_YES;
	}
	headers->wrong = true;
	return MHD_YES;
}

/* The signature's text is bounded by its parts: five short values and a target of one head. */
static bool signature_right(const struct request *request, const struct id_headers *headers)
{
	const struct settings_tenants *tenants = &request->repod->settings->tenants;
	const char *const *value = headers->value;
	uint8_t expected[DIGEST_SIZE], given[DIGEST_SIZE];
	char *text;
	int len, err;

	if (strncmp(value[ID_SIGNATURE], "v1=", 3) != 0 ||
	    name_unhex(value[ID_SIGNATURE] + 3, given, sizeof(given)))
		return false;
	len = asprintf(&text, "v1\n%s\n%s\n%s\n%s\n%s\n%s\n", value[ID_TENANT],
		       value[ID_INSTANCE] ? value[ID_INSTANCE] : "", value[ID_CLIENT],
		       request->method, request->target, value[ID_TIME]);
	if (len < 0)
		return false;
	err = digest_hmac(tenants->secret, tenants->secret_len, text, (size_t)len, expected);
	free(text);
	return !err && digest_equal(expected, given);
}

static int refuse_identity(struct request *request, const char *why)
{
	static struct log_limit limit = LOG_LIMIT(10000, 10);
	uint32_t left_out;

	if (log_allowed(&limit, &left_out))
		log_warn("identity refused on %s: %s (%u more before)",
			 request->listener->settings->address, why, left_out);
	return problem_set(
		&request->problem, 403, "identity",
		"the service in sluice.yaml needs \"identity: sluice\" and the secret of "
		"tenants.secret_file",
		"the request's identity is refused");
}

static int identify_tenant(struct request *request, const struct id_headers *headers)
{
	const char *const *value = headers->value;
	struct who *who = &request->who;
	uint64_t signed_at;
	int64_t off;

	if (!request->repod->settings->tenants.secret)
		return refuse_identity(request, "no tenants.secret_file is configured");
	if (headers->wrong || !value[ID_TENANT] || !value[ID_CLIENT] || !value[ID_TIME] ||
	    !value[ID_SIGNATURE])
		return refuse_identity(request, "headers are missing, repeated or unknown");
	if (!signature_right(request, headers))
		return refuse_identity(request, "the signature is wrong");
	if (name_number(value[ID_TIME], INT64_MAX, &signed_at))
		return refuse_identity(request, "the time is no number");
	off = (int64_t)signed_at - db_now();
	if (off > IDENTITY_TIME_WINDOW || off < -IDENTITY_TIME_WINDOW)
		return refuse_identity(request, "the time is more than 60 seconds off");
	if (!name_tenant_valid(value[ID_TENANT]) ||
	    (value[ID_INSTANCE] && strlen(value[ID_INSTANCE]) >= sizeof(who->instance)))
		return refuse_identity(request, "the tenant's name is not one we can store");
	who->tenant = true;
	strcpy(who->tenant_name, value[ID_TENANT]);
	strcpy(who->instance, value[ID_INSTANCE] ? value[ID_INSTANCE] : "");
	who->viewer = who->tenant_name;
	snprintf(who->name, sizeof(who->name), "tenant:%s", who->tenant_name);
	return 0;
}

static int refuse_token(struct request *request)
{
	static struct log_limit limit = LOG_LIMIT(10000, 10);
	uint32_t left_out;

	if (log_allowed(&limit, &left_out))
		log_warn("token refused on %s (%u more before)",
			 request->listener->settings->address, left_out);
	return problem_set(&request->problem, 401, "token",
			   "\"sluice-repo token create\" makes a new one",
			   "the token is wrong, expired or revoked");
}

/*
 * "Bearer TOKEN", or for browsers "Basic …" with the token as the password. A browser
 * repeats the latter on its own, also when another site makes it: good for reading only.
 */
static int identify_token(struct request *request, const char *authorization)
{
	struct who *who = &request->who;
	char name[TOKEN_NAME_MAX + 1];
	unsigned char pair[512];
	const char *token = NULL;
	bool basic = !strncasecmp(authorization, "Basic ", 6);
	size_t len;

	if (!strncasecmp(authorization, "Bearer ", 7)) {
		token = authorization + 7;
	} else if (basic) {
		len = strlen(authorization + 6);
		if (len % 4 || len / 4 * 3 >= sizeof(pair) ||
		    EVP_DecodeBlock(pair, (const unsigned char *)authorization + 6, (int)len) < 0)
			return refuse_token(request);
		pair[len / 4 * 3] = '\0';
		token = strchr((char *)pair, ':');
		token = token ? token + 1 : NULL;
	}
	if (!token || token_check(db_reader(request->repod->db), token, &who->role, name))
		return refuse_token(request);
	if (basic && who->role > ROLE_READER)
		who->role = ROLE_READER;
	snprintf(who->name, sizeof(who->name), "token:%s", name);
	who->viewer = NULL;
	return 0;
}

static bool in_group(int fd, gid_t primary, uint32_t gid)
{
	gid_t groups[PEER_GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (primary == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static int identify_peer(struct request *request)
{
	const struct settings *settings = request->repod->settings;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const char *host = request_header(request, MHD_HTTP_HEADER_HOST);
	struct who *who = &request->who;
	struct passwd entry, *user = NULL;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char buffer[1024];

	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return problem_set(&request->problem, 403, "peer", NULL, "who asks is not known");
	/* A relay pointed here by mistake connects as root, with a VM's request in hand; the
	 * Host it carries gives it away. */
	if (!host || (strcmp(host, "sluice-repod") != 0 && strcmp(host, "localhost") != 0))
		return problem_set(
			&request->problem, 421, "host",
			"on this socket ask for http://sluice-repod/...; a relay needs an "
			"address that is \"for: tenants\"",
			"this socket is for management");
	if (peer.uid == 0 || peer.uid == geteuid())
		who->role = ROLE_ADMIN;
	for (unsigned i = 0; i < settings->peers_count; i++) {
		const struct settings_peer *rule = &settings->peers[i];
		bool matches = rule->user ? rule->id == peer.uid
					  : in_group(info->connect_fd, peer.gid, rule->id);

		if (matches && rule->parsed > who->role)
			who->role = rule->parsed;
	}
	getpwuid_r(peer.uid, &entry, buffer, sizeof(buffer), &user);
	if (user)
		snprintf(who->name, sizeof(who->name), "unix:%.64s", user->pw_name);
	else
		snprintf(who->name, sizeof(who->name), "unix:%u", peer.uid);
	if (who->role != ROLE_NONE)
		who->viewer = NULL;
	return 0;
}

int auth_identify(struct request *request)
{
	const struct settings_listen *listen = request->listener->settings;
	struct id_headers headers = { 0 };
	const char *authorization;
	struct who *who = &request->who;

	who->role = ROLE_NONE;
	who->viewer = "";
	strcpy(who->name, "anonymous");
	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, collect_id, &headers);
	if (headers.any || listen->audience == SETTINGS_TENANTS)
		return identify_tenant(request, &headers);
	who->refused = !strcmp(request->repod->settings->anonymous, "none");
	authorization = request_header(request, MHD_HTTP_HEADER_AUTHORIZATION);
	if (authorization)
		return identify_token(request, authorization);
	return listen->parsed.family == AF_UNIX ? identify_peer(request) : 0;
}
