/* SPDX-License-Identifier: BSD-2-Clause */
#include "settings.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/name.h"
#include "upload.h"

#define TEXT_MAX    1024
#define SECRET_MIN  16
#define SECRET_MAX  4096
#define PEM_MAX	    (256 * 1024)
#define MESSAGE_MAX 2048

/* clang-format off */
#define OPT CYAML_FLAG_OPTIONAL
#define UINT(key, type, member) CYAML_FIELD_UINT(key, OPT, type, member)
#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, OPT | CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define NEED(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define LIST(key, type, member, entry, most) CYAML_FIELD_SEQUENCE(key, OPT | CYAML_FLAG_POINTER, type, member, entry, 1, most)
#define PART(key, member, fields) CYAML_FIELD_MAPPING(key, OPT, struct settings, member, fields)

static const cyaml_strval_t audience_words[] = {
	{ "management", SETTINGS_MANAGEMENT },
	{ "tenants", SETTINGS_TENANTS },
};

static const cyaml_schema_field_t listen_fields[] = {
	NEED("address", struct settings_listen, address),
	CYAML_FIELD_ENUM("for", OPT | CYAML_FLAG_STRICT, struct settings_listen, audience, audience_words, CYAML_ARRAY_LEN(audience_words)),
	TEXT("group", struct settings_listen, group),
	CYAML_FIELD_BOOL("tls", OPT, struct settings_listen, tls),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t listen_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct settings_listen, listen_fields) };

static const cyaml_schema_field_t peer_fields[] = {
	TEXT("user", struct settings_peer, user),
	TEXT("group", struct settings_peer, group),
	NEED("role", struct settings_peer, role),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t peer_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct settings_peer, peer_fields) };

