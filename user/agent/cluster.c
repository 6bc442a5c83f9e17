/* SPDX-License-Identifier: BSD-2-Clause */
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
#include "../lib/fault.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/opt.h"
#include "../lib/pki.h"
#include "../lib/signed.h"
#include "swarm.h"

#define CLOCK_SLACK  300
#define PAUSE_FIRST  500 /* ms; doubled with each failure */
#define PAUSE_MOST   15000
#define REPORT_MS    300
#define LOCK_TRIES   50 /* of 100 ms */
#define REFUSED_WAIT 10000

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

/* For the thread that signals are for. */
static void idle(unsigned milliseconds)
{
	for (unsigned passed = 0; passed < milliseconds && !cluster_signalled; passed += 100)
		usleep(100000);
}

static void end(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	node->ending = true;
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
}

/* ---- what is told ---- */

static int post(struct node *node, const struct http *http, const char *path, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL, *body = NULL, *why = NULL;
	char url[160];
	long status = -1;

	snprintf(url, sizeof(url), "%s%s", node->server, path);
	if (text)
		status = http_call(http, url, text, &body, &why);
	if (status != 204 && !cluster_signalled)
		log_warn("%s%s: %s", node->server, path, why ? why : body ? body : "refused");
	free(text);
	free(body);
	free(why);
	json_decref(json);
	return status == 204 ? 0 : status == 400 ? -EBADMSG : -ECONNREFUSED;
}

/* ---- what this machine is to be ---- */

/* A generation once seen is never undercut: a replayed document with a right signature is refused.
 */
static const char *refuse(struct node *node, const json_t *document, char *clock, size_t size)
{
	time_t now = time(NULL);
	struct tm utc;

	if (strcmp(json_string_value(json_object_get(document, "node")), node->name) != 0)
		return "it is for another node";
	if (strcmp(json_string_value(json_object_get(document, "cluster")), node->cluster) != 0)
		return "it is for another cluster";
	if (json_integer_value(json_object_get(document, "generation")) <
	    journal_number(node, "generation"))
		return "it is older than one seen before";
	if (json_integer_value(json_object_get(document, "expires")) + CLOCK_SLACK >= now)
		return NULL;
	strftime(clock, size,
		 "it has expired, or this machine's clock is wrong: it says %Y-%m-%d %H:%M UTC",
		 gmtime_r(&now, &utc));
	return clock;
}

static int hash(const char *text, char ret_hex[NAME_DIGEST_LEN + 1])
{
	uint8_t digest[DIGEST_SIZE];
	int err = digest_bytes(text, strlen(text), digest);

	if (!err)
		name_hex(digest, sizeof(digest), ret_hex);
	return err;
}

/* Who ordered it hears it, and does not wait for what will not come. */
static void tell_refusal(struct node *node, const struct http *http, const char *digest,
			 const char *why)
{
	post(node, http, "/v1/refused", json_pack("{s:s, s:s}", "document", digest, "why", why));
}

static int follow(struct node *node, const struct http *http, const char *text)
{
	char digest[NAME_DIGEST_LEN + 1] = "", clock[100], *payload = NULL;
	json_t *document = NULL;
	const char *why = "it is damaged, or this agent is too old for it";
	size_t len;
	int err = signed_open(node->control, text, strlen(text), &payload, &len);
	int64_t generation = 0;

	if (err == -EKEYREJECTED)
		why = "the control machine's key did not sign it";
	else if (!err)
		document = desired_parse(payload, len);
	if (document)
		why = refuse(node, document, clock, sizeof(clock));
	hash(text, digest);
	if (!why) {
		generation = json_integer_value(json_object_get(document, "generation"));
		fault_point("follow");
		err = journal_follow(node, payload, digest, generation);
		fault_point("followed");
		if (err)
			why = "the journal cannot be written: is the disk full?";
	}
	if (why) {
		log_error("the document is refused: %s", why);
		tell_refusal(node, http, digest, why);
		err = -EACCES;
	} else {
		swarm_admit(node->swarm, document);
		log_info("generation %lld", (long long)generation);
	}
	json_decref(document);
	free(payload);
	return err;
}

