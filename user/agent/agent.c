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

#include "../lib/log.h"
#include "../lib/opt.h"
#include "cluster.h"

#define KEYS_MAX   8192
#define PAUSE_MAX  60
#define WAIT_MAX   55 /* s; the relay waits 60 for an answer to begin */
#define WAIT_TAKEN 60 /* from those who were set up when that was allowed */

volatile sig_atomic_t agent_ending;

static void on_signal(int number)
{
	agent_ending = 1;
}

static const char *const managers[] = { "apt", "dnf", NULL };

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
	{ OPT_TEXT, 't', "tenant", "NAME",
	  "this instance's tenant (default: that of the first instruction)",
	  offsetof(struct agent_options, tenant), 0, 0, NULL },
	{ OPT_TEXT, 0, "sources", "FILE",
	  "the only package source (default: /etc/apt/sources.list.d/sluice.list)",
	  offsetof(struct agent_options, sources), 0, 0, NULL },
	{ OPT_TEXT, 0, "root", "DIR", "install into another root",
	  offsetof(struct agent_options, root), 0, 0, NULL },
	{ OPT_WORD, 0, "manager", "NAME", "default: apt where it is, else dnf",
	  offsetof(struct agent_options, manager), 0, 0, managers },
	{ OPT_NUMBER, 'w', "wait", "SECONDS", "how long one poll waits (default 55)",
	  offsetof(struct agent_options, wait), 1, WAIT_TAKEN, NULL },
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

	agent->more = false;
	agent_tell_results(agent);
	snprintf(url, sizeof(url), "%s/sluice/v1/desired?generation=%lld&wait=%u",
		 agent->options.url, (long long)agent->state.generation,
		 agent->options.once ? 0 : agent->options.wait);
	status = agent_get(url, agent->options.wait + 30, &body, &len, &why);
	if (status == 204) {
		free(body);
		return 0;
	}
	if (status == 200) {
		err = agent_follow(agent, body ? body : "", len);
		free(body);
		return err ? PAUSE_MAX : 0;
	}
	if (status < 0)
		log_warn("no answer: %s", why);
	else
		log_warn("the server answers %ld%s", status,
			 status == 404 ? ": it does not know this VM; the network node needs a "
					 "port binding with its instance id"
				       : "");
	free(body);
	return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}

/*
 * An operation may have replaced this program. The new one takes the place of the old in the same
 * process, so that no package script has to end an agent that waits for that script.
 */
static void become_new(struct agent *agent)
{
	char now[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", now, sizeof(now) - 1);
	size_t len = strlen(agent->program);

	/* The kernel marks a name that is gone or another file's by now. */
	if (n <= 0 || !len || (size_t)n <= len || strncmp(now, agent->program, len) != 0 ||
	    access(agent->program, X_OK) || agent_ending)
		return;
	log_info("this program was replaced: going on with the new one");
	execv(agent->program, agent->argv);
	log_error("%s: %s; going on with the old one", agent->program, strerror(errno));
	agent->program[0] = '\0';
}

static int serve(struct agent *agent)
{
	unsigned failures = 0, pause;

	while (!agent_ending) {
		pause = poll_once(agent, failures);
		failures = pause ? failures + 1 : 0;
		if (agent->more) {
			become_new(agent);
			continue;
		}
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
	/* A copy of another machine, made with its disk, has nothing of that one's to go on with.
	 */
	if (*agent->state.instance && strcmp(agent->state.instance, agent->instance) != 0 &&
	    agent_state_forget(&agent->state)) {
		log_error("out of memory");
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
					    .wait = WAIT_MAX } };
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

	if (argc > 1 && !strcmp(argv[1], "cluster"))
		return cluster_main(argc - 1, argv + 1);
	if (opt_parse(&spec, argc, argv, &first, &why)) {
		fprintf(stderr, "%s\n", why ? why : "out of memory");
		free(why);
		return 2;
	}
	if (agent.options.help) {
		opt_usage(&spec, stdout);
		puts("\nOn a node of a cluster:\n"
		     "  cluster enrol               become a node\n"
		     "  cluster run                 make this node what its cluster says");
		return EXIT_SUCCESS;
	}
	if (agent.options.version) {
		puts("sluice-agent " SLUICE_VERSION);
		return EXIT_SUCCESS;
	}
	if (agent.options.wait > WAIT_MAX)
		agent.options.wait = WAIT_MAX;
	agent.argv = argv;
	if (readlink("/proc/self/exe", agent.program, sizeof(agent.program) - 1) < 0)
		agent.program[0] = '\0';
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