static const cyaml_schema_field_t tls_fields[] = {
	NEED("certificate", struct settings_tls, certificate),
	NEED("key", struct settings_tls, key),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t tenants_fields[] = {
	NEED("secret_file", struct settings_tenants, secret_file),
	TEXT("prefix", struct settings_tenants, prefix),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t limits_fields[] = {
	UINT("upload_size", struct settings_limits, upload_size),
	UINT("keep_free", struct settings_limits, keep_free),
	UINT("connections", struct settings_limits, connections),
	UINT("threads", struct settings_limits, threads),
	UINT("idle_timeout", struct settings_limits, idle_timeout),
	UINT("upload_expiry", struct settings_limits, upload_expiry),
	UINT("uploads", struct settings_limits, uploads),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 32) };
static const cyaml_schema_field_t publish_fields[] = {
	TEXT("suite", struct settings_publish, suite),
	TEXT("component", struct settings_publish, component),
	TEXT("origin", struct settings_publish, origin),
	LIST("architectures", struct settings_publish, architectures, &text_entry, 32),
	UINT("grace", struct settings_publish, grace),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t root_fields[] = {
	TEXT("state", struct settings, state),
	LIST("listen", struct settings, listen, &listen_entry, 16),
	PART("tls", tls, tls_fields),
	PART("tenants", tenants, tenants_fields),
	LIST("peers", struct settings, peers, &peer_entry, 64),
	TEXT("anonymous", struct settings, anonymous),
	PART("limits", limits, limits_fields),
	PART("publish", publish, publish_fields),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t root = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, root_fields) };
/* clang-format on */

struct messages {
	char text[MESSAGE_MAX];
	size_t len;
};

/* libcyaml says where the mistake is in its own log lines. */
static void collect(cyaml_log_t level, void *arg, const char *format, va_list args)
{
	struct messages *messages = arg;
	size_t room = sizeof(messages->text) - messages->len;
	int n;

	if (level < CYAML_LOG_ERROR || room < 2)
		return;
	n = vsnprintf(messages->text + messages->len, room, format, args);
	if (n > 0)
		messages->len += (size_t)n < room ? (size_t)n : room - 1;
}

static const cyaml_config_t *make_config(struct messages *messages, cyaml_config_t *config)
{
	*config = (cyaml_config_t){
		.log_fn = collect,
		.log_ctx = messages,
		.log_level = CYAML_LOG_ERROR,
		.mem_fn = cyaml_mem,
		.flags = CYAML_CFG_NO_ALIAS,
	};
	return config;
}

static int wrong(char **ret_why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int wrong(char **ret_why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_why, format, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return -EINVAL;
}

static bool set_text(char **text, const char *value)
{
	if (!*text)
		*text = strdup(value);
	return *text != NULL;
}

static bool set_list(struct settings *settings)
{
	struct settings_publish *publish = &settings->publish;

	if (!settings->listen) {
		settings->listen = calloc(2, sizeof(*settings->listen));
		if (!settings->listen)
			return false;
		settings->listen_count = 2;
		if (!set_text(&settings->listen[0].address, "tcp:127.0.0.1:8081") ||
		    !set_text(&settings->listen[1].address, "unix:/run/sluice-repo/control.sock"))
			return false;
	}
	if (!publish->architectures) {
		publish->architectures = calloc(1, sizeof(char *));
		if (!publish->architectures)
			return false;
		publish->architectures_count = 1;
		return set_text(&publish->architectures[0], "amd64");
	}
	return true;
}

static int fill_defaults(struct settings *settings)
{
	struct settings_limits *limits = &settings->limits;

	if (!set_text(&settings->state, "/var/lib/sluice-repo") ||
	    !set_text(&settings->anonymous, "public") ||
	    !set_text(&settings->tenants.prefix, "/repo") ||
	    !set_text(&settings->publish.suite, "stable") ||
	    !set_text(&settings->publish.component, "main") ||
	    !set_text(&settings->publish.origin, "sluice") || !set_list(settings))
		return -ENOMEM;
	limits->upload_size = limits->upload_size ? limits->upload_size : 16ULL << 30;
	limits->keep_free = limits->keep_free ? limits->keep_free : 64ULL << 20;
	limits->connections = limits->connections ? limits->connections : 4096;
	limits->threads = limits->threads ? limits->threads : 2;
	limits->idle_timeout = limits->idle_timeout ? limits->idle_timeout : 60;
	limits->upload_expiry = limits->upload_expiry ? limits->upload_expiry : 7 * 86400;
	limits->uploads = limits->uploads ? limits->uploads : 100;
	settings->publish.grace = settings->publish.grace ? settings->publish.grace : 86400;
	return 0;
}

static int check_listen(struct settings *settings, char **ret_why)
{
	for (unsigned i = 0; i < settings->listen_count; i++) {
		struct settings_listen *listen = &settings->listen[i];

		if (conf_address_parse(listen->address, &listen->parsed))
			return wrong(ret_why,
				     "listen[%u].address: \"%s\" is no address; write "
				     "tcp:10.0.0.5:8081, tcp:[fd00::5]:8081 or unix:/path",
				     i, listen->address);
		if (listen->tls && listen->parsed.family == AF_UNIX)
			return wrong(ret_why, "listen[%u]: a unix socket needs no tls", i);
		if (listen->tls && !settings->tls.certificate)
			return wrong(ret_why, "listen[%u]: tls needs tls.certificate and tls.key",
				     i);
		if (listen->audience == SETTINGS_TENANTS && !settings->tenants.secret_file)
			return wrong(ret_why,
				     "listen[%u]: \"for: tenants\" needs tenants.secret_file, the "
				     "secret that sluice's service signs with",
				     i);
	}
	return 0;
}

static int check_peers(struct settings *settings, char **ret_why)
{
	for (unsigned i = 0; i < settings->peers_count; i++) {
		struct settings_peer *peer = &settings->peers[i];
		struct passwd *user = peer->user ? getpwnam(peer->user) : NULL;
		struct group *group = peer->group ? getgrnam(peer->group) : NULL;

		if (!peer->user == !peer->group)
			return wrong(ret_why, "peers[%u]: give either user or group", i);
		if (!user && !group)
			return wrong(ret_why, "peers[%u]: there is no %s %s", i,
				     peer->user ? "user" : "group",
				     peer->user ? peer->user : peer->group);
		if (role_parse(peer->role, &peer->parsed))
			return wrong(ret_why, "peers[%u].role: reader, uploader or admin", i);
		peer->id = user ? user->pw_uid : group->gr_gid;
	}
	return 0;
}

static int check(struct settings *settings, char **ret_why)
{
	const struct settings_publish *publish = &settings->publish;
	int err;

	/* gpg-agent's socket lies below it and has 107 characters to live in. */
	if (settings->state[0] != '/' || strlen(settings->state) > 72)
		return wrong(ret_why, "state: an absolute path of up to 72 characters");
	if (strcmp(settings->anonymous, "public") != 0 && strcmp(settings->anonymous, "none") != 0)
		return wrong(ret_why, "anonymous: public or none");
	if (!name_tenant_valid(publish->suite) || !name_tenant_valid(publish->component) ||
	    !name_tenant_valid(publish->origin))
		return wrong(ret_why, "publish: suite, component and origin are one word each");
	for (unsigned i = 0; i < publish->architectures_count; i++)
		if (!name_arch_valid(publish->architectures[i]))
			return wrong(ret_why, "publish.architectures[%u]: not an architecture", i);
	if (settings->tenants.prefix[0] != '/' || strlen(settings->tenants.prefix) > 64)
		return wrong(ret_why, "tenants.prefix: starts with / and has up to 64 characters");
	if (settings->limits.threads > 64 || settings->limits.connections > 65536)
		return wrong(ret_why, "limits: up to 64 threads and 65536 connections");
	if (settings->limits.uploads > UPLOAD_SESSIONS_MAX)
		return wrong(ret_why, "limits.uploads: up to %d, which all together may have",
			     UPLOAD_SESSIONS_MAX);
	err = check_listen(settings, ret_why);
	return err ? err : check_peers(settings, ret_why);
}

static int read_file(const char *path, size_t max, bool secret, char **ret_text, size_t *ret_len,
		     char **ret_why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	char *text = NULL;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &stat)) {
		wrong(ret_why, "%s: %s", path, strerror(errno));
		goto fail;
	}
	if (secret && (stat.st_mode & 0007)) {
		wrong(ret_why, "%s: everybody may read it; chmod o-rwx", path);
		goto fail;
	}
	text = malloc(max + 1);
	if (text)
		n = read(fd, text, max + 1);
	if (!text || n < 0 || (size_t)n > max) {
		wrong(ret_why, "%s: cannot be read, or is over %zu bytes", path, max);
		goto fail;
	}
	close(fd);
	text[n] = '\0';
	*ret_text = text;
	*ret_len = (size_t)n;
	return 0;
fail:
	free(text);
	if (fd >= 0)
		close(fd);
	return -EINVAL;
}

