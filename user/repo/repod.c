/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-repod: the software repository. main() reads the configuration, opens the state,
 * listens, says READY and waits for a signal; everything else happens in libmicrohttpd's
 * threads and the job threads.
 */
#include "repod.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "../lib/clock.h"
#include "../lib/log.h"
#include "../lib/opt.h"
#include "../lib/spawn.h"
#include "fsck.h"
#include "http.h"
#include "jobs.h"
#include "publish.h"
#include "upload.h"
#include "waiters.h"

#define LISTENERS_MAX 16
#define JOB_THREADS   4
#define SLOW_THREADS  4
#define SWEEP_SECONDS 3600
/* From SIGTERM on, five seconds together at most. */
#define DRAIN_MS 2000 /* what is under way may end, what arrives begin */
#define END_MS	 2500 /* what is under way may end */
#define JOIN_MS	 250  /* for each kind of job */

struct options {
	const char *config, *state;
	bool fsck, repair, check, verbose, version, help;
};

static const struct opt option_table[] = {
	{ OPT_TEXT, 'c', "config", "FILE", "configuration (default: built-in values)",
	  offsetof(struct options, config), 0, 0, NULL },
	{ OPT_TEXT, 's', "state", "DIR", "state directory, instead of the configured one",
	  offsetof(struct options, state), 0, 0, NULL },
	{ OPT_FLAG, 0, "fsck", NULL, "check the state directory and exit",
	  offsetof(struct options, fsck), 0, 0, NULL },
	{ OPT_FLAG, 0, "repair", NULL, "with --fsck: repair what can be repaired",
	  offsetof(struct options, repair), 0, 0, NULL },
	{ OPT_FLAG, 0, "check-config", NULL, "check the configuration and exit",
	  offsetof(struct options, check), 0, 0, NULL },
	{ OPT_FLAG, 'v', "verbose", NULL, "log more", offsetof(struct options, verbose), 0, 0,
	  NULL },
	{ OPT_FLAG, 0, "version", NULL, "print the version and exit",
	  offsetof(struct options, version), 0, 0, NULL },
	{ OPT_FLAG, 'h', "help", NULL, "print this and exit", offsetof(struct options, help), 0, 0,
	  NULL },
};

/* sd_notify(3) without its library: one datagram to the socket systemd named. */
static void notify(const char *state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!len || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("systemd cannot be told \"%s\": %s", state, strerror(errno));
	close(fd);
}

static int open_state(struct repod *repod)
{
	char path[256], *why;
	int swept, err;

	err = store_open(repod->settings->state, repod->settings->limits.keep_free, &repod->store,
			 &why);
	if (!err) {
		snprintf(path, sizeof(path), "%s/repo.db", repod->settings->state);
		err = db_open(path, &repod->db, &why);
	}
	if (err) {
		log_error("%s", why ? why : strerror(-err));
		free(why);
		return err;
	}
	swept = upload_sweep(repod->db, repod->store, repod->settings->limits.upload_expiry, true);
	if (swept > 0)
		log_info("%d unfinished uploads cleared away", swept);
	return 0;
}

