/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/file.h"

/* A thousand results with logs, each byte of them escaped. */
#define FILE_MAX  (16 * 1024 * 1024)
#define ENDED_MAX 1000 /* results remembered */

static const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

int agent_state_parse(struct agent_state *state, const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *result;
	const char *id;

	state->generation = (int64_t)json_integer_value(json_object_get(json, "generation"));
	state->seen = (int64_t)json_integer_value(json_object_get(json, "seen"));
	snprintf(state->running, sizeof(state->running), "%s", text_of(json, "running"));
	/* An agent before this one did not note it. */
	snprintf(state->tenant, sizeof(state->tenant), "%s", text_of(json, "tenant"));
	snprintf(state->instance, sizeof(state->instance), "%s", text_of(json, "instance"));
	state->ended = json_incref(json_object_get(json, "ended"));
	json_decref(json);
	if (!json_is_object(state->ended) || state->seen <= 0) {
		agent_state_free(state);
		return -EBADMSG;
	}
	/* An agent before this one kept all logs. */
	json_object_foreach (state->ended, id, result)
		if (json_is_true(json_object_get(result, "told")))
			json_object_del(result, "log");
	return 0;
}

int agent_state_load(struct agent_state *state, const char *directory)
{
	char *text = NULL;
	size_t len = 0;
	int n, err;

	memset(state, 0, sizeof(*state));
	if (mkdir(directory, 0700) && errno != EEXIST)
		return -errno;
	n = snprintf(state->path, sizeof(state->path), "%s/state.json", directory);
	if (n < 0 || (size_t)n >= sizeof(state->path))
		return -ENAMETOOLONG;
	err = file_read(state->path, FILE_MAX, &text, &len);
	if (err == -ENOENT) {
		state->ended = json_object();
		return state->ended ? 0 : -ENOMEM;
	}
	if (err)
		return err;
	err = agent_state_parse(state, text, len);
	free(text);
	return err;
}

static int write_state(const struct agent_state *state)
{
	json_t *json = json_pack("{s:I, s:I, s:s, s:s, s:s, s:O}", "generation",
				 (json_int_t)state->generation, "seen", (json_int_t)state->seen,
				 "running", state->running, "tenant", state->tenant, "instance",
				 state->instance, "ended", state->ended);
	char temporary[sizeof(state->path) + 8], *text = NULL, *slash;
	int fd = -1, dir, err = -ENOMEM;

	if (json)
		text = json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(json);
	if (!text)
		return -ENOMEM;
	snprintf(temporary, sizeof(temporary), "%s.new", state->path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		err = -errno;
	else if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -ENOSPC;
	else
		err = fsync(fd) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	free(text);
	if (!err && rename(temporary, state->path))
		err = -errno;
	if (err)
		return err;
	slash = strrchr(temporary, '/');
	*slash = '\0';
	dir = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	err = fsync(dir) ? -errno : 0;
	close(dir);
	return err;
}

int agent_state_save(struct agent_state *state)
{
	int err = write_state(state);

	state->unsaved = err != 0;
	return err;
}

static bool holds(const json_t *operations, const char *id)
{
	const json_t *operation;
	size_t i;

	json_array_foreach (operations, i, operation)
		if (!strcmp(text_of(operation, "id"), id))
			return true;
	return false;
}

/* Those that no document has any more: first what was told, then what could not be told. */
static void make_room(json_t *ended, const json_t *operations)
{
	for (int told = 1; told >= 0 && json_object_size(ended) >= ENDED_MAX; told--)
		for (void *at = json_object_iter(ended), *next; at; at = next) {
			const json_t *result = json_object_iter_value(at);
			const char *id = json_object_iter_key(at);

			next = json_object_iter_next(ended, at);
			if (json_is_true(json_object_get(result, "told")) >= told &&
			    !holds(operations, id))
				json_object_del(ended, id);
		}
}

int agent_state_end(struct agent_state *state, const json_t *operations, const char *id,
		    const struct agent_result *result)
{
	json_t *json =
		json_pack("{s:s, s:s, s:s, s:b}", "state", result->failed ? "failed" : "done",
			  "message", result->message, "log", result->log, "told", 0);

	if (!json)
		return -ENOMEM;
	make_room(state->ended, operations);
	if (!strcmp(state->running, id))
		state->running[0] = '\0';
	return json_object_set_new(state->ended, id, json) ? -ENOMEM : agent_state_save(state);
}

void agent_state_told(json_t *result)
{
	json_object_set_new(result, "told", json_true());
	json_object_del(result, "log");
}

int agent_state_forget(struct agent_state *state)
{
	json_t *ended = json_object();

	if (!ended)
		return -ENOMEM;
	json_decref(state->ended);
	state->ended = ended;
	state->generation = state->seen = 0;
	state->running[0] = state->tenant[0] = state->instance[0] = '\0';
	return 0;
}

void agent_state_free(struct agent_state *state)
{
	json_decref(state->ended);
	state->ended = NULL;
}
