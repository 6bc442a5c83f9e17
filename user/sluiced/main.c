/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluiced: options, start-up in order, signals, and the way out. The same program with
 * "--worker" is a worker (relay/worker.c); only the parent says that.
 *
 * Exit codes: 0 ended in order, or the configuration checked is good; 1 could not start or
 * could not go on, or it is not; 2 wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../gate/gate.h"
#include "../lib/log.h"
#include "../lib/opt.h"
#include "../relay/worker.h"
#include "access_log.h"
#include "binder.h"
#include "binder_guard.h"
#include "control.h"
#include "created.h"
#include "discover.h"
#include "doctor.h"
#include "doctor_run.h"
#include "generation.h"
#include "exporter.h"
#include "guard_auto.h"
#include "handover.h"
#include "metrics.h"
#include "notify.h"
#include "origins.h"
#include "ports.h"
#include "rendezvous.h"
#include "rundir.h"
#include "sluiced.h"
#include "state.h"
#include "supervise.h"
#include "tenants.h"
#include "trace.h"
#include "upgrade.h"

#define EXIT_USAGE  2
#define DESCRIPTORS 1048576

struct settings {
	const char *config, *instance, *log_level, *upgrade_from, *tenant;
	bool check_config, check_upgrade, clean, doctor, foreground, version, help;
};

