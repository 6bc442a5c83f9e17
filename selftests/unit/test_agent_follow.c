/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an agent in a VM tells of an operation, and when: its end not before it is on disk. The
 * package manager and the server are this test's.
 */
#include <sys/stat.h>

#include "../../user/agent/agent_follow.c"
#include "../../user/agent/agent_state.c"
#include "unit.h"

volatile sig_atomic_t agent_ending;

static char directory[] = "/tmp/test_agent_follow-XXXXXX", where[64], path[80];
static unsigned told, unwritten; /* ends, and words that there is none to tell */
static const char *end = "\"done\"";
static bool put_off;

#define ID    "0123456789abcdef"
#define BEGUN "\"running\": \"" ID "\""

static bool on_disk(const char *text)
{
	char *state = NULL;
	bool found;

	if (file_read(path, FILE_MAX, &state, NULL))
		return false;
	found = strstr(state, text);
	free(state);
	return found;
}

long agent_post(const char *url, const char *body, const char **why)
{
	if (strstr(body, "cannot be written")) {
		CHECK(strstr(body, ID) && strstr(body, "\"running\"") &&
		      strstr(body, strerror(ENOENT)));
		CHECK(!on_disk(end));
		unwritten++;
	}
	if (strstr(body, "\"running\""))
		return 204;
	CHECK(strstr(body, end));
	CHECK(on_disk(end) && on_disk("\"running\": \"\""));
	told++;
	return 204;
}

/* Nothing can be written from now on. */
static void lose_disk(void)
{
	unlink(path);
	CHECK(!rmdir(where));
}

bool agent_run(const struct agent_options *options, const json_t *operation,
	       void (*on_percent)(unsigned percent, void *arg), void *arg,
	       struct agent_result *ret_result)
{
	memset(ret_result, 0, sizeof(*ret_result));
	if (put_off) {
		CHECK(on_disk(BEGUN));
		agent_ending = 1;
		return false;
	}
	lose_disk();
	return true;
}

int main(void)
{
	struct agent agent = { .options.url = "http://nowhere", .instance = "vm-1" };
	json_t *document;

	if (!mkdtemp(directory))
		return 1;
	snprintf(where, sizeof(where), "%s/state", directory);
	snprintf(path, sizeof(path), "%s/state.json", where);
	document = json_pack("{s:i, s:s, s:I, s:[{s:s, s:s, s:[s]}]}", "generation", 1, "tenant",
			     "blue", "expires", (json_int_t)time(NULL) + 3600, "operations", "id",
			     ID, "action", "install", "packages", "app");
	if (!CHECK(document) || !CHECK(!agent_state_load(&agent.state, where)))
		return unit_end();
	agent.operations = json_object_get(document, "operations");

	unit_case = "the agent is to end before an operation is begun";
	put_off = true;
	CHECK(!follow_document(&agent, document) && !agent.more && !told);
	CHECK(!on_disk(BEGUN) && !on_disk("\"failed\""));

	unit_case = "one that a killed agent has begun is put off, too";
	agent_ending = 0;
	strcpy(agent.state.running, ID);
	CHECK(!follow_document(&agent, document) && on_disk(BEGUN));

	unit_case = "it has expired by now, and its end does not get to the disk";
	put_off = false;
	agent_ending = 0;
	json_object_set_new(document, "expires", json_integer(1));
	CHECK(follow_document(&agent, document));
	CHECK_THAT(!told && unwritten == 1, "%u ends told, %u said to be none", told, unwritten);
	agent_tell_results(&agent);
	CHECK_THAT(!told && unwritten == 2, "%u ends told, %u said to be none", told, unwritten);

	unit_case = "the disk is there again";
	CHECK(!mkdir(where, 0700));
	agent_tell_results(&agent);
	CHECK_THAT(told == 1 && unwritten == 2, "%u ends told", told);
	CHECK(on_disk("\"told\": true"));
	agent_tell_results(&agent);
	CHECK_THAT(told == 1, "%u ends told", told);

	unit_case = "what was put off has expired by now";
	put_off = true;
	CHECK(!agent_state_forget(&agent.state));
	json_object_set_new(document, "expires", json_integer((json_int_t)time(NULL) + 3600));
	CHECK(!follow_document(&agent, document));
	agent_ending = 0;
	json_object_set_new(document, "expires", json_integer(1));
	end = "\"failed\"";
	CHECK(!follow_document(&agent, document));
	CHECK_THAT(told == 2, "%u ends told", told);

	lose_disk();
	rmdir(directory);
	json_decref(document);
	agent_state_free(&agent.state);
	return unit_end();
}