/* Which certificate is in use; "": it cannot be read. */
static const char *certificate_hash(const struct http *http, char ret_hex[NAME_DIGEST_LEN + 1])
{
	char *text = NULL;

	if (file_read(http->certificate, CLUSTER_PEM_MAX, &text, NULL) || pki_hash(text, ret_hex))
		*ret_hex = '\0';
	free(text);
	return ret_hex;
}

static int poll_once(struct node *node, const struct http *http)
{
	struct http patient = *http;
	char url[288], hash[NAME_DIGEST_LEN + 1], *body = NULL, *why = NULL;
	unsigned wait = swarm_poll_seconds(node->swarm, node->wait);
	int64_t begun = swarm_clock();
	long status;
	int err = 0;

	patient.timeout = wait + 30;
	snprintf(url, sizeof(url), "%s/v1/desired?generation=%lld&wait=%u&certificate=%.16s",
		 node->server, (long long)journal_number(node, "generation"), wait,
		 certificate_hash(http, hash));
	status = http_call(&patient, url, NULL, &body, &why);
	if (status == 200 && body) {
		err = follow(node, http, body);
		/* What was refused would come again at once. */
		if (err)
			idle(REFUSED_WAIT);
	} else if (status == 205) {
		err = node_renew(node, http);
	} else if (status != 204 && !cluster_signalled) {
		log_warn("%s: %s", node->server, why ? why : body ? body : "no answer");
		err = -ECONNREFUSED;
	}
	if ((status == 200 || status == 204) && !err)
		swarm_heard(node->swarm, begun);
	free(body);
	free(why);
	return err;
}

/* A journal that cannot be written tells nothing by itself. */
static void tell_trouble(struct node *node, const struct http *http)
{
	char *digest, why[CLUSTER_WHY_MAX];
	int err;

	pthread_mutex_lock(&node->lock);
	err = node->trouble;
	pthread_mutex_unlock(&node->lock);
	digest = err ? journal_get(node, "digest") : NULL;
	snprintf(why, sizeof(why), "its journal in %s cannot be written: %s", node->directory,
		 strerror(-err));
	if (digest)
		tell_refusal(node, http, digest, why);
	free(digest);
}

static void *report_thread(void *arg)
{
	char paths[3][CLUSTER_PATH_MAX];
	struct node *node = arg;
	unsigned pause = REPORT_MS;
	struct http http;
	int64_t last;
	json_t *json;
	int err;

	node_http(node, &http, paths);
	do {
		json = journal_events(node, &last);
		err = json ? post(node, &http, "/v1/events", json) : 0;
		fault_point("told");
		tell_trouble(node, &http);
		/* What is refused for good would be refused again. */
		if (json && (!err || err == -EBADMSG))
			journal_told(node, last);
		pause = err ? PAUSE_MOST / 5 : REPORT_MS;
	} while (node_wait(node, pause) || (json && !err));
	return NULL;
}

static void poll_until_ended(struct node *node)
{
	char paths[3][CLUSTER_PATH_MAX];
	int64_t stamp = -1, now;
	unsigned failures = 0, pause;
	struct http http;
	int err;

	node_http(node, &http, paths);
	while (!cluster_signalled) {
		now = facts_stamp(node);
		err = 0;
		if (now != stamp)
			err = post(node, &http, "/v1/facts", facts_collect(node));
		if (!err) {
			stamp = now;
			err = poll_once(node, &http);
		}
		failures = err == -ECONNREFUSED ? failures + 1 : 0;
		if (!failures || cluster_signalled)
			continue;
		stamp = -1;
		pause = PAUSE_FIRST << (failures < 6 ? failures : 6);
		/* A hundred nodes that lost their server must not come back in one moment. */
		pause = pause < PAUSE_MOST ? pause : PAUSE_MOST;
		idle(pause / 2 + (unsigned)rand() % (pause / 2));
	}
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
	log_info("%s of cluster %s, control machine %s", node->name, node->cluster, node->server);
	node->swarm = swarm_new(node);
	while (started < 3 && !pthread_create(&threads[started], NULL, bodies[started], node))
		started++;
	if (started == 3)
		poll_until_ended(node);
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
