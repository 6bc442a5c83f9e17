/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "../lib/instruction.h"
#include "../lib/log.h"
#include "../lib/opt.h"
#include "../lib/signed.h"

#define KEYS_MAX     8192
#define ENDED_MAX    1000 /* results remembered */
#define PAUSE_MAX    60
#define TELL_SECONDS 1
#define CLOCK_SLACK  300

struct agent {
	struct agent_options options;
	struct agent_state state;
	char *keys; /* public, PEM */
	char instance[INSTRUCTION_INSTANCE_MAX + 1];
	const char *operation; /* what is being done */
	time_t told;
};

volatile sig_atomic_t agent_ending;

static void on_signal(int number)
{
	agent_ending = 1;
}

static const struct opt option_table[] = {
	{ OPT_TEXT, 'u', "url", "URL",
	  "where instructions come from (default: http://169.254.169.254)",
	  offsetof(struct agent_options, url), 0, 0, NULL },
	{ OPT_TEXT, 'k', "key", "FILE", "pinned public keys (default: /etc/sluice/agent.pub)",
	  offsetof(struct agent_options, key_file), 0, 0, NULL },
	{ OPT_TEXT, 's', "state", "DIR", "default: /var/lib/sluice-agent",
	  offsetof(struct agent_options, state), 0, 0, NULL },
	{ OPT_TEXT, 'i', "instance", "ID",
	  "this instance (default: the machine's DMI product UUID)",
	  offsetof(struct agent_options, instance), 0, 0, NULL },
	{ OPT_TEXT, 0, "sources", "FILE",
	  "the only package source (default: /etc/apt/sources.list.d/sluice.list)",
	  offsetof(struct agent_options, sources), 0, 0, NULL },
	{ OPT_TEXT, 0, "root", "DIR", "install into another root",
	  offsetof(struct agent_options, root), 0, 0, NULL },
	{ OPT_NUMBER, 'w', "wait", "SECONDS", "how long one poll waits (default 55)",
	  offsetof(struct agent_options, wait), 1, 60, NULL },
	{ OPT_FLAG, '1', "once", NULL, "do what there is to do, then end",
	  offsetof(struct agent_options, once), 0, 0, NULL },
	{ OPT_FLAG, 'v', "verbose", NULL, "log more", offsetof(struct agent_options, verbose), 0, 0,
	  NULL },
	{ OPT_FLAG, 0, "version", NULL, "print the version and exit",
	  offsetof(struct agent_options, version), 0, 0, NULL },
	{ OPT_FLAG, 'h', "help", NULL, "print this and exit", offsetof(struct agent_options, help),
	  0, 0, NULL },
};