static const char *const log_words[] = { "error", "warning", "info", "debug", NULL };
static const enum log_level log_levels[] = { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

static const struct opt options[] = {
	{ OPT_TEXT, 'c', "config", "FILE", "configuration (default /etc/sluice/sluice.yaml)",
	  offsetof(struct settings, config), 0, 0, NULL },
	{ OPT_TEXT, 'i', "instance", "NAME",
	  "keeps several daemons apart: socket, lock and pins (default \"default\")",
	  offsetof(struct settings, instance), 0, 0, NULL },
	{ OPT_FLAG, 0, "check-config", NULL, "check the configuration and exit",
	  offsetof(struct settings, check_config), 0, 0, NULL },
	{ OPT_FLAG, 0, "clean", NULL, "remove what a sluiced that crashed left, and exit",
	  offsetof(struct settings, clean), 0, 0, NULL },
	{ OPT_FLAG, 0, "check-upgrade", NULL,
	  "say whether this program can take over from the sluiced that runs it",
	  offsetof(struct settings, check_upgrade), 0, 0, NULL },
	{ OPT_FLAG, 0, "doctor", NULL, "look for what is broken, for \"sluice doctor\", and exit",
	  offsetof(struct settings, doctor), 0, 0, NULL },
	{ OPT_TEXT, 0, "tenant", "NAME", "the one that the doctor looks at",
	  offsetof(struct settings, tenant), 0, 0, NULL },
	{ OPT_TEXT, 0, "upgrade-from", "FILE",
	  "the program that an upgrade executes (default: this one's path)",
	  offsetof(struct settings, upgrade_from), 0, 0, NULL },
	{ OPT_FLAG, 'f', "foreground", NULL, "stay in the foreground (it always does)",
	  offsetof(struct settings, foreground), 0, 0, NULL },
	{ OPT_WORD, 0, "log-level", "LEVEL", "how much to log (default info)",
	  offsetof(struct settings, log_level), 0, 0, log_words },
	{ OPT_FLAG, 'V', "version", NULL, "print the version and exit",
	  offsetof(struct settings, version), 0, 0, NULL },
	{ OPT_FLAG, 'h', "help", NULL, "print this and exit", offsetof(struct settings, help), 0, 0,
	  NULL },
};

static enum log_level find_level(const char *word)
{
	int i = 0;

	while (log_words[i] && strcmp(log_words[i], word))
		i++;
	return log_levels[i];
}

static int check_config(const char *path)
{
	struct binding_list bindings = { 0 };
	struct conf *conf;
	char *why = NULL;
	int err = conf_load(path, &conf, &why);

	if (err) {
		fprintf(stderr, "%s\n", why ? why : strerror(-err));
		free(why);
		return EXIT_FAILURE;
	}
	/* One that comes later is no mistake. */
	err = conf->bindings.file ? bindings_load(conf->bindings.file, &bindings, &why) : 0;
	conf_free(conf);
	bindings_free(&bindings);
	if (err && err != -ENOENT)
		fprintf(stderr, "%s\n", why ? why : strerror(-err));
	else
		printf("%s: ok\n", path);
	free(why);
	return err && err != -ENOENT ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What starting would need, and that our state can be read: nothing is changed. */
static int check_upgrade(const struct settings *settings)
{
	struct generation *generation;
	struct state *state;
	char *why = NULL;
	int err = handover_read(UPGRADE_CHECK_FD, &state, &why);

	if (!err) {
		state_free(state);
		err = generation_load(settings->config, 1, &generation, &why);
	}
	if (err) {
		/* The last line is what is told: the first mistake, then. */
		if (why)
			why[strcspn(why, "\n")] = '\0';
		fprintf(stderr, "%s\n", why ? why : strerror(-err));
		free(why);
		return EXIT_FAILURE;
	}
	generation_unref(generation);
	puts(SLUICE_VERSION);
	return EXIT_SUCCESS;
}

static void raise_limits(void)
{
	/* Every listener of every tenant is a descriptor of the parent. */
	struct rlimit files = { DESCRIPTORS, DESCRIPTORS };

	if (!setrlimit(RLIMIT_NOFILE, &files))
		return;
	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur < DESCRIPTORS)
		log_warn("the limit of open files is %llu, which may be too few for many tenants "
			 "or connections; sluiced would take %u",
			 (unsigned long long)files.rlim_cur, DESCRIPTORS);
}

/* ---- signals -------------------------------------------------------------------------------- */

struct signals {
	struct sluiced *sluiced;
	struct loop_watch watch;
	int fd;
};

static void on_signal(struct loop_watch *watch, uint32_t events)
{
	struct signals *signals = container_of(watch, struct signals, watch);
	struct signalfd_siginfo info;
	char *why = NULL;
	int err;

	if (read(signals->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		sluiced_reload(signals->sluiced, &why); /* logs its failure */
		free(why);
		return;
	}
	if (info.ssi_signo == SIGUSR1) {
		access_log_rotate(signals->sluiced, &why); /* likewise */
		free(why);
		return;
	}
	if (info.ssi_signo == SIGUSR2) {
		err = upgrade_begin(signals->sluiced->upgrade);
		if (err)
			log_error("not upgraded: %s", strerror(-err));
		return;
	}
	log_info("%s: detaching everything", strsignal((int)info.ssi_signo));
	loop_stop(&signals->sluiced->loop);
}

static int signals_open(struct signals *signals, struct sluiced *sluiced)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals->sluiced = sluiced;
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0)
		return -errno;
	return loop_watch(&sluiced->loop, &signals->watch, signals->fd, EPOLLIN, on_signal);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Says what failed, once. */
static int complain(int err, const char *what, char *why)
{
	if (err)
		log_text(LOG_ERROR, what, why ? why : strerror(-err));
	free(why);
	return err;
}

/* Ports of the tenant that opens the most. */
static unsigned most_ports(const struct conf *conf)
{
	unsigned most = conf->listen.ports_count;

	for (unsigned i = 0; i < conf->tenants_count; i++)
		if (conf->tenants[i].ports_count > most)
			most = conf->tenants[i].ports_count;
	for (unsigned i = 0; i < conf->discover_count; i++)
		if (conf->discover[i].ports_count > most)
			most = conf->discover[i].ports_count;
	return most;
}

static int open_load(struct sluiced *sluiced)
{
	const struct conf *conf = sluiced->generation->conf;
	unsigned workers = sluiced->generation->nworkers;
	const struct gate_load_settings settings = {
		.interfaces = conf->limits.tenants,
		/* relay.workers may grow, the map cannot. */
		.listeners = most_ports(conf) * 2 * (workers < 8 ? 8 : workers),
		.bindings = conf->limits.bindings * BINDER_GUARD_KEYS,
	};
	char *why = NULL;
	int err;

	err = gate_load_open(sluiced->instance, &settings, &sluiced->load, &why);
	return complain(err, "BPF programs", why);
}

static int start_modules(struct sluiced *sluiced, struct state *state)
{
	int control = state ? state->control_fd : -1;
	char *why = NULL;
	int err = origins_new(sluiced, &sluiced->origins);

	if (!err)
		err = origins_manage(sluiced->origins, &sluiced->generation->conf->management,
				     &why);
	if (err)
		return complain(err, "management namespace", why);
	err = ports_new(sluiced, &sluiced->ports, &why);
	if (err)
		return complain(err, "port bindings", why);
	err = binder_new(sluiced, &sluiced->binder);
	if (!err)
		err = tenants_new(sluiced, &sluiced->tenants);
	if (!err)
		err = supervise_new(sluiced, &sluiced->supervise);
	if (!err)
		err = guard_auto_new(sluiced, &sluiced->guard);
	if (!err)
		err = created_new(sluiced, &sluiced->created);
	if (!err)
		err = discover_new(sluiced, &sluiced->discover);
	if (!err)
		err = handover_new(sluiced, &sluiced->handover);
	if (!err)
		err = doctor_run_new(sluiced, &sluiced->doctor);
	if (!err)
		err = metrics_new(sluiced, &sluiced->metrics);
	if (!err)
		err = trace_new(sluiced, &sluiced->trace);
	if (!err) {
		if (state)
			state->control_fd = -1;
		err = control_new(sluiced, control, &sluiced->control);
	}
	return complain(err, "start", NULL);
}

/*
 * taken: what an earlier parent left is ours, so it is ours to remove. Before that, whoever
 * starts next must find it as it is.
 */
static void stop_modules(struct sluiced *sluiced, bool taken)
{
	upgrade_free(sluiced->upgrade);
	control_free(sluiced->control);
	doctor_run_free(sluiced->doctor);
	metrics_free(sluiced->metrics);
	discover_free(sluiced->discover);
	created_free(sluiced->created);
	tenants_detach_all(sluiced->tenants);
	supervise_free(sluiced->supervise);
	handover_free(sluiced->handover, taken);
	tenants_free(sluiced->tenants);
	trace_free(sluiced->trace);
	ports_free(sluiced->ports);
	binder_free(sluiced->binder);
	guard_auto_free(sluiced->guard);
	origins_free(sluiced->origins);
	if (sluiced->load && taken && gate_load_unpin(sluiced->load))
		log_error("cannot remove all pins in %s", gate_load_pin_dir(sluiced->load));
	gate_load_close(sluiced->load);
	generation_unref(sluiced->generation);
}

/* The file's configuration; when that is wrong, a successor goes on with the one in force. */
static int load_configuration(struct sluiced *sluiced, struct state *state)
{
	uint32_t number = state ? state->generation + 1 : 1;
	char *why = NULL;
	int err = generation_load(sluiced->conf_path, number, &sluiced->generation, &why);

	complain(err, "configuration", why);
	for (unsigned i = 0; err && state && i < state->ngenerations; i++) {
		struct state_generation copy = state->generations[i];

		if (copy.number != state->generation || copy.conf_fd < 0)
			continue;
		/* Its workers' own is taken over later. */
		copy.conf_fd = fcntl(copy.conf_fd, F_DUPFD_CLOEXEC, 3);
		copy.access_fd = -1;
		err = generation_adopt(&copy, &sluiced->generation);
		if (!err)
			log_warn("going on with the configuration in force");
	}
	return err;
}

static bool is_attached(const struct sl_iface_key *key, void *arg)
{
	struct sluiced *sluiced = arg;

	return sluiced->tenants && tenants_by_iface(sluiced->tenants, key);
}

/* What a crashed parent left is not taken over but ended. The pins go as they always do. */
static int clean(struct sluiced *sluiced)
{
	int ended = handover_discard(sluiced->run_dir);
	int err = gate_clean_stale(sluiced->load, is_attached, sluiced);
	char path[sizeof(sluiced->run_dir) + sizeof("/control.sock")];

	doctor_run_sweep(sluiced->run_dir);
	snprintf(path, sizeof(path), "%s/control.sock", sluiced->run_dir);
	unlink(path);
	if (err < 0)
		return complain(err, "cleaning up after an earlier sluiced", NULL);
	log_info("%d workers ended, %d interfaces cleaned", ended, err);
	return 0;
}

/* Takes over what there is, then makes everything as it shall be. */
static int begin(struct sluiced *sluiced, struct state *state)
{
	int err;

	if (state)
		handover_adopt(sluiced, state);
	doctor_run_sweep(sluiced->run_dir);
	ports_begin(sluiced->ports);
	err = gate_clean_stale(sluiced->load, is_attached, sluiced);
	if (err > 0)
		log_info("an earlier sluiced did not end in order: %d interfaces cleaned", err);
	if (err < 0)
		return complain(err, "cleaning up after an earlier sluiced", NULL);
	tenants_apply(sluiced->tenants);
	supervise_apply(sluiced->supervise);
	tenants_retry(sluiced->tenants);
	created_resume(sluiced->created);
	discover_apply(sluiced->discover);
	metrics_apply(sluiced->metrics);
	handover_touch(sluiced->handover);
	log_info("sluiced " SLUICE_VERSION ": instance %s serves %u tenants with %u workers",
		 sluiced->instance, tenants_count(sluiced->tenants), sluiced->generation->nworkers);
	notify_ready(&sluiced->loop);
	return 0;
}

static int run(struct sluiced *sluiced, struct state *state, const struct settings *settings,
	       char **argv)
{
	struct signals signals = { .fd = -1, .watch.fd = -1 };
	bool taken = false;
	int err = loop_init(&sluiced->loop);

	if (err)
		return complain(err, "event loop", NULL);
	err = complain(signals_open(&signals, sluiced), "signals", NULL);
	if (!err)
		err = complain(
			upgrade_new(sluiced,
				    settings->upgrade_from ? settings->upgrade_from : argv[0], argv,
				    &sluiced->upgrade),
			"finding out what to execute in an upgrade", NULL);
	if (!err)
		err = load_configuration(sluiced, state);
	if (!err)
		err = open_load(sluiced);
	if (!err && !settings->clean)
		err = start_modules(sluiced, state);
	if (!err) {
		taken = true;
		err = settings->clean ? clean(sluiced) : begin(sluiced, state);
	}
	if (!err && !settings->clean) {
		err = complain(loop_run(&sluiced->loop), "event loop", NULL);
		notify_stopping(&sluiced->loop);
	}
	stop_modules(sluiced, taken || !state);
	if (signals.fd >= 0)
		close(signals.fd);
	loop_free(&sluiced->loop);
	return err;
}

static void close_on_exec(int *fd, void *arg)
{
	if (*fd >= 0)
		fcntl(*fd, F_SETFD, FD_CLOEXEC);
}

/* The state that our former self left us, or NULL. */
static struct state *inherit_state(const char *number)
{
	int fd = (int)strtol(number, NULL, 10);
	struct state *state = NULL;
	char *why = NULL;
	int err = handover_read(fd, &state, &why);

	close(fd);
	if (complain(err, "the state of the program before this one", why))
		return NULL;
	state_each_fd(state, close_on_exec, NULL);
	return state;
}

/* 0 with the lock taken, or an exit status. */
static int take_instance(const struct settings *settings, struct sluiced *sluiced)
{
	pid_t holder = 0;
	int err = rundir_open(settings->instance, sluiced->run_dir, sizeof(sluiced->run_dir),
			      &sluiced->lock, &holder);

	if (err == -EWOULDBLOCK)
		log_error("instance %s is served by process %d already; end it or choose another "
			  "--instance",
			  settings->instance, holder);
	else if (err)
		log_error("/run/sluice/%s: %s", settings->instance, strerror(-err));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int serve(const struct settings *settings, char **argv)
{
	struct sluiced sluiced = {
		.instance = settings->instance,
		.conf_path = settings->config,
		.started_ms = loop_now(),
		.lock = -1,
		.loop.epoll = -1,
	};
	const char *inherited = getenv(UPGRADE_ENV);
	struct state *state = inherited ? inherit_state(inherited) : NULL;
	int err;

	unsetenv(UPGRADE_ENV);
	if (geteuid() != 0) {
		log_error("sluiced enters network namespaces and loads BPF programs: run it as "
			  "root (\"--check-config\" needs no rights)");
		return EXIT_FAILURE;
	}
	raise_limits();
	if (state) {
		sluiced.lock = state->lock_fd;
		state->lock_fd = -1;
		rundir_path(settings->instance, sluiced.run_dir, sizeof(sluiced.run_dir));
	} else {
		if (take_instance(settings, &sluiced))
			return EXIT_FAILURE;
		if (!settings->clean)
			state = handover_find(sluiced.run_dir);
	}
	err = run(&sluiced, state, settings, argv);
	state_free(state);
	rundir_close(sluiced.run_dir, sluiced.lock);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.config = "/etc/sluice/sluice.yaml",
		.instance = "default",
		.log_level = "info",
	};
	const struct opt_spec spec = {
		.program = "sluiced",
		.summary = "Carries requests of tenants' machines to services in the management "
			   "network.",
		.help = "sluiced --help",
		.groups = { { "Options", options, sizeof(options) / sizeof(options[0]),
			      &settings } },
	};
	char *why = NULL;
	int first;

	if (argc == 2 && !strcmp(argv[1], "--worker"))
		return worker_main();
	if (argc == 2 && !strcmp(argv[1], "--exporter"))
		return exporter_main();
	log_init("sluiced", LOG_INFO);
	if (opt_parse(&spec, argc, argv, &first, &why)) {
		fprintf(stderr, "%s\n", why ? why : "sluiced: out of memory");
		free(why);
		return EXIT_USAGE;
	}
	if (settings.help) {
		opt_usage(&spec, stdout);
		return EXIT_SUCCESS;
	}
	if (settings.version) {
		puts("sluiced " SLUICE_VERSION);
		return EXIT_SUCCESS;
	}
	if (!rundir_instance_valid(settings.instance)) {
		fprintf(stderr, "sluiced: --instance takes up to 32 letters, digits, '-' "
				"and '_'\n");
		return EXIT_USAGE;
	}
	log_init("sluiced", find_level(settings.log_level));
	if (settings.check_config)
		return check_config(settings.config);
	if (settings.check_upgrade)
		return check_upgrade(&settings);
	if (settings.doctor)
		return doctor_main(settings.instance, settings.tenant, settings.config);
	return serve(&settings, argv);
}
