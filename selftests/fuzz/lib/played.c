/* SPDX-License-Identifier: BSD-2-Clause */
#include "played.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "../../../user/lib/spawn.h"
#include "../../../user/repo/jobs.h"
#include "../../../user/repo/waiters.h"
#include "../fuzz.h"

/* ---- the library, as http.c meets it ---- */

struct played_request now;
struct played played;

struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback apc,
				    void *apc_arg, MHD_AccessHandlerCallback dh, void *dh_arg, ...)
{
	enum MHD_OPTION option;
	va_list args;

	played.handler = dh;
	va_start(args, dh_arg);
	while ((option = va_arg(args, enum MHD_OPTION)) != MHD_OPTION_END)
		switch (option) {
		case MHD_OPTION_CONNECTION_MEMORY_LIMIT:
			va_arg(args, size_t);
			break;
		case MHD_OPTION_ARRAY:
			va_arg(args, void *);
			break;
		case MHD_OPTION_EXTERNAL_LOGGER:
			va_arg(args, void *);
			va_arg(args, void *);
			break;
		case MHD_OPTION_URI_LOG_CALLBACK:
			played.begin = va_arg(args, void *);
			va_arg(args, void *);
			break;
		case MHD_OPTION_NOTIFY_COMPLETED:
			played.end = va_arg(args, MHD_RequestCompletedCallback);
			va_arg(args, void *);
			break;
		default:
			va_arg(args, int);
		}
	va_end(args);
	return (struct MHD_Daemon *)&now;
}

static const struct field *fields(enum MHD_ValueKind kind, unsigned *ret_count)
{
	*ret_count = kind == MHD_HEADER_KIND ? now.header_count : now.argument_count;
	return kind == MHD_HEADER_KIND ? now.headers : now.arguments;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					const char *key)
{
	unsigned count;
	const struct field *field = fields(kind, &count);

	for (; count--; field++)
		if (!strcasecmp(field->name, key))
			return field->value;
	return NULL;
}

int MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
			      MHD_KeyValueIterator iterator, void *arg)
{
	unsigned count, i;
	const struct field *field = fields(kind, &count);

	for (i = 0; i < count; i++)
		if (iterator(arg, kind, field[i].name, field[i].value) != MHD_YES)
			break;
	return (int)i;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
							enum MHD_ConnectionInfoType type, ...)
{
	static union MHD_ConnectionInfo info;

	info.connect_fd = played.peer;
	return &info;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned code,
				   struct MHD_Response *response)
{
	now.answers++;
	now.status = code;
	return MHD_YES;
}

void MHD_suspend_connection(struct MHD_Connection *connection)
{
	assert(!now.suspended);
	now.suspended = true;
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
	assert(now.suspended);
	now.suspended = false;
}

struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *buffer,
							    enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__real_MHD_create_response_from_buffer(size_t size, void *buffer,
							    enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *buffer,
							    enum MHD_ResponseMemoryMode mode)
{
	free(played.text);
	played.text = strndup(buffer, size);
	assert(played.text && strlen(played.text) == size);
	return __real_MHD_create_response_from_buffer(size, buffer, mode);
}

/* The library refuses what would break the head: a header that it drops is a mistake of ours. */
enum MHD_Result __wrap_MHD_add_response_header(struct MHD_Response *response, const char *name,
					       const char *value);
enum MHD_Result __real_MHD_add_response_header(struct MHD_Response *response, const char *name,
					       const char *value);
enum MHD_Result __wrap_MHD_add_response_header(struct MHD_Response *response, const char *name,
					       const char *value)
{
	assert(__real_MHD_add_response_header(response, name, value) == MHD_YES);
	return MHD_YES;
}

/* ---- what else is not real: time, chance, threads, tools ---- */

