/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operators, continuous integration and VMs send to sluice-repod: requests in a row, from
 * request line to body, as http.c meets them from libmicrohttpd, on a real state directory.
 *
 * The input is a list of requests that end with a record separator, each of them text: a letter
 * for who asks, a digit for how (which pieces the body comes in, whether tools fail), the request
 * line, header lines, an empty line, the body. Identifiers are not random here: the first is
 * "111…", the second "222…". A "document" that begins with "!" is what follows, signed by the
 * operator.
 *
 * Asserted: each request is answered once, in words that are JSON and UTF-8; an error of the
 * program itself (500) needs a tool that failed; who may only read changes nothing; nobody holds
 * more than the limits allow; what is stored can be listed and shown; files and database agree.
 */
#include <dirent.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../../user/lib/digest.h"
#include "../../user/lib/log.h"
#include "../../user/lib/signed.h"
#include "../../user/repo/fsck.h"
#include "../../user/repo/http.h"
#include "../../user/repo/publish.h"
#include "../../user/repo/upload.h"
#include "fuzz.h"
#include "lib/place.h"
#include "lib/played.h"

#define REQUESTS_MAX 12
#define SEPARATOR    0x1e
#define SECRET	     "0123456789abcdef"
#define UPLOAD_SIZE  65536
#define UPLOADS	     4

static struct repod repod;
static struct listener listeners[3];
enum { ON_TCP, ON_UNIX, FOR_TENANTS };
static char *operator_key, *operator_pub;
static char tokens[ROLES][TOKEN_TEXT_MAX];
static sqlite3 *watcher;

/* ---- the repository ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	return ftw->level ? remove(path) : 0;
}

static void empty(const char *directory)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/state/%s", place, directory);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_tokens(void)
{
	static const char *const names[ROLES] = { NULL, "reading", "ci", "boss" };
	struct problem problem;

	played.randoms = 15; /* not those that the input's requests get */
	for (enum role role = ROLE_READER; role < ROLES; role++)
		assert(!token_create(repod.db, "fuzz", names[role], role, 0, tokens[role],
				     &problem));
}

static void begin_once(void)
{
	static const char config[] = "state: %s/state\n"
				     "listen:\n"
				     "  - address: tcp:127.0.0.1:1\n"
				     "  - address: unix:%s/control.sock\n"
				     "  - {address: \"unix:%s/tenants.sock\", for: tenants}\n"
				     "tenants: {secret_file: %s/secret}\n"
				     "limits: {upload_size: %d, keep_free: 1, uploads: %d}\n";
	char text[1024], path[128], *why;
	int peer[2];

	if (repod.db)
		return;
	log_init("fuzz_repod", (enum log_level)0);
	umask(077);
	place_make();
	place_write("secret", SECRET "\n");
	snprintf(text, sizeof(text), config, place, place, place, place, UPLOAD_SIZE, UPLOADS);
	place_write("repod.yaml", text);
	snprintf(path, sizeof(path), "%s/repod.yaml", place);
	assert(!settings_load(path, &repod.settings, &why));
	assert(!store_open(repod.settings->state, 1, &repod.store, &why));
	snprintf(path, sizeof(path), "%s/state/repo.db", place);
	assert(!db_open(path, &repod.db, &why));
	assert(!publish_start(&repod, &repod.publisher));
	for (int i = 0; i < 3; i++) {
		listeners[i] = (struct listener){ .repod = &repod,
						  .settings = &repod.settings->listen[i],
						  .socket = -1 };
		assert(!http_start(&listeners[i]));
	}
	assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peer));
	played.peer = peer[0];
	assert(!signed_key_make(&operator_key, &operator_pub));
	assert(!sqlite3_open_v2(path, &watcher, SQLITE_OPEN_READONLY, NULL));
}