static char *read_small(const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : calloc(1, max + 1);

	if (text && read(fd, text, max) <= 0) {
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

/* OpenStack gives a VM its instance id as the DMI product UUID. */
static bool find_instance(struct agent *agent)
{
	char *text = agent->options.instance ? strdup(agent->options.instance)
					     : read_small("/sys/class/dmi/id/product_uuid", 64);

	if (!text)
		return false;
	text[strcspn(text, "\r\n ")] = '\0';
	for (char *c = agent->options.instance ? text + strlen(text) : text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	snprintf(agent->instance, sizeof(agent->instance), "%s", text);
	free(text);
	return instruction_instance_valid(agent->instance);
}

/* ---- reporting ---- */

static bool post_event(struct agent *agent, const char *id, const char *state, unsigned percent,
		       const char *message, const char *log)
{
	json_t *body =
		json_pack("{s:[{s:s, s:s, s:i, s:s*, s:s*}]}", "events", "operation", id, "state",
			  state, "percent", (int)percent, "message", message, "log", log);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, url[512];
	const char *why = "";
	long status = -1;

	snprintf(url, sizeof(url), "%s/sluice/v1/events", agent->options.url);
	if (text)
		status = agent_post(url, text, &why);
	free(text);
	json_decref(body);
	if (status == 204)
		return true;
	if (status < 0)
		log_debug("report: %s", why);
	else
		log_warn("report: the server answers %ld", status);
	/* What the server refuses for good would be refused again. */
	return status >= 400 && status < 500;
}

static void tell(unsigned percent, void *arg)
{
	struct agent *agent = arg;
	time_t now = time(NULL);

	if (now - agent->told < TELL_SECONDS)
		return;
	agent->told = now;
	post_event(agent, agent->operation, "running", percent, NULL, NULL);
}

/* Results that could not be reported when they were there. */
static void tell_results(struct agent *agent)
{
	const char *id;
	json_t *result;
	bool changed = false;

	json_object_foreach (agent->state.ended, id, result) {
		const char *state = json_string_value(json_object_get(result, "state"));

		if (json_is_true(json_object_get(result, "told")) || !state)
			continue;
		if (!post_event(agent, id, state, strcmp(state, "done") ? 0 : 100,
				json_string_value(json_object_get(result, "message")),
				json_string_value(json_object_get(result, "log"))))
			break;
		json_object_set_new(result, "told", json_true());
		changed = true;
	}
	if (changed)
		agent_state_save(&agent->state);
}

/* ---- doing ---- */

/* jansson takes only UTF-8; a package manager may say anything. */
static void make_ascii(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x7f || ((unsigned char)*text < 0x20 && *text != '\n'))
			*text = '?';
}

static int do_operation(struct agent *agent, const json_t *operation)
{
	const char *id = json_string_value(json_object_get(operation, "id"));
	bool resumed = !strcmp(agent->state.running, id);
	struct agent_result *result = malloc(sizeof(*result));
	int err;

	if (!result)
		return -ENOMEM;
	strcpy(agent->state.running, id);
	err = agent_state_save(&agent->state);
	if (err)
		goto out;
	log_info("operation %s: %s%s", id, json_string_value(json_object_get(operation, "action")),
		 resumed ? ", again" : "");
	agent->operation = id;
	post_event(agent, id, "running", 0, NULL, NULL);
	agent_run(&agent->options, operation, resumed, tell, agent, result);
	make_ascii(result->message);
	make_ascii(result->log);
	log_info("operation %s: %s%s%s", id, result->failed ? "failed" : "done",
		 result->failed ? ": " : "", result->message);
	if (json_object_size(agent->state.ended) >= ENDED_MAX)
		json_object_clear(agent->state.ended);
	json_object_set_new(agent->state.ended, id,
			    json_pack("{s:s, s:s, s:s, s:b}", "state",
				      result->failed ? "failed" : "done", "message",
				      result->message, "log", result->log, "told", 0));
	agent->state.running[0] = '\0';
	err = agent_state_save(&agent->state);
	if (!err)
		tell_results(agent);
out:
	free(result);
	return err;
}

/*
 * Is it for us, new, and still valid? A generation once seen is never undercut, so that an old
 * document with a right signature (a replay) does nothing.
 */
static const char *refuse(const struct agent *agent, const json_t *document)
{
	int64_t generation = (int64_t)json_integer_value(json_object_get(document, "generation"));

	if (strcmp(json_string_value(json_object_get(document, "instance")), agent->instance) != 0)
		return "it is for another instance";
	if (generation < agent->state.seen)
		return "it is older than one seen before";
	if ((int64_t)json_integer_value(json_object_get(document, "expires")) <
	    (int64_t)time(NULL) - CLOCK_SLACK)
		return "it has expired, or the clock is wrong";
	return NULL;
}

static int follow(struct agent *agent, const char *text, size_t len)
{
	json_t *document = NULL, *operation;
	char *payload = NULL;
	const char *why;
	size_t payload_len, i;
	int err = signed_open(agent->keys, text, len, &payload, &payload_len);

	if (!err)
		document = instruction_parse(payload, payload_len);
	free(payload);
	if (err || !document) {
		log_error("the instruction is refused: %s",
			  err == -EKEYREJECTED ? "no pinned key signed it"
			  : err == -EINVAL     ? "the pinned keys cannot be read"
					       : "it is damaged");
		return -EBADMSG;
	}
	why = refuse(agent, document);
	if (why) {
		log_error("the instruction is refused: %s", why);
		json_decref(document);
		return -EBADMSG;
	}
	agent->state.seen = (int64_t)json_integer_value(json_object_get(document, "generation"));
	json_array_foreach (json_object_get(document, "operations"), i, operation) {
		const char *id = json_string_value(json_object_get(operation, "id"));

		if (json_object_get(agent->state.ended, id))
			continue;
		if (agent_ending || err)
			break;
		err = do_operation(agent, operation);
	}
	/* Only now: killed before, the same document is asked for again. */
	if (!err && !agent_ending) {
		agent->state.generation = agent->state.seen;
		err = agent_state_save(&agent->state);
	}
	json_decref(document);
	return err;
}

/* ---- the loop ---- */

/* 0: go on at once; otherwise the seconds to pause. */
static unsigned poll_once(struct agent *agent, unsigned failures)
{
	unsigned pause = 1u << (failures < 6 ? failures : 6);
	char url[512], *body;
	const char *why;
	size_t len;
	long status;
	int err;

	tell_results(agent);
	snprintf(url, sizeof(url), "%s/sluice/v1/desired?generation=%lld&wait=%u",
		 agent->options.url, (long long)agent->state.generation,
		 agent->options.once ? 0 : agent->options.wait);
	status = agent_get(url, agent->options.wait + 30, &body, &len, &why);
	if (status == 204) {
		free(body);
		return 0;
	}
	if (status == 200) {
		err = follow(agent, body ? body : "", len);
		free(body);
		return err ? PAUSE_MAX : 0;
	}
	if (status < 0)
		log_warn("no answer: %s", why);
	else
		log_warn("the server answers %ld", status);
	free(body);
	return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}

static int serve(struct agent *agent)
{
	unsigned failures = 0, pause;

	while (!agent_ending) {
		pause = poll_once(agent, failures);
		failures = pause ? failures + 1 : 0;
		if (agent->options.once)
			return pause ? EXIT_FAILURE : EXIT_SUCCESS;
		/* A thousand agents that lost their server must not come back in one second. */
		if (pause && !agent_ending)
			usleep((useconds_t)(pause * 500000u +
					    (unsigned)rand() % (pause * 500000u)));
	}
	return EXIT_SUCCESS;
}

static int run(struct agent *agent)
{
	char path[300];
	int lock, err, status;

	agent->keys = read_small(agent->options.key_file, KEYS_MAX);
	if (!agent->keys) {
		log_error("%s: no pinned key; user data or the image brings it",
			  agent->options.key_file);
		return EXIT_FAILURE;
	}
	if (!find_instance(agent)) {
		log_error("which instance this is, is not known: give --instance");
		return EXIT_FAILURE;
	}
	err = agent_state_load(&agent->state, agent->options.state);
	if (err) {
		log_error("%s: %s", agent->options.state,
			  err == -EBADMSG ? "the state is damaged; remove state.json to begin anew"
					  : strerror(-err));
		return EXIT_FAILURE;
	}
	snprintf(path, sizeof(path), "%s/lock", agent->options.state);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB)) {
		log_error("%s: another agent is running", path);
		return EXIT_FAILURE;
	}
	status = serve(agent);
	close(lock);
	return status;
}

