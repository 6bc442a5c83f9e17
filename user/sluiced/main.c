/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluiced: options, and what of its jobs they ask for: to serve (sluiced.c), to check, to look for
 * what is broken. The same program with "--worker" is a worker (relay/worker.c), with "--exporter"
 * the one that answers Prometheus; only the parent says that.
 *
 * Exit codes: 0 ended in order, or the configuration checked is good; 1 could not start or
 * could not go on, or it is not; 2 wrong usage.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/binding.h"
#include "../lib/log.h"
#include "../lib/opt.h"
#include "../relay/worker.h"
#include "doctor.h"
#include "exporter.h"
#include "generation.h"
#include "handover.h"
#include "rundir.h"
#include "sluiced.h"
#include "state.h"
#include "upgrade.h"

#define EXIT_USAGE 2

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

static int serve(const struct settings *settings, char **argv)
{
	const struct sluiced_options how = {
		.conf_path = settings->config,
		.instance = settings->instance,
		.upgrade_from = settings->upgrade_from,
		.clean = settings->clean,
	};

	return sluiced_main(&how, argv);
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