/* Empty but for three tokens; with the keys of instructions, or without. */
static void reset(bool keys)
{
	static const char sql[] = "DELETE FROM packages; DELETE FROM package_tenants;"
				  "DELETE FROM uploads; DELETE FROM tokens; DELETE FROM audit;"
				  "DELETE FROM documents; DELETE FROM operations;"
				  "DELETE FROM sqlite_sequence;";
	static const char *const gone[] = { "signing-keys", "key.asc",	    "key.gpg",
					    "instruct.key", "instruct.pub", "apt-ftparchive.db" };
	sqlite3 *writer = db_begin(repod.db);

	assert(writer && !sqlite3_exec(writer, sql, NULL, NULL, NULL) && !db_commit(repod.db));
	empty("uploads");
	empty("published");
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		unlinkat(repod.store->dir, gone[i], 0);
	if (keys) {
		place_write("state/instruct.key", operator_key);
		place_write("state/instruct.pub", operator_pub);
	}
	make_tokens();
	played.randoms = 0;
}

static int remove_blob(const struct catalog_row *row, void *arg)
{
	store_blob_remove(repod.store, row->sha256);
	return 0;
}

static int64_t ask_database(const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number;

	assert(!sqlite3_prepare_v2(watcher, sql, -1, &statement, NULL));
	assert(sqlite3_step(statement) == SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

/* ---- one request ---- */

static void add_field(enum MHD_ValueKind kind, const char *name, const char *value)
{
	unsigned *count = kind == MHD_HEADER_KIND ? &now.header_count : &now.argument_count;
	struct field *field = kind == MHD_HEADER_KIND ? now.headers : now.arguments;

	if (*count == PLAYED_FIELDS_MAX)
		return;
	field += (*count)++;
	field->name = strdup(name);
	field->value = value ? strdup(value) : NULL;
}

/* As the library does: "+" is a blank, what is no escape stays. */
static void unescape(char *text)
{
	char *out = text;
	unsigned byte;

	for (; *text; text++) {
		int used = 0;

		if (*text == '%' && sscanf(text + 1, "%2x%n", &byte, &used) == 1 && used == 2) {
			*out++ = (char)byte;
			text += 2;
		} else {
			*out++ = *text == '+' ? ' ' : *text;
		}
	}
	*out = '\0';
}

static void add_arguments(const char *target)
{
	const char *query = strchr(target, '?');
	char *copy = query ? strdup(query + 1) : NULL, *rest = copy, *pair, *value;

	while (rest && (pair = strsep(&rest, "&"))) {
		value = strchr(pair, '=');
		if (value) {
			*value++ = '\0';
			unescape(value);
		}
		unescape(pair);
		add_field(MHD_GET_ARGUMENT_KIND, pair, value);
	}
	free(copy);
}

/* What a relay adds. */
static void add_identity(const char *method, const char *target, const char *tenant,
			 const char *instance)
{
	char *text, time[24], signature[3 + 2 * DIGEST_SIZE + 1] = "v1=";
	uint8_t mac[DIGEST_SIZE];

	snprintf(time, sizeof(time), "%d", PLAYED_TIME);
	assert(asprintf(&text, "v1\n%s\n%s\n10.0.0.5\n%s\n%s\n%s\n", tenant, instance, method,
			target, time) > 0);
	assert(!digest_hmac(SECRET, strlen(SECRET), text, strlen(text), mac));
	free(text);
	name_hex(mac, sizeof(mac), signature + 3);
	add_field(MHD_HEADER_KIND, "X-Sluice-Tenant", tenant);
	if (*instance)
		add_field(MHD_HEADER_KIND, "X-Sluice-Instance", instance);
	add_field(MHD_HEADER_KIND, "X-Sluice-Client", "10.0.0.5");
	add_field(MHD_HEADER_KIND, "X-Sluice-Time", time);
	add_field(MHD_HEADER_KIND, "X-Sluice-Signature", signature);
}

static void add_token(const char *scheme, enum role role)
{
	char value[256];

	snprintf(value, sizeof(value), "%s%s", scheme, tokens[role]);
	add_field(MHD_HEADER_KIND, "Authorization", value);
}

/* The letter's headers; which address it is, and whether it may change anything. */
static int add_who(char who, const char *method, const char *target, bool *ret_changes)
{
	*ret_changes = false;
	switch (who) {
	case 'r': /* root */
		add_field(MHD_HEADER_KIND, "Host", "sluice-repod");
		*ret_changes = true;
		return ON_UNIX;
	case 'a':
	case 'u':
		add_token("Bearer ", who == 'a' ? ROLE_ADMIN : ROLE_UPLOADER);
		*ret_changes = true;
		return ON_TCP;
	case 'e':
		add_token("Bearer ", ROLE_READER);
		return ON_TCP;
	case 't':
		add_identity(method, target, "blue", "vm-1");
		*ret_changes = strstr(target, "/sluice/v1/events");
		return FOR_TENANTS;
	case 'T':
		add_identity(method, target, "red", "");
		return FOR_TENANTS;
	case 'X': /* on the tenants' address, with what identity the input has */
		return FOR_TENANTS;
	default:
		return ON_TCP;
	}
}

static void check_text(void)
{
	json_t *json, *error;

	if (!played.text || !*played.text)
		return;
	json = json_string(played.text);
	assert(json);
	json_decref(json);
	if (*played.text != '{' && now.status < 400)
		return;
	json = json_loads(played.text, JSON_REJECT_DUPLICATES, NULL);
	assert(json);
	error = json_object_get(json, "error");
	assert((now.status >= 400) == (error != NULL));
	assert(!error || (json_string_length(json_object_get(error, "code")) &&
			  json_string_length(json_object_get(error, "message"))));
	json_decref(json);
}

/* A document that begins with "!" is signed. */
static char *sign_document(char *body)
{
	json_t *json = json_loads(body, 0, NULL);
	const char *text = json_string_value(json_object_get(json, "document"));
	char *document, *signed_body;

	if (text && *text == '!') {
		assert(!signed_make(operator_key, text + 1, strlen(text + 1), &document));
		json_object_set_new(json, "document", json_string(document));
		signed_body = json_dumps(json, 0);
		assert(signed_body);
		free(document);
		free(body);
		body = signed_body;
	}
	json_decref(json);
	return body;
}

static void send_body(const char *target, const char *method, const char *body, size_t len,
		      size_t piece, void **context)
{
	while (len && !now.answers) {
		size_t size = len < piece ? len : piece, left = size;
		char *copy = fuzz_copy(body, size);
		enum MHD_Result result = played.handler(&listeners[ON_TCP], NULL, target, method,
							"HTTP/1.1", copy, &left, context);

		free(copy);
		assert(!left);
		if (result != MHD_YES)
			return;
		body += size;
		len -= size;
	}
}

static void ask(char who, unsigned how, const char *method, const char *target, char *body,
		size_t len)
{
	static const size_t pieces[] = { SIZE_MAX, 1, 7, 4096 };
	struct MHD_Connection *connection = (struct MHD_Connection *)&now;
	size_t none = 0;
	int64_t version;
	void *context;
	bool changes;
	int on;

	on = add_who(who, method, target, &changes);
	/* A token that the input knows is as good as the letter. */
	changes |=
		MHD_lookup_connection_value(NULL, MHD_HEADER_KIND, "Authorization") && on == ON_TCP;
	add_arguments(target);
	free(played.text);
	played.text = NULL;
	played.tools_fail = how & 4;
	played.tools_failed = false;
	version = ask_database("PRAGMA data_version");
	context = played.begin(&listeners[on], target, connection);
	played.handler(&listeners[on], connection, target, method, "HTTP/1.1", NULL, &none,
		       &context);
	send_body(target, method, body, len, pieces[how & 3], &context);
	for (int i = 0; i < 2 && !now.answers; i++)
		played.handler(&listeners[on], connection, target, method, "HTTP/1.1", NULL, &none,
			       &context);
	played.end(&listeners[on], connection, &context, MHD_REQUEST_TERMINATED_COMPLETED_OK);
	assert(!context && now.answers == 1 && !now.suspended);
	assert(now.status >= 200 && now.status <= 507);
	assert(now.status != 500 || played.tools_failed);
	assert(!played.tools_running);
	check_text();
	assert(changes || ask_database("PRAGMA data_version") == version);
}

static void forget_fields(void)
{
	for (unsigned i = 0; i < now.header_count; i++) {
		free(now.headers[i].name);
		free(now.headers[i].value);
	}
	for (unsigned i = 0; i < now.argument_count; i++) {
		free(now.arguments[i].name);
		free(now.arguments[i].value);
	}
	memset(&now, 0, sizeof(now));
}

/* Takes a line, or nothing at the end; *text goes on behind it. */
static char *take_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	*text = end ? end + 1 : line + strlen(line);
	if (end)
		*end = '\0';
	return line;
}

static void take_request(const uint8_t *data, size_t size)
{
	char *all = malloc(size + 1), *rest = all, *line, *target, *body, *colon;
	size_t len;

	assert(all);
	memcpy(all, data, size);
	all[size] = '\0';
	if (size < 3)
		goto out;
	rest += 2;
	line = take_line(&rest);
	target = strchr(line, ' ');
	if (!target || target == line)
		goto out;
	*target++ = '\0';
	while (*(colon = take_line(&rest))) {
		char *name = colon, *value = strchr(colon, ':');

		if (!value || value == name)
			continue;
		*value++ = '\0';
		add_field(MHD_HEADER_KIND, name, value + strspn(value, " "));
	}
	len = size - (size_t)(rest - all);
	body = malloc(len + 1);
	assert(body);
	memcpy(body, rest, len);
	body[len] = '\0';
	if (strlen(body) == len) {
		body = sign_document(body);
		len = strlen(body);
	}
	ask(all[0], (unsigned)all[1], line, target, body, len);
	free(body);
out:
	forget_fields();
	free(all);
}

/* ---- one input ---- */

static void show_all(void)
{
	static const char *const targets[] = { "/",
					       "/log",
					       "/instructions",
					       "/v1/status",
					       "/v1/log",
					       "/v1/packages",
					       "/v1/uploads",
					       "/v1/tokens",
					       "/v1/publish",
					       "/v1/key",
					       "/v1/report",
					       "/v1/instructions",
					       "/v1/instance?tenant=blue&instance=vm-1" };

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		ask('r', 0, "GET", targets[i], NULL, 0);
		assert(now.status == 200 && played.text && *played.text);
		forget_fields();
	}
}

static void check_state(void)
{
	struct catalog_filter all = { .viewer = NULL };
	struct problem problem;
	json_t *report = fsck_run(repod.db, repod.store, "fuzz", false, &problem);

	assert(report && !json_array_size(json_object_get(report, "problems")));
	json_decref(report);
	assert(!catalog_each(db_reader(repod.db), &all, remove_blob, NULL));
}

static unsigned count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned open_before;
	const uint8_t *end;
	int64_t version;

	begin_once();
	reset(size % 4);
	version = ask_database("PRAGMA data_version");
	for (unsigned i = 0; i < REQUESTS_MAX && size; i++) {
		end = memchr(data, SEPARATOR, size);
		take_request(data, end ? (size_t)(end - data) : size);
		size -= end ? (size_t)(end + 1 - data) : size;
		data = end ? end + 1 : data;
		assert(ask_database("SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n"
				    " FROM uploads GROUP BY created_by)") <= UPLOADS);
	}
	show_all();
	if (ask_database("PRAGMA data_version") != version)
		check_state();
	/* SQLite keeps one more at times; what is lost once an input is soon too many. */
	if (!open_before)
		open_before = count_open();
	assert(count_open() < open_before + 8);
	return 0;
}
