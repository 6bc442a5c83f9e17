/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command "sluice-agent cluster": options, and the node's beginning and end: what it knows of
 * itself is read, one agent alone holds the directory, threads run until a signal comes.
 */
#include "cluster.h"

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

#include "../lib/digest.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/opt.h"
#include "swarm.h"

#define LOCK_TRIES 50 /* of 100 ms */

struct run_options {
	const char *directory;
	uint32_t wait;
	bool verbose, help;
};

volatile sig_atomic_t cluster_signalled;

static void on_signal(int number)
{
	cluster_signalled = 1;
}

void node_path(const struct node *node, const char *name, char *ret_path)
{
	snprintf(ret_path, CLUSTER_PATH_MAX, "%s/%s", node->directory, name);
}

bool node_wait(struct node *node, unsigned milliseconds)
{
	struct timespec deadline;
	bool going;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	deadline.tv_sec += milliseconds / 1000 + deadline.tv_nsec / 1000000000;
	deadline.tv_nsec %= 1000000000;
	pthread_mutex_lock(&node->lock);
	if (!node->ending)
		pthread_cond_timedwait(&node->changed, &node->lock, &deadline);
	going = !node->ending;
	pthread_mutex_unlock(&node->lock);
	return going;
}

static void end(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	node->ending = true;
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
}

/* ---- beginning and end ---- */

static char *read_key(const struct node *node, const char *name)
{
	char path[CLUSTER_PATH_MAX], *text = NULL;

	node_path(node, name, path);
	file_read(path, CLUSTER_PEM_MAX, &text, NULL);
	return text;
}

static int load(struct node *node)
{
	char path[CLUSTER_PATH_MAX], *name, *cluster, *server;
	int err;

	node_path(node, "journal.db", path);
	if (access(path, F_OK)) {
		log_error("%s: this machine is not enrolled: sluice-agent cluster enrol",
			  node->directory);
		return -ENOENT;
	}
	err = journal_open(node);
	if (!err)
		err = digest_random_hex(sizeof(node->session) / 2, node->session);
	if (err) {
		log_error("%s: %s%s", path, strerror(-err),
			  err == -EUCLEAN ? ": move it away, and enrol again with the same keys"
					  : "");
		return err;
	}
	name = journal_get(node, "node");
	cluster = journal_get(node, "cluster");
	server = journal_get(node, "server");
	node->control = read_key(node, "keys/control.pub");
	node->publishers = read_key(node, "keys/publishers.pub");
	if (name && cluster && server && node->control && node->publishers) {
		snprintf(node->name, sizeof(node->name), "%s", name);
		snprintf(node->cluster, sizeof(node->cluster), "%s", cluster);
		snprintf(node->server, sizeof(node->server), "%s", server);
	} else {
		log_error("%s: this machine is not enrolled: sluice-agent cluster enrol",
			  node->directory);
		err = -ENOENT;
	}
	free(name);
	free(cluster);
	free(server);
	return err;
}

static int lock_directory(const struct node *node)
{
	char path[CLUSTER_PATH_MAX];
	int fd;

	node_path(node, "lock", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* A killed agent's last child may hold it for a moment yet. */
	for (unsigned i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB); i++)
		usleep(100000);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)) {
		log_error("%s: another agent is running", path);
		return -EBUSY;
	}
	return fd;
}