time_t __wrap_time(time_t *ret_now);
time_t __wrap_time(time_t *ret_now)
{
	return PLAYED_TIME;
}

ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags)
{
	unsigned n = ++played.randoms & 31;

	memset(data, (int)(n < 16 ? n * 0x11 : (n & 15) << 4 | ((n + 1) & 15)), len);
	return (ssize_t)len;
}

int jobs_start(unsigned threads, struct jobs **ret_jobs)
{
	return 0;
}

int jobs_add(struct jobs *jobs, void (*run)(void *arg), void *arg)
{
	run(arg);
	return 0;
}

void jobs_close(struct jobs *jobs)
{
}

bool jobs_stop(struct jobs *jobs, unsigned milliseconds)
{
	return true;
}

void jobs_free(struct jobs *jobs)
{
}

int waiters_start(unsigned crowd, struct waiters **ret_waiters)
{
	return 0;
}

bool waiters_add(struct waiters *waiters, struct request *request, unsigned seconds)
{
	api_desired_answer(request);
	request_resume(request);
	return true;
}

void waiters_wake(struct waiters *waiters, const char *tenant, const char *instance)
{
	assert(tenant && instance);
}

bool waiters_has(struct waiters *waiters, const char *tenant, const char *instance)
{
	return tenant && instance && !strcmp(tenant, "blue");
}

void waiters_release(struct waiters *waiters)
{
}

void waiters_stop(struct waiters *waiters)
{
}

void waiters_free(struct waiters *waiters)
{
}

static void make_file(const char *cwd, const char *name, const char *end)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s%s", cwd ? cwd : ".", name, end);
	file = fopen(path, "we");
	assert(file && !fclose(file));
}

static const char *after(const char *const *argv, const char *word)
{
	for (; *argv; argv++)
		if (!strcmp(*argv, word))
			return argv[1];
	return NULL;
}

/* gpg, apt-ftparchive, createrepo_c, gzip and xz: they do what they are told, or fail. */
int spawn_begin(const struct spawn *spawn, struct spawn_child *ret_child, char **ret_why)
{
	const char *const *argv = spawn->argv, *id = after(argv, "--quick-generate-key"),
			  *last = "";
	char path[512];

	for (const char *const *word = argv; *word; word++)
		last = *word;
	assert(!id || *id != '-');
	*ret_why = NULL;
	played.tools_running++;
	ret_child->pid = 1;
	ret_child->timeout = played.tools_fail;
	if (played.tools_fail)
		return 0;
	if (after(argv, "--output"))
		make_file(spawn->cwd, after(argv, "--output"), "");
	if (!strcmp(argv[0], "gzip") || !strcmp(argv[0], "xz"))
		make_file(spawn->cwd, last, *argv[0] == 'g' ? ".gz" : ".xz");
	if (!strcmp(argv[0], "createrepo_c")) {
		snprintf(path, sizeof(path), "%s/repodata", spawn->cwd);
		assert(!mkdir(path, 0755));
		make_file(path, "repomd.xml", "");
	}
	return 0;
}

int spawn_end(struct spawn_child *child, char **ret_text, char **ret_why)
{
	*ret_why = NULL;
	if (ret_text)
		*ret_text = NULL;
	assert(child->pid == 1);
	child->pid = 0;
	played.tools_running--;
	played.tools_failed |= child->timeout;
	if (child->timeout) {
		*ret_why = strdup("it failed");
		return -EIO;
	}
	if (ret_text && asprintf(ret_text, "[GNUPG:] KEY_CREATED P %040X\n", ++played.randoms) < 0)
		*ret_text = NULL;
	return 0;
}

void spawn_stop(void)
{
}

int spawn_run(const struct spawn *spawn, char **ret_text, char **ret_why)
{
	struct spawn_child child;

	return spawn_begin(spawn, &child, ret_why) || spawn_end(&child, ret_text, ret_why) ? -EIO
											   : 0;
}

int spawn_run_last(const struct spawn *spawn, char **ret_text, char **ret_why)
{
	return spawn_run(spawn, ret_text, ret_why);
}
