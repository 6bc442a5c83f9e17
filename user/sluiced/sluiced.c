/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of the parent: the lock, or what a parent before it left; programs and modules, in the
 * order in which they need each other; the loop, until a signal; and the way out.
 *
 *   an earlier parent ──▶ state ────┐
 *   configuration ──▶ generation ───┴▶ modules ──▶ loop
 */
#include "sluiced.h"

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
#include "access_log.h"
#include "binder.h"
#include "binder_guard.h"
#include "control.h"
#include "created.h"
#include "discover.h"
#include "doctor_run.h"
#include "generation.h"
#include "guard_auto.h"
#include "handover.h"
#include "metrics.h"
#include "notify.h"
#include "origins.h"
#include "ports.h"
#include "rundir.h"
#include "state.h"
#include "supervise.h"
#include "tenants.h"
#include "trace.h"
#include "upgrade.h"

#define DESCRIPTORS 1048576

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

/* Nobody is left who could go on with maps of another layout: this program begins without them. */
static int take_relics(struct sluiced *sluiced, struct relics *ret)
{
	int err = relics_take(sluiced->instance, ret);

	if (!err && ret->layout)
		log_warn("an earlier sluiced left maps of layout %u, this one has %u: they are "
			 "removed, with the filters on %zu interfaces",
			 ret->layout, SL_ABI_VERSION, ret->count);
	return complain(err, "removing what an earlier version pinned", NULL);
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
		const struct state_generation *from = &state->generations[i];

		if (from->number != state->generation || from->conf_fd < 0)
			continue;
		err = generation_resume(from, number, &sluiced->generation);
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
static int clean(struct sluiced *sluiced, const struct relics *relics)
{
	int ended = handover_discard(sluiced->run_dir);
	int err = gate_clean_stale(sluiced->load, relics, is_attached, sluiced);
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
static int begin(struct sluiced *sluiced, struct state *state, const struct relics *relics)
{
	int err;

	if (state) {
		handover_adopt(sluiced, state);
		notify_alive();
	}
	doctor_run_sweep(sluiced->run_dir);
	ports_begin(sluiced->ports);
	err = gate_clean_stale(sluiced->load, relics, is_attached, sluiced);
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

static int run(struct sluiced *sluiced, struct state *state, const struct sluiced_options *options,
	       char **argv)
{
	struct signals signals = { .fd = -1, .watch.fd = -1 };
	struct relics relics = { 0 };
	bool taken = false;
	int err = loop_init(&sluiced->loop);

	if (err)
		return complain(err, "event loop", NULL);
	err = complain(signals_open(&signals, sluiced), "signals", NULL);
	if (!err)
		err = complain(upgrade_new(sluiced,
					   options->upgrade_from ? options->upgrade_from : argv[0],
					   argv, &sluiced->upgrade),
			       "finding out what to execute in an upgrade", NULL);
	if (!err)
		err = load_configuration(sluiced, state);
	if (!err && !state)
		err = take_relics(sluiced, &relics);
	if (!err)
		err = open_load(sluiced);
	if (!err && !options->clean)
		err = start_modules(sluiced, state);
	if (!err) {
		taken = true;
		err = options->clean ? clean(sluiced, &relics) : begin(sluiced, state, &relics);
	}
	relics_free(&relics);
	if (!err && !options->clean) {
		err = complain(loop_run(&sluiced->loop), "event loop", NULL);
		notify_stopping(&sluiced->loop);
	}
	stop_modules(sluiced, taken || !state);
	if (signals.fd >= 0)
		close(signals.fd);
	loop_free(&sluiced->loop);
	return err;
}

/* ---- one of an instance -----------------------------------------------------------------------
 */

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
static int take_instance(const struct sluiced_options *options, struct sluiced *sluiced)
{
	pid_t holder = 0;
	int err = rundir_open(options->instance, sluiced->run_dir, sizeof(sluiced->run_dir),
			      &sluiced->lock, &holder);

	if (err == -EWOULDBLOCK)
		log_error("instance %s is served by process %d already; end it or choose another "
			  "--instance",
			  options->instance, holder);
	else if (err)
		log_error("/run/sluice/%s: %s", options->instance, strerror(-err));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
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

int sluiced_main(const struct sluiced_options *options, char **argv)
{
	struct sluiced sluiced = {
		.instance = options->instance,
		.conf_path = options->conf_path,
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
		rundir_path(options->instance, sluiced.run_dir, sizeof(sluiced.run_dir));
	} else {
		if (take_instance(options, &sluiced))
			return EXIT_FAILURE;
		if (!options->clean)
			state = handover_find(sluiced.run_dir);
	}
	err = run(&sluiced, state, options, argv);
	state_free(state);
	rundir_close(sluiced.run_dir, sluiced.lock);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
