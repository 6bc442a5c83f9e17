/* SPDX-License-Identifier: BSD-2-Clause */
/* plan, apply, retry, rollback, uninstall: what is to be, planned, refused or carried out. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "../lib/fault.h"
#include "../lib/file.h"
#include "../lib/opt.h"
#include "runs.h"

#define FILE_MAX (1024 * 1024)

static struct values {
	const char *file, *bundle, *mode, *run;
	bool upgrade, failed, quiet;
	uint32_t wait;
} values = { .wait = STATE_AWAIT };

#define FILE_OPTION                                                                                \
	{                                                                                          \
		OPT_TEXT, 'f', "file", "FILE", "cluster file (default: STATE/cluster.yaml)",       \
			offsetof(struct values, file), 0, 0, NULL                                  \
	}
#define BUNDLE_OPTION                                                                              \
	{                                                                                          \
		OPT_TEXT, 'b', "bundle", "FILE", "bundle (default: the last one)",                 \
			offsetof(struct values, bundle), 0, 0, NULL                                \
	}
#define UPGRADE_OPTION                                                                             \
	{                                                                                          \
		OPT_FLAG, 'u', "upgrade", NULL, "packages that are there may become newer",        \
			offsetof(struct values, upgrade), 0, 0, NULL                               \
	}
#define WAIT_OPTION                                                                                \
	{                                                                                          \
		OPT_NUMBER, 'w', "wait", "SECONDS", "for agents to answer (default 20)",           \
			offsetof(struct values, wait), 1, 600, NULL                                \
	}
#define MODE_OPTION                                                                                \
	{                                                                                          \
		OPT_WORD, 'm', "mode", "MODE", "how the bundle travels",                           \
			offsetof(struct values, mode), 0, 0, config_mode_names                     \
	}
#define QUIET_OPTION                                                                               \
	{                                                                                          \
		OPT_FLAG, 'q', "quiet", NULL, "only the report", offsetof(struct values, quiet),   \
			0, 0, NULL                                                                 \
	}

static const struct opt plan_options[] = { FILE_OPTION, BUNDLE_OPTION, UPGRADE_OPTION, WAIT_OPTION,
					   MODE_OPTION };
static const struct opt apply_options[] = { FILE_OPTION, BUNDLE_OPTION, UPGRADE_OPTION,
					    WAIT_OPTION, MODE_OPTION,	QUIET_OPTION };
static const struct opt retry_options[] = {
	{ OPT_FLAG, 0, "failed", NULL, "only nodes that are not done",
	  offsetof(struct values, failed), 0, 0, NULL },
	UPGRADE_OPTION,
	WAIT_OPTION,
	MODE_OPTION,
	QUIET_OPTION,
};
static const struct opt rollback_options[] = {
	{ OPT_TEXT, 'r', "run", "ID", "default: the last apply", offsetof(struct values, run), 0, 0,
	  NULL },
	WAIT_OPTION,
	QUIET_OPTION,
};
static const struct opt uninstall_options[] = { WAIT_OPTION, QUIET_OPTION };

#define COUNT(options) (sizeof(options) / sizeof((options)[0]))

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	interrupted = 1;
}

/* One run at a time. */
static int lock_state(const struct cluster *cluster)
{
	int fd = open(cluster_path(cluster, "lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	cluster_complain("%s: another run is under way", cluster_path(cluster, "lock"));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Does anything forbid the plan? Nodes that do not answer only count against max_failed. */
static bool refused(const json_t *plan, const struct config *config)
{
	size_t absent = 0, problems = json_array_size(json_object_get(plan, "problems")), i;
	const json_t *node;

	json_array_foreach (json_object_get(plan, "nodes"), i, node) {
		if (json_is_true(json_object_get(node, "reachable")))
			problems += json_array_size(json_object_get(node, "problems"));
		else
			absent++;
	}
	return problems || absent > config->max_failed;
}

static struct plan_options make_options(char **arguments, unsigned count)
{
	return (struct plan_options){
		.bundle = values.bundle,
		.upgrade = values.upgrade,
		.failed_only = values.failed,
		.nodes = arguments,
		.nodes_count = count,
		.wait = values.wait,
	};
}

/* From the words given, the cluster file, or how many nodes there are; the plan says it. */
static enum config_mode choose_mode(const struct config *config, json_t *plan)
{
	enum config_mode mode = config->mode;

	for (unsigned i = 0; values.mode && i < CONFIG_MODES; i++)
		if (!strcmp(values.mode, config_mode_names[i]))
			mode = i;
	if (mode == CONFIG_AUTO)
		mode = json_array_size(json_object_get(plan, "nodes")) > CONFIG_SWARM_ABOVE
			       ? CONFIG_SWARM
			       : CONFIG_PARALLEL;
	json_object_set_new(plan, "mode", json_string(config_mode_names[mode]));
	return mode;
}

static enum cluster_exit run_plan(struct cluster *cluster, char **arguments, unsigned count)
{
	struct plan_options options = make_options(arguments, count);
	struct config *config = cluster_config(cluster, values.file);
	enum cluster_exit status = CLUSTER_ERROR;
	struct bundle *bundle = NULL;
	char *path = NULL;
	json_t *plan = NULL;

	if (!config)
		return CLUSTER_USAGE;
	bundle = plan_bundle(cluster, options.bundle, &path);
	if (bundle)
		plan = plan_make(cluster, config, bundle, &options);
	if (plan) {
		choose_mode(config, plan);
		status = refused(plan, config) ? CLUSTER_REFUSED : CLUSTER_DONE;
		if (cluster->json)
			cluster_print(json_incref(plan));
		else
			plan_show(plan);
	}
	json_decref(plan);
	bundle_close(bundle);
	free(path);
	config_free(config);
	return status;
}

static int follow(struct schedule *schedule)
{
	struct timespec pause = { 0, SCHEDULE_LOOK_MS * 1000000 };
	struct sigaction action = { .sa_handler = on_interrupt };
	struct watch watch;
	int err;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	watch_begin(&watch, schedule->cluster->json || values.quiet);
	do {
		err = schedule_step(schedule);
		if (err)
			break;
		watch_show(&watch, schedule);
		if (schedule_done(schedule))
			break;
		nanosleep(&pause, NULL);
	} while (!interrupted);
	watch_end(&watch);
	return err;
}

static enum cluster_exit carry_out(struct cluster *cluster, const struct config *config,
				   const json_t *plan, enum config_mode mode, const char *kind)
{
	enum cluster_exit status = CLUSTER_ERROR;
	struct schedule schedule;
	json_t *report;
	int err = schedule_begin(&schedule, cluster, config, plan, mode);

	if (!err)
		err = runs_begin(&schedule, kind);
	if (!err)
		err = follow(&schedule);
	if (err) {
		cluster_complain("%s: %s", kind,
				 err == -EMSGSIZE ? "a node's document is too large: fewer "
						    "variables or items"
						  : strerror(-err));
		schedule_end(&schedule);
		return status;
	}
	report = runs_end(&schedule, kind);
	if (interrupted)
		cluster_complain("interrupted; what was released goes on; run it again to follow");
	if (report) {
		status = !strcmp(json_string_value(json_object_get(report, "state")), "done") &&
					 !interrupted
				 ? CLUSTER_DONE
				 : CLUSTER_FAILED;
		if (cluster->json)
			cluster_print(json_incref(report));
		else
			runs_show(report);
	}
	json_decref(report);
	schedule_end(&schedule);
	return status;
}

/* From now on this is the bundle, and no older one. */
static int remember(struct cluster *cluster, const json_t *plan, const char *path)
{
	const json_t *bundle = json_object_get(plan, "bundle");
	char version[24], *text = NULL;
	int err = 0;

	snprintf(version, sizeof(version), "%lld",
		 (long long)json_integer_value(json_object_get(bundle, "version")));
	if (values.file && !(err = file_read(values.file, FILE_MAX, &text, NULL)))
		err = file_write(cluster_path(cluster, "cluster.yaml"), text, strlen(text), 0644);
	free(text);
	if (!err)
		err = state_begin(&cluster->state);
	if (err)
		return err;
	err = state_meta_set(&cluster->state, "bundle", path);
	if (!err)
		err = state_meta_set(&cluster->state, "bundle_name",
				     json_string_value(json_object_get(bundle, "name")));
	if (!err)
		err = state_meta_set(&cluster->state, "bundle_version", version);
	if (!err)
		err = state_meta_set(&cluster->state, "manifest",
				     json_string_value(json_object_get(bundle, "manifest")));
	fault_point("bundle");
	err = state_end(&cluster->state, err);
	fault_point("bundle-remembered");
	return err;
}

static enum cluster_exit refuse(const struct cluster *cluster, const json_t *plan)
{
	if (cluster->json)
		cluster_print(json_pack("{s:s, s:O}", "state", "refused", "plan", plan));
	else
		plan_show(plan);
	cluster_complain("refused for the problems above; nothing was changed");
	return CLUSTER_REFUSED;
}

static enum cluster_exit install(struct cluster *cluster, char **arguments, unsigned count,
				 const char *kind)
{
	struct plan_options options = make_options(arguments, count);
	struct config *config = cluster_config(cluster, values.file);
	enum cluster_exit status = CLUSTER_ERROR;
	int lock = config ? lock_state(cluster) : -1;
	enum config_mode mode = CONFIG_AUTO;
	struct bundle *bundle = NULL;
	json_t *plan = NULL;
	char *path = NULL;
	int err;

	if (!config)
		return CLUSTER_USAGE;
	if (lock >= 0)
		bundle = plan_bundle(cluster, options.bundle, &path);
	if (bundle)
		plan = plan_make(cluster, config, bundle, &options);
	if (plan)
		mode = choose_mode(config, plan);
	if (plan && refused(plan, config)) {
		status = refuse(cluster, plan);
	} else if (plan) {
		err = remember(cluster, plan, path);
		if (err)
			cluster_complain("%s: %s", cluster->directory, strerror(-err));
		else
			status = carry_out(cluster, config, plan, mode, kind);
	}
	json_decref(plan);
	bundle_close(bundle);
	free(path);
	config_free(config);
	if (lock >= 0)
		close(lock);
	return status;
}

static enum cluster_exit run_apply(struct cluster *cluster, char **arguments, unsigned count)
{
	return install(cluster, arguments, count, "apply");
}

static enum cluster_exit run_retry(struct cluster *cluster, char **arguments, unsigned count)
{
	return install(cluster, arguments, count, "retry");
}

static enum cluster_exit take_away(struct cluster *cluster, char **arguments, unsigned count,
				   const json_t *run, const char *kind)
{
	struct plan_options options = make_options(arguments, count);
	struct config *config = cluster_config(cluster, NULL);
	enum cluster_exit status = CLUSTER_ERROR;
	int lock = config ? lock_state(cluster) : -1;
	json_t *plan = NULL, *last = runs_read(cluster, NULL, "apply");

	if (lock >= 0)
		plan = plan_removal(cluster, config, json_object_get(run, "plan"),
				    json_object_get(last, "plan"), &options);
	if (plan)
		status = refused(plan, config)
				 ? refuse(cluster, plan)
				 : carry_out(cluster, config, plan, CONFIG_PARALLEL, kind);
	json_decref(plan);
	json_decref(last);
	config_free(config);
	if (lock >= 0)
		close(lock);
	return config ? status : CLUSTER_USAGE;
}

/* What a run changed but did not add stays: said, not hidden. */
static void say_kept(const json_t *run)
{
	const json_t *nodes = json_object_get(json_object_get(run, "plan"), "nodes"), *node, *entry;
	size_t i, k;

	json_array_foreach (nodes, i, node)
		json_array_foreach (json_object_get(node, "items"), k, entry) {
			const char *action = json_string_value(json_object_get(entry, "action"));

			if (strcmp(action, "change") && strcmp(action, "remove"))
				continue;
			cluster_complain("%s: %s was there before: its %s cannot be undone",
					 json_string_value(json_object_get(node, "name")),
					 json_string_value(json_object_get(entry, "name")), action);
		}
}

static enum cluster_exit run_rollback(struct cluster *cluster, char **arguments, unsigned count)
{
	json_t *run = runs_read(cluster, values.run, "apply");
	enum cluster_exit status;

	if (!run) {
		cluster_complain(
			"%s", values.run
				      ? "there is no such run; see: sluice-cluster report --list"
				      : "nothing was applied yet: there is nothing to roll back");
		return CLUSTER_ERROR;
	}
	say_kept(run);
	status = take_away(cluster, arguments, count, run, "rollback");
	json_decref(run);
	return status;
}

static enum cluster_exit run_uninstall(struct cluster *cluster, char **arguments, unsigned count)
{
	return take_away(cluster, arguments, count, NULL, "uninstall");
}

#define COMMAND(word, words, text, table, function)                                                \
	const struct cluster_command command_##word = {                                            \
		.name = #word,                                                                     \
		.arguments = words,                                                                \
		.summary = text,                                                                   \
		.most = CONFIG_NODES_MAX,                                                          \
		.options = table,                                                                  \
		.options_count = COUNT(table),                                                     \
		.values = &values,                                                                 \
		.run = function,                                                                   \
	}

COMMAND(plan, "[NODE]...", "what apply would change, node by node", plan_options, run_plan);
COMMAND(apply, "[NODE]...", "make the nodes what the cluster file says", apply_options, run_apply);
COMMAND(retry, "[NODE]...", "apply again, with the last bundle", retry_options, run_retry);
COMMAND(rollback, "[NODE]...", "take away what the last apply added", rollback_options,
	run_rollback);
COMMAND(uninstall, "[NODE]...", "take away everything that was installed", uninstall_options,
	run_uninstall);
