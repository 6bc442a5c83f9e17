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

#include "../lib/conf_impl.h"
#include "../lib/file.h"
#include "../lib/name.h"
#include "upload.h"

#define TEXT_MAX   1024
#define SECRET_MIN 16
#define SECRET_MAX 4096
#define PEM_MAX	   (256 * 1024)

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
	UINT("upload_budget", struct settings_limits, upload_budget),
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

/* A file that is read, and what is wrong with it. */
struct check {
	struct conf_doc doc;
	struct conf_report report;
};

/* at: the path of the value that must change, as conf_doc_find() has it. */
__attribute__((format(printf, 3, 4))) static void wrong(struct check *check, const char *at,
							const char *format, ...)
{
	size_t line, column;
	va_list args;

	conf_doc_find(&check->doc, at, &line, &column);
	va_start(args, format);
	conf_report_vat(&check->report, line, column, format, args);
	va_end(args);
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
	limits->upload_budget =
		limits->upload_budget ? limits->upload_budget : 2 * limits->upload_size;
	settings->publish.grace = settings->publish.grace ? settings->publish.grace : 86400;
	return 0;
}

static void check_listen(struct check *check, struct settings *settings)
{
	for (unsigned i = 0; i < settings->listen_count; i++) {
		struct settings_listen *listen = &settings->listen[i];
		char at[32];

		snprintf(at, sizeof(at), "listen[%u].address", i);
		if (conf_address_parse(listen->address, &listen->parsed)) {
			wrong(check, at,
			      "'%s' is no address; write tcp:10.0.0.5:8081, tcp:[fd00::5]:8081 or "
			      "unix:/path (numbers only, names are not looked up)",
			      listen->address);
			continue;
		}
		snprintf(at, sizeof(at), "listen[%u].tls", i);
		if (listen->tls && listen->parsed.family == AF_UNIX)
			wrong(check, at, "a unix socket needs no tls; remove the line");
		else if (listen->tls && !settings->tls.certificate)
			wrong(check, at,
			      "tls needs a certificate; add tls.certificate and "
			      "tls.key");
		snprintf(at, sizeof(at), "listen[%u].for", i);
		if (listen->audience == SETTINGS_TENANTS && !settings->tenants.secret_file)
			wrong(check, at,
			      "'for: tenants' needs the secret that sluice's service signs with; "
			      "add tenants.secret_file");
	}
}

static void check_peers(struct check *check, struct settings *settings)
{
	for (unsigned i = 0; i < settings->peers_count; i++) {
		struct settings_peer *peer = &settings->peers[i];
		struct passwd *user = peer->user ? getpwnam(peer->user) : NULL;
		struct group *group = peer->group ? getgrnam(peer->group) : NULL;
		const char *kind = peer->user ? "user" : "group";
		char at[32];

		snprintf(at, sizeof(at), "peers[%u]", i);
		if (!peer->user == !peer->group) {
			wrong(check, at, "give either user or group");
			continue;
		}
		snprintf(at, sizeof(at), "peers[%u].%s", i, kind);
		if (user || group)
			peer->id = user ? user->pw_uid : group->gr_gid;
		else
			wrong(check, at, "there is no %s '%s' here; make it, or remove the entry",
			      kind, peer->user ? peer->user : peer->group);
		snprintf(at, sizeof(at), "peers[%u].role", i);
		if (role_parse(peer->role, &peer->parsed))
			wrong(check, at, "role is '%s'; write reader, uploader or admin",
			      peer->role);
	}
}

static void check_publish(struct check *check, const struct settings_publish *publish)
{
	const struct {
		const char *key, *text;
	} words[] = { { "suite", publish->suite },
		      { "component", publish->component },
		      { "origin", publish->origin } };
	char at[48];

	for (unsigned i = 0; i < CYAML_ARRAY_LEN(words); i++) {
		snprintf(at, sizeof(at), "publish.%s", words[i].key);
		if (!name_tenant_valid(words[i].text))
			wrong(check, at, "%s is '%s'; write one word of letters and digits",
			      words[i].key, words[i].text);
	}
	for (unsigned i = 0; i < publish->architectures_count; i++) {
		snprintf(at, sizeof(at), "publish.architectures[%u]", i);
		if (!name_arch_valid(publish->architectures[i]))
			wrong(check, at, "'%s' is no architecture; write amd64, arm64 ...",
			      publish->architectures[i]);
	}
}

