/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-repo upload: makes a session, sends what is missing, and goes on where it was when
 * the connection breaks. The server knows an unfinished session by the file's digest, so
 * that running the command again resumes too. And the list of such sessions.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/digest.h"

static struct upload_options {
	const char *visible, *name, *version, *arch;
	uint32_t tries;
	bool publish;
} upload_options = { .tries = 10 };

static const struct opt upload_opts[] = {
	{ OPT_TEXT, 'V', "visible", "TENANTS", "public (default), none, or blue,red",
	  offsetof(struct upload_options, visible), 0, 0, NULL },
	{ OPT_TEXT, 'n', "name", "NAME", "plain files: a name instead of the file's",
	  offsetof(struct upload_options, name), 0, 0, NULL },
	{ OPT_TEXT, 'r', "version", "VERSION", "plain files: a version",
	  offsetof(struct upload_options, version), 0, 0, NULL },
	{ OPT_TEXT, 'a', "arch", "ARCH", "plain files: an architecture",
	  offsetof(struct upload_options, arch), 0, 0, NULL },
	{ OPT_NUMBER, 0, "tries", "N", "how often a broken transfer goes on (default 10)",
	  offsetof(struct upload_options, tries), 1, 1000, NULL },
	{ OPT_FLAG, 'p', "publish", NULL, "publish when everything is there",
	  offsetof(struct upload_options, publish), 0, 0, NULL },
};

struct sending {
	const char *path;
	char filename[NAME_FILENAME_MAX + 1];
	int fd;
	uint64_t size;
	char sha256[NAME_DIGEST_LEN + 1];
	char session[64]; /* "/v1/uploads/ID" */
};

/*
 * A file's name without its directory; and, as in Debian's own pool, without the epoch, which
 * apt-get download writes as "_3%3a".
 */
static void take_name(struct sending *sending, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *version = strchr(name, '_');
	size_t digits = version ? strspn(version + 1, "0123456789") : 0, head = strlen(name);

	if (digits && !strncasecmp(version + 1 + digits, "%3a", 3))
		head = (size_t)(version + 1 - name);
	snprintf(sending->filename, sizeof(sending->filename), "%.*s%s", (int)head, name,
		 name[head] ? version + 1 + digits + 3 : "");
}

static int open_file(struct sending *sending, const char *path)
{
	struct stat status;
	uint64_t size;
	int err;

	sending->path = path;
	take_name(sending, path);
	sending->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (sending->fd < 0)
		return cli_fail("%s: %s", path, strerror(errno));
	if (fstat(sending->fd, &status) || !S_ISREG(status.st_mode))
		return cli_fail("%s: is no regular file", path);
	err = digest_file(sending->fd, sending->sha256, &size);
	if (err)
		return cli_fail("%s: %s", path, strerror(-err));
	sending->size = size;
	return 0;
}

static int set_optional(json_t *body, const char *key, const char *value)
{
	return value ? json_object_set_new(body, key, json_string(value)) : 0;
}

/* Makes (or finds) the session. 0 and where to go on; 1: refused; -1: no answer. */
static int start(struct cli *cli, struct sending *sending, uint64_t *ret_offset)
{
	json_t *body, *reply;
	long status;
	int failed;

	body = json_pack("{s:s, s:I, s:s}", "filename", sending->filename, "size",
			 (json_int_t)sending->size, "sha256", sending->sha256);
	if (!body || set_optional(body, "visibility", upload_options.visible) ||
	    set_optional(body, "name", upload_options.name) ||
	    set_optional(body, "version", upload_options.version) ||
	    set_optional(body, "arch", upload_options.arch)) {
		json_decref(body);
		return cli_fail("%s: the file's name or an option is no UTF-8", sending->path);
	}
	status = cli_http_call(cli, "POST", "/v1/uploads", body, &reply);
	failed = status == 200 || status == 201 ? 0 : cli_fail_reply(status, reply);
	if (status < 0)
		return -1;
	if (!failed) {
		snprintf(sending->session, sizeof(sending->session), "/v1/uploads/%s",
			 cli_text(reply, "id"));
		*ret_offset = (uint64_t)json_integer_value(json_object_get(reply, "offset"));
	}
	json_decref(reply);
	return failed;
}

/* Asks where to go on. False when the session is gone. */
static bool ask_offset(struct cli *cli, struct sending *sending, uint64_t *ret_offset)
{
	json_t *reply;
	long status = cli_http_call(cli, "GET", sending->session, NULL, &reply);

	if (status == 200)
		*ret_offset = (uint64_t)json_integer_value(json_object_get(reply, "offset"));
	json_decref(reply);
	return status == 200;
}

/*
 * Sends until the server says what became of it. When the last answer was lost, the
 * session may be finished and gone: then a new one finds the package there already.
 */