static int run_node(struct node *node)
{
	void *(*const bodies[])(void *) = { fetch_thread, install_thread, report_thread };
	pthread_t threads[3];
	unsigned started = 0;
	int lock, err = load(node);

	if (err)
		return EXIT_FAILURE;
	lock = lock_directory(node);
	/* Programs begin where the agent is; that directory may have gone. */
	if (lock < 0 || chdir("/"))
		return EXIT_FAILURE;
	leftover_open(lock);
	log_info("%s of cluster %s, control machine %s", node->name, node->cluster, node->server);
	node->swarm = swarm_new(node);
	while (started < 3 && !pthread_create(&threads[started], NULL, bodies[started], node))
		started++;
	if (started == 3)
		node_follow(node);
	else
		log_error("no thread can be started");
	end(node);
	while (started)
		pthread_join(threads[--started], NULL);
	swarm_free(node->swarm);
	close(lock);
	return cluster_signalled ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int cluster_run(const struct run_options *options)
{
	struct node node = { .directory = options->directory, .wait = options->wait };
	pthread_condattr_t clock;
	int status;

	pthread_mutex_init(&node.lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&node.changed, &clock);
	status = run_node(&node);
	sqlite3_close(node.db);
	free(node.control);
	free(node.publishers);
	return status;
}

static int parse(const char *program, const char *summary, const struct opt *options, size_t count,
		 void *target, const bool *help, int argc, char **argv)
{
	struct opt_spec spec = {
		.program = program,
		.summary = summary,
		.help = "sluice-agent cluster --help",
		.groups = { { "Options", options, count, target } },
	};
	char *why = NULL;
	int first;

	if (opt_parse(&spec, argc, argv, &first, &why)) {
		fprintf(stderr, "%s\n", why ? why : "out of memory");
		free(why);
		return 2;
	}
	if (!*help)
		return -1;
	opt_usage(&spec, stdout);
	return EXIT_SUCCESS;
}

struct enrol_words {
	struct enrol_options options;
	const char *token_file;
	bool help;
};

static const struct opt enrol_table[] = {
	{ OPT_TEXT, 0, "server", "ADDRESS:PORT", "the control machine",
	  offsetof(struct enrol_words, options.server), 0, 0, NULL },
	{ OPT_TEXT, 0, "token-file", "FILE",
	  "the token that sluice-cluster enrol made; -: asks for it",
	  offsetof(struct enrol_words, token_file), 0, 0, NULL },
	{ OPT_TEXT, 0, "token", "TOKEN", "the same, for every user of this machine to see in ps",
	  offsetof(struct enrol_words, options.token), 0, 0, NULL },
	{ OPT_TEXT, 0, "name", "NODE", "without a token: who this machine is",
	  offsetof(struct enrol_words, options.name), 0, 0, NULL },
	{ OPT_TEXT, 0, "ca", "SHA256", "without a token: the CA, as sluice-cluster init showed it",
	  offsetof(struct enrol_words, options.ca_hash), 0, 0, NULL },
	{ OPT_NUMBER, 'w', "wait", "SECONDS", "for approval (default 600)",
	  offsetof(struct enrol_words, options.wait), 0, 86400, NULL },
	{ OPT_TEXT, 'd', "directory", "DIR", "default: " CLUSTER_DIRECTORY,
	  offsetof(struct enrol_words, options.directory), 0, 0, NULL },
	{ OPT_FLAG, 'h', "help", NULL, "print this and exit", offsetof(struct enrol_words, help), 0,
	  0, NULL },
};

static const struct opt run_table[] = {
	{ OPT_TEXT, 'd', "directory", "DIR", "default: " CLUSTER_DIRECTORY,
	  offsetof(struct run_options, directory), 0, 0, NULL },
	{ OPT_NUMBER, 'w', "wait", "SECONDS", "how long one poll waits (default 20)",
	  offsetof(struct run_options, wait), 1, 60, NULL },
	{ OPT_FLAG, 'v', "verbose", NULL, "log more", offsetof(struct run_options, verbose), 0, 0,
	  NULL },
	{ OPT_FLAG, 'h', "help", NULL, "print this and exit", offsetof(struct run_options, help), 0,
	  0, NULL },
};

/* The first line of a file, or of what is typed or piped in. 0 or -errno. */
static int read_token_line(const char *path, char *line, size_t size)
{
	bool asked = !strcmp(path, "-");
	FILE *file = asked ? stdin : fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	if (asked && isatty(STDIN_FILENO))
		fputs("Token: ", stderr);
	if (!fgets(line, (int)size, file))
		err = ferror(file) ? -EIO : -ENODATA;
	else
		line[strcspn(line, "\r\n")] = '\0';
	if (!asked)
		fclose(file);
	return err;
}

static int enrol(int argc, char **argv)
{
	struct enrol_words words = { .options = { .directory = CLUSTER_DIRECTORY, .wait = 600 } };
	char token[512];
	int status = parse("sluice-agent cluster enrol", "Makes this machine a node of a cluster.",
			   enrol_table, sizeof(enrol_table) / sizeof(enrol_table[0]), &words,
			   &words.help, argc, argv);

	if (status >= 0)
		return status;
	if (!words.options.server) {
		fprintf(stderr, "sluice-agent cluster enrol: --server is missing\n");
		return 2;
	}
	if (words.token_file && words.options.token) {
		fprintf(stderr, "sluice-agent cluster enrol: --token or --token-file, not both\n");
		return 2;
	}
	if (words.token_file) {
		int err = read_token_line(words.token_file, token, sizeof(token));

		if (err) {
			fprintf(stderr, "sluice-agent cluster enrol: no token in %s: %s\n",
				words.token_file, strerror(-err));
			return EXIT_FAILURE;
		}
		words.options.token = token;
	}
	return cluster_enrol(&words.options) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(int argc, char **argv)
{
	struct run_options options = { .directory = CLUSTER_DIRECTORY, .wait = 20 };
	int status = parse("sluice-agent cluster run", "Makes this node what its cluster says.",
			   run_table, sizeof(run_table) / sizeof(run_table[0]), &options,
			   &options.help, argc, argv);

	return status >= 0 ? status : cluster_run(&options);
}

int cluster_main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	int status = 2;

	log_init("sluice-agent", LOG_INFO);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	srand((unsigned)getpid() ^ (unsigned)time(NULL));
	curl_global_init(CURL_GLOBAL_DEFAULT);
	if (argc > 1 && !strcmp(argv[1], "enrol"))
		status = enrol(argc - 1, argv + 1);
	else if (argc > 1 && !strcmp(argv[1], "run"))
		status = run(argc - 1, argv + 1);
	else
		fputs("Usage: sluice-agent cluster enrol|run [OPTION]...\n"
		      "Try 'sluice-agent cluster enrol --help', or see sluice-cluster(1).\n",
		      argc > 1 && !strcmp(argv[1], "--help") ? stdout : stderr);
	curl_global_cleanup();
	return argc > 1 && !strcmp(argv[1], "--help") ? EXIT_SUCCESS : status;
}