int main(int argc, char **argv)
{
	struct agent agent = { .options = { .url = "http://169.254.169.254",
					    .key_file = "/etc/sluice/agent.pub",
					    .state = "/var/lib/sluice-agent",
					    .sources = "/etc/apt/sources.list.d/sluice.list",
					    .wait = 55 } };
	struct opt_spec spec = {
		.program = "sluice-agent",
		.summary = "Follows signed instructions for this machine.",
		.help = "sluice-agent --help",
		.groups = { { "Options", option_table,
			      sizeof(option_table) / sizeof(option_table[0]), &agent.options } },
	};
	struct sigaction action = { .sa_handler = on_signal };
	char *why;
	int first, status;

	if (opt_parse(&spec, argc, argv, &first, &why)) {
		fprintf(stderr, "%s\n", why ? why : "out of memory");
		free(why);
		return 2;
	}
	if (agent.options.help) {
		opt_usage(&spec, stdout);
		return EXIT_SUCCESS;
	}
	if (agent.options.version) {
		puts("sluice-agent " SLUICE_VERSION);
		return EXIT_SUCCESS;
	}
	log_init("sluice-agent", agent.options.verbose ? LOG_DEBUG : LOG_INFO);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	srand((unsigned)getpid() ^ (unsigned)time(NULL));
	curl_global_init(CURL_GLOBAL_DEFAULT);
	status = run(&agent);
	agent_state_free(&agent.state);
	free(agent.keys);
	curl_global_cleanup();
	return status;
}