static int send_file(struct cli *cli, struct sending *sending, json_t **ret_package)
{
	struct timespec pause = { .tv_sec = 1 };
	uint64_t offset = 0;
	const char *why = "";
	json_t *reply = NULL;
	bool known = false;
	long status;
	int failed;

	for (unsigned attempt = 0; attempt < upload_options.tries; attempt++) {
		if (attempt) {
			cli_fail("%s: %s; going on", sending->filename, why);
			nanosleep(&pause, NULL);
			if (pause.tv_sec < 16)
				pause.tv_sec *= 2;
		}
		if (!known || !ask_offset(cli, sending, &offset)) {
			failed = start(cli, sending, &offset);
			/* A server that was there a moment ago may be back in another. */
			if (failed < 0 && known) {
				why = "no answer";
				continue;
			}
			if (failed)
				return 1;
			known = true;
		}
		status = cli_http_append(cli, sending->session, sending->fd, offset,
					 sending->size - offset, sending->filename, &reply, &why);
		if (status == 200 || status == 201) {
			*ret_package = reply;
			return 0;
		}
		/* Busy (the broken connection's writer) and offset (it wrote more) pass. */
		if (status > 0 && status != 503 &&
		    !(status == 409 &&
		      (!strcmp(cli_text(json_object_get(reply, "error"), "code"), "busy") ||
		       !strcmp(cli_text(json_object_get(reply, "error"), "code"), "offset")))) {
			cli_fail_reply(status, reply);
			json_decref(reply);
			return 1;
		}
		if (status > 0)
			why = "the server is not ready for it";
		json_decref(reply);
		reply = NULL;
	}
	return cli_fail("%s: given up after %u tries: %s", sending->filename, upload_options.tries,
			why);
}

static int upload_one(struct cli *cli, const char *path, json_t *packages)
{
	struct sending sending = { .fd = -1 };
	json_t *package = NULL;
	int failed;

	failed = open_file(&sending, path);
	if (!failed)
		failed = send_file(cli, &sending, &package);
	if (sending.fd >= 0)
		close(sending.fd);
	if (!failed)
		json_array_append_new(packages, package);
	return failed;
}

static int run_upload(struct cli *cli, int argc, char **argv)
{
	json_t *packages = json_array();
	int failed = 0;

	for (int i = 0; i < argc; i++)
		failed |= upload_one(cli, argv[i], packages);
	if (!cli_print_json(cli, packages) && json_array_size(packages))
		cli_print_packages(packages);
	json_decref(packages);
	if (!failed && upload_options.publish)
		return cli_publish_now(cli);
	return failed;
}

static void print_uploads(const json_t *uploads)
{
	const json_t *upload;
	char size[16], begun[20];
	json_int_t whole;
	size_t i;

	printf("%-32s  %-16s  %9s  %5s  %-16s  %s\n", "ID", "BEGUN (UTC)", "SIZE", "SENT", "BY",
	       "FILE");
	json_array_foreach (uploads, i, upload) {
		whole = json_integer_value(json_object_get(upload, "size"));
		cli_print_size((uint64_t)whole, size);
		cli_print_time(json_integer_value(json_object_get(upload, "created_at")), begun);
		printf("%-32s  %-16s  %9s  %3.0f %%  %-16s  ", cli_text(upload, "id"), begun, size,
		       whole ? 100.0 * json_number_value(json_object_get(upload, "offset")) /
				       (double)whole
			     : 100.0,
		       cli_text(upload, "who"));
		cli_put(cli_text(upload, "filename"));
		putchar('\n');
	}
}

static int run_uploads_list(struct cli *cli, int argc, char **argv)
{
	json_t *reply;
	long status = cli_http_call(cli, "GET", "/v1/uploads", NULL, &reply);
	int failed = status == 200 ? 0 : cli_fail_reply(status, reply);

	if (!failed && !cli_print_json(cli, reply))
		print_uploads(json_object_get(reply, "uploads"));
	json_decref(reply);
	return failed;
}

static int run_uploads_end(struct cli *cli, int argc, char **argv)
{
	char path[64];
	json_t *reply;
	long status;
	int failed = 0;

	for (int i = 0; i < argc; i++) {
		if (!name_hex_valid(argv[i], NAME_UPLOAD_LEN)) {
			failed = cli_fail("%s: is no upload's id; \"sluice-repo uploads list\" "
					  "shows them",
					  argv[i]);
			continue;
		}
		snprintf(path, sizeof(path), "/v1/uploads/%s", argv[i]);
		status = cli_http_call(cli, "DELETE", path, NULL, &reply);
		if (status != 200)
			failed = cli_fail_reply(status, reply);
		json_decref(reply);
	}
	return failed;
}

const struct cli_command cli_upload_commands[] = {
	{ "upload", "FILE...", "upload .deb, .rpm or any other files", 1, 10000, upload_opts,
	  sizeof(upload_opts) / sizeof(upload_opts[0]), &upload_options, run_upload },
	{ "uploads list", NULL, "list uploads that are not finished, which hold space", 0, 0, NULL,
	  0, NULL, run_uploads_list },
	{ "uploads end", "ID...", "end them", 1, 1000, NULL, 0, NULL, run_uploads_end },
	{ .name = NULL },
};