static int run_fsck(struct repod *repod, bool repair)
{
	struct problem problem = { 0 };
	json_t *report = fsck_run(repod->db, repod->store, "offline", repair, &problem), *entry;
	size_t i, left = 0;

	if (!report) {
		log_error("%s", problem.message);
		return EXIT_FAILURE;
	}
	json_array_foreach (json_object_get(report, "problems"), i, entry)
		left += json_is_null(json_object_get(entry, "repaired"));
	json_dumpf(report, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(report);
	return left ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void sweep(void *arg)
{
	struct repod *repod = arg;

	if (!atomic_load(&repod->stopping))
		upload_sweep(repod->db, repod->store, repod->settings->limits.upload_expiry, false);
}

/* Until SIGTERM or SIGINT, which are heard while broken uploads are cleared away, once an hour. */
static void wait_for_end(struct repod *repod, const sigset_t *signals)
{
	const struct timespec hour = { .tv_sec = SWEEP_SECONDS };
	int signal_number;

	for (;;) {
		signal_number = sigtimedwait(signals, NULL, &hour);
		if (signal_number == SIGTERM || signal_number == SIGINT)
			return;
		if (signal_number < 0 && errno == EAGAIN)
			jobs_add(repod->slow_jobs, sweep, repod);
	}
}

/* Until all connections have ended, or that time is over. False: a signal came, again. */
static bool drain(const struct listener *listeners, unsigned count, int64_t milliseconds,
		  const sigset_t *signals)
{
	const struct timespec tick = { .tv_nsec = 50 * 1000 * 1000 };
	const int64_t until = clock_ms(CLOCK_MONOTONIC) + milliseconds;
	unsigned open;

	while (clock_ms(CLOCK_MONOTONIC) < until) {
		open = 0;
		for (unsigned j = 0; j < count; j++)
			open += http_connections(&listeners[j]);
		if (!open)
			return true;
		if (sigtimedwait(signals, NULL, &tick) > 0)
			return false;
	}
	return true;
}

/*
 * What is being sent and done may finish, within bounds, but for who signals twice; then what has
 * not begun is refused, and tools are ended. A job that takes longer is broken off, as by a crash:
 * nothing is lost by one.
 */
static void end(struct repod *repod, struct listener *listeners, unsigned count,
		const sigset_t *signals)
{
	bool patient;

	for (unsigned i = 0; i < count; i++)
		http_quiesce(&listeners[i]);
	/* From here on who connects is refused. */
	log_info("stopping");
	patient = drain(listeners, count, DRAIN_MS, signals);
	atomic_store(&repod->stopping, true);
	spawn_stop();
	jobs_close(repod->jobs);
	jobs_close(repod->slow_jobs);
	if (patient)
		drain(listeners, count, END_MS, signals);
}

static int serve(struct repod *repod, const sigset_t *signals)
{
	struct listener listeners[LISTENERS_MAX] = { 0 };
	const struct settings *settings = repod->settings;
	unsigned count = 0, i;
	char *why = NULL;
	int err = 0;

	for (; count < settings->listen_count && count < LISTENERS_MAX; count++) {
		err = http_listen(&listeners[count], repod, &settings->listen[count], &why);
		if (err) {
			log_error("%s", why ? why : strerror(-err));
			free(why);
			goto out;
		}
	}
	for (i = 0; i < count; i++) {
		err = http_start(&listeners[i]);
		if (err) {
			log_error(
				"%s: the HTTP server does not start%s", settings->listen[i].address,
				settings->listen[i].tls ? ": are certificate and key right?" : "");
			goto out;
		}
		log_info("listening on %s for %s", settings->listen[i].address,
			 settings->listen[i].audience == SETTINGS_TENANTS ? "tenants"
									  : "management");
	}
	notify("READY=1");
	wait_for_end(repod, signals);
	notify("STOPPING=1");
	waiters_release(repod->waiters);
	end(repod, listeners, count, signals);
out:
	atomic_store(&repod->stopping, true);
	/* Until http_stop() connections that are kept alive may ask: they are refused by these. */
	waiters_stop(repod->waiters);
	if (!jobs_stop(repod->jobs, JOIN_MS) || !jobs_stop(repod->slow_jobs, JOIN_MS)) {
		log_info("what takes longer is broken off");
		for (i = 0; i < count; i++)
			http_leave(&listeners[i]);
		_exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	for (i = 0; i < count; i++)
		http_stop(&listeners[i]);
	return err;
}

static int run(const struct options *options, struct repod *repod, const sigset_t *signals)
{
	char *state, *why;
	int err;

	err = settings_load(options->config, &repod->settings, &why);
	if (err && options->check)
		fprintf(stderr, "%s\n", why ? why : strerror(-err));
	else if (err)
		log_text(LOG_ERROR, "configuration", why ? why : strerror(-err));
	else if (options->check)
		printf("%s: ok\n", options->config ? options->config : "built-in values");
	free(why);
	if (err || options->check)
		return err ? EXIT_FAILURE : EXIT_SUCCESS;
	if (options->state) {
		state = strdup(options->state);
		if (!state || options->state[0] != '/' || strlen(state) > 72) {
			log_error("--state: an absolute path of up to 72 characters");
			free(state);
			return EXIT_FAILURE;
		}
		free(repod->settings->state);
		repod->settings->state = state;
	}
	if (open_state(repod))
		return EXIT_FAILURE;
	if (options->fsck)
		return run_fsck(repod, options->repair);
	if (jobs_start(JOB_THREADS, &repod->jobs) || jobs_start(SLOW_THREADS, &repod->slow_jobs) ||
	    waiters_start(repod->settings->limits.connections / 2, &repod->waiters) ||
	    publish_start(repod, &repod->publisher)) {
		log_error("threads cannot be started");
		return EXIT_FAILURE;
	}
	return serve(repod, signals) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct opt_spec spec = {
		.program = "sluice-repod",
		.summary = "Serves the software repository.",
		.help = "sluice-repod --help",
		.groups = { { "Options", option_table,
			      sizeof(option_table) / sizeof(option_table[0]), &options } },
	};
	struct repod repod = { 0 };
	sigset_t signals;
	int first, status;
	char *why;

	log_init("sluice-repod", LOG_INFO);
	if (opt_parse(&spec, argc, argv, &first, &why)) {
		fprintf(stderr, "%s\n", why ? why : "out of memory");
		free(why);
		return 2;
	}
	if (options.help) {
		opt_usage(&spec, stdout);
		return EXIT_SUCCESS;
	}
	if (options.version) {
		puts("sluice-repod " SLUICE_VERSION);
		return EXIT_SUCCESS;
	}
	if (options.verbose)
		log_init("sluice-repod", LOG_DEBUG);
	umask(0022);
	/* Blocked before any thread exists, so that only wait_for_end() ever sees them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	status = run(&options, &repod, &signals);
	waiters_free(repod.waiters);
	jobs_free(repod.jobs);
	jobs_free(repod.slow_jobs);
	publish_stop(repod.publisher);
	db_close(repod.db);
	store_close(repod.store);
	settings_free(repod.settings);
	return status;
}
