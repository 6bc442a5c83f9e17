/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1024 * 1024)

static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	ssize_t n;

	if (fd < 0)
		return -errno;
	text = malloc(FILE_MAX);
	n = text ? read(fd, text, FILE_MAX) : -1;
	close(fd);
	if (n < 0) {
		free(text);
		return -EIO;
	}
	*ret_text = text;
	*ret_len = (size_t)n;
	return 0;
}

static const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

int agent_state_load(struct agent_state *state, const char *directory)
{
	char *text = NULL;
	json_t *json;
	size_t len = 0;
	int n, err;

	memset(state, 0, sizeof(*state));
	if (mkdir(directory, 0700) && errno != EEXIST)
		return -errno;
	n = snprintf(state->path, sizeof(state->path), "%s/state.json", directory);
	if (n < 0 || (size_t)n >= sizeof(state->path))
		return -ENAMETOOLONG;
	err = read_file(state->path, &text, &len);
	if (err == -ENOENT) {
		state->ended = json_object();
		return state->ended ? 0 : -ENOMEM;
	}
	if (err)
		return err;
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	state->generation = (int64_t)json_integer_value(json_object_get(json, "generation"));
	state->seen = (int64_t)json_integer_value(json_object_get(json, "seen"));
	snprintf(state->running, sizeof(state->running), "%s", text_of(json, "running"));
	/* An agent before this one did not note it. */
	snprintf(state->tenant, sizeof(state->tenant), "%s", text_of(json, "tenant"));
	snprintf(state->instance, sizeof(state->instance), "%s", text_of(json, "instance"));
	state->ended = json_incref(json_object_get(json, "ended"));
	json_decref(json);
	if (json_is_object(state->ended) && state->seen > 0)
		return 0;
	agent_state_free(state);
	return -EBADMSG;
}

int agent_state_save(const struct agent_state *state)
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