static void check_all(struct check *check, struct settings *settings)
{
	const struct settings_limits *limits = &settings->limits;

	/* gpg-agent's socket lies below it and has 107 characters to live in. */
	if (settings->state[0] != '/' || strlen(settings->state) > 72)
		wrong(check, "state",
		      "state is '%s'; write an absolute path of up to 72 characters",
		      settings->state);
	if (strcmp(settings->anonymous, "public") != 0 && strcmp(settings->anonymous, "none") != 0)
		wrong(check, "anonymous", "anonymous is '%s'; write public or none",
		      settings->anonymous);
	if (settings->tenants.prefix[0] != '/' || strlen(settings->tenants.prefix) > 64)
		wrong(check, "tenants.prefix",
		      "prefix is '%s'; begin with '/', and write up to 64 characters",
		      settings->tenants.prefix);
	if (limits->threads > 64)
		wrong(check, "limits.threads", "threads is %u; write up to 64", limits->threads);
	if (limits->connections > 65536)
		wrong(check, "limits.connections", "connections is %u; write up to 65536",
		      limits->connections);
	if (limits->uploads > UPLOAD_SESSIONS_MAX)
		wrong(check, "limits.uploads",
		      "uploads is %u; write up to %d, which all together may have", limits->uploads,
		      UPLOAD_SESSIONS_MAX);
	if (limits->upload_size > UPLOAD_SIZE_MAX)
		wrong(check, "limits.upload_size", "upload_size is %llu; write up to 2^50",
		      (unsigned long long)limits->upload_size);
	if (limits->upload_budget < limits->upload_size ||
	    limits->upload_budget > 2 * UPLOAD_SIZE_MAX)
		wrong(check, "limits.upload_budget",
		      "upload_budget is %llu; write at least upload_size (%llu), up to 2^51",
		      (unsigned long long)limits->upload_budget,
		      (unsigned long long)limits->upload_size);
	check_publish(check, &settings->publish);
	check_listen(check, settings);
	check_peers(check, settings);
}

/* A file that the configuration names at this place; NULL, and said, when it is of no use. */
static char *read_named(struct check *check, const char *at, const char *path, size_t max,
			bool secret, size_t *ret_len)
{
	struct stat stat;
	char *text;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0 || fstat(fd, &stat)) {
		wrong(check, at, "%s: %s", path, strerror(errno));
		goto fail;
	}
	if (secret && (stat.st_mode & 0007)) {
		wrong(check, at, "%s: everybody may read it; chmod o-rwx", path);
		goto fail;
	}
	text = malloc(max + 1);
	if (text)
		n = read(fd, text, max + 1);
	if (n >= 0 && (size_t)n <= max) {
		close(fd);
		text[n] = '\0';
		*ret_len = (size_t)n;
		return text;
	}
	free(text);
	wrong(check, at, "%s: cannot be read, or is over %zu bytes", path, max);
fail:
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void read_files(struct check *check, struct settings *settings)
{
	struct settings_tenants *tenants = &settings->tenants;
	struct settings_tls *tls = &settings->tls;
	size_t len;

	if (tls->certificate)
		tls->certificate_pem = read_named(check, "tls.certificate", tls->certificate,
						  PEM_MAX, false, &len);
	if (tls->key)
		tls->key_pem = read_named(check, "tls.key", tls->key, PEM_MAX, true, &len);
	if (!tenants->secret_file)
		return;
	tenants->secret = read_named(check, "tenants.secret_file", tenants->secret_file, SECRET_MAX,
				     true, &tenants->secret_len);
	if (!tenants->secret)
		return;
	/* As in sluice.yaml: the newline an editor adds is not part of the secret. */
	while (tenants->secret_len && strchr("\r\n", tenants->secret[tenants->secret_len - 1]))
		tenants->secret[--tenants->secret_len] = '\0';
	if (tenants->secret_len < SECRET_MIN)
		wrong(check, "tenants.secret_file",
		      "%s: a secret has at least %d characters; try 'openssl rand -hex 32'",
		      tenants->secret_file, SECRET_MIN);
}

/* The file as it stands there, without what it leaves out: 0, -ENOMEM, or a report. */
static int read_settings(struct check *check, const char *path, struct settings **ret_settings)
{
	char *text = NULL;
	size_t len = 0;
	int err = path ? file_read(path, CONF_FILE_MAX, &text, &len) : 0;

	if (err) {
		conf_report_at(&check->report, 0, 0, "cannot be read: %s", strerror(-err));
		return 0;
	}
	if (text)
		err = conf_doc_open(&check->doc, &check->report, text, len);
	if (!err && text && !conf_doc_empty(&check->doc)) {
		conf_doc_compare(&check->doc, &root, &check->report);
		if (!check->report.count &&
		    cyaml_load_data((uint8_t *)text, len, &conf_cyaml_quiet, &root,
				    (cyaml_data_t **)ret_settings, NULL) != CYAML_OK)
			conf_report_at(&check->report, 0, 0, "cannot be read; see sluice-repod(8)");
	} else if (!err) {
		*ret_settings = calloc(1, sizeof(**ret_settings));
		err = *ret_settings ? 0 : -ENOMEM;
	}
	free(text);
	return err == -EINVAL ? 0 : err;
}

int settings_load(const char *path, struct settings **ret_settings, char **ret_why)
{
	struct check check = { .report = { .name = path ? path : "built-in values" } };
	struct settings *settings = NULL;
	int err = read_settings(&check, path, &settings);

	if (!err && !check.report.count)
		err = fill_defaults(settings);
	if (!err && !check.report.count) {
		check_all(&check, settings);
		read_files(&check, settings);
	}
	conf_doc_close(&check.doc);
	*ret_why = check.report.text;
	if (!err)
		err = check.report.oom ? -ENOMEM : check.report.count ? -EINVAL : 0;
	if (err) {
		settings_free(settings);
		return err;
	}
	*ret_settings = settings;
	return 0;
}

void settings_free(struct settings *settings)
{
	if (!settings)
		return;
	free(settings->tls.certificate_pem);
	free(settings->tls.key_pem);
	free(settings->tenants.secret);
	cyaml_free(&conf_cyaml_quiet, &root, settings, 0);
}