static int read_files(struct settings *settings, char **ret_why)
{
	struct settings_tenants *tenants = &settings->tenants;
	struct settings_tls *tls = &settings->tls;
	size_t len;
	int err = 0;

	if (tls->certificate)
		err = read_file(tls->certificate, PEM_MAX, false, &tls->certificate_pem, &len,
				ret_why);
	if (!err && tls->key)
		err = read_file(tls->key, PEM_MAX, true, &tls->key_pem, &len, ret_why);
	if (err || !tenants->secret_file)
		return err;
	err = read_file(tenants->secret_file, SECRET_MAX, true, &tenants->secret,
			&tenants->secret_len, ret_why);
	if (err)
		return err;
	/* As in sluice.yaml: the newline an editor adds is not part of the secret. */
	while (tenants->secret_len && strchr("\r\n", tenants->secret[tenants->secret_len - 1]))
		tenants->secret[--tenants->secret_len] = '\0';
	if (tenants->secret_len < SECRET_MIN)
		return wrong(ret_why,
			     "%s: a secret has at least %d characters; try "
			     "\"openssl rand -hex 32\"",
			     tenants->secret_file, SECRET_MIN);
	return 0;
}

int settings_load(const char *path, struct settings **ret_settings, char **ret_why)
{
	struct messages messages = { .len = 0 };
	struct settings *settings = NULL;
	cyaml_config_t config;
	cyaml_err_t result;
	int err;

	*ret_why = NULL;
	if (path) {
		result = cyaml_load_file(path, make_config(&messages, &config), &root,
					 (void **)&settings, NULL);
		if (result != CYAML_OK)
			return wrong(ret_why, "%s: %s\n%s", path, cyaml_strerror(result),
				     messages.text);
	} else {
		settings = calloc(1, sizeof(*settings));
		if (!settings)
			return -ENOMEM;
	}
	err = fill_defaults(settings);
	if (!err)
		err = check(settings, ret_why);
	if (!err)
		err = read_files(settings, ret_why);
	if (err) {
		settings_free(settings);
		return err;
	}
	*ret_settings = settings;
	return 0;
}

void settings_free(struct settings *settings)
{
	struct messages messages = { .len = 0 };
	cyaml_config_t config;

	if (!settings)
		return;
	free(settings->tls.certificate_pem);
	free(settings->tls.key_pem);
	free(settings->tenants.secret);
	cyaml_free(make_config(&messages, &config), &root, settings, 0);
}
