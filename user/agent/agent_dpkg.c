/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What dpkg was cut off in, by a kill, a power loss or somebody else's hand. It is found in
 * dpkg-query's words and finished before an operation, which apt-get would refuse, or end well
 * without having done it.
 */
#include "agent_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/child.h"
#include "../lib/name.h"
#include "../lib/spawn.h"

#define LOCK_TRIES 150 /* of 2 s */
#define QUERY	   600 /* seconds */

/* Nothing that apt-get could take for an option, a removal ("x-") or another package's name. */
static bool torn_name_valid(const char *name)
{
	size_t len = strcspn(name, ":");

	return len && strlen(name) < sizeof(((struct torn *)NULL)->name) &&
	       !strspn(name, "+-.:_") &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789+-._:")] &&
	       name[len - 1] != '-' && (name[len - 1] != '+' || name[len - 2] == '+');
}

/* The place of a word in a list that ends with NULL, or -1. */
static int place(const char *const *list, const char *word)
{
	for (int i = 0; word && list[i]; i++)
		if (!strcmp(list[i], word))
			return i;
	return -1;
}

/* "install half-installed reinstreq libc6:amd64 amd64" */
static void read_torn(struct run *run, char *line)
{
	static const char *const wants[] = { "unknown",	  "install", "hold",
					     "deinstall", "purge",   NULL };
	static const char *const flags[] = { "ok", "reinstreq", NULL };
	char *save, *wanted = strtok_r(line, " ", &save), *state = strtok_r(NULL, " ", &save);
	char *flagged = strtok_r(NULL, " ", &save), *name = strtok_r(NULL, " ", &save);
	char *architecture = strtok_r(NULL, " ", &save);
	int want = place(wants, wanted), flag = place(flags, flagged);
	struct torn *torn = &run->torn[run->torn_count];

	if (want < 0 || flag < 0 || !name || !torn_name_valid(name) || strtok_r(NULL, "", &save) ||
	    run->torn_count == TORN_MAX || (!flag && strcmp(state, "half-installed") != 0))
		return;
	strcpy(torn->name, name);
	torn->said = strlen(name);
	if (architecture && (!strcmp(architecture, "all") || !strcmp(architecture, run->native)))
		torn->said = strcspn(name, ":");
	torn->gone = false;
	torn->wanted = want < place(wants, "deinstall");
	torn->incomplete = flag;
	run->torn_count++;
}

static void dpkg_begin(struct run *run, const struct agent_options *options, const char *program)
{
	char *word = run->room[0];

	run->argc = run->made = 0;
	run_add(run, program);
	if (!options->root)
		return;
	snprintf(word, sizeof(run->room[0]), "--root=%s", options->root);
	run_add(run, word);
}

static void dpkg_write_begin(struct run *run, const struct agent_options *options)
{
	dpkg_begin(run, options, "dpkg");
	if (!options->root)
		return;
	run_add(run, "--force-not-root");
	snprintf(run->room[1], sizeof(run->room[1]), "--log=%s/var/log/dpkg.log", options->root);
	run_add(run, run->room[1]);
}

static bool is_locked(int err, const char *log)
{
	char last[300];

	/* dpkg: by "another process" or "apt-get process", as its version has it. */
	if (err == 2)
		return strstr(log, " locked by ");
	/* apt-get, and not a package's script that calls it. */
	child_last_line(log, last, sizeof(last));
	return err == 100 && strstr(last, ", is another process using it?");
}

/*
 * Waits while another dpkg is at work, perhaps our own that outlived a killed agent, or one that
 * began after apt-get update. -EBUSY: it still is. -ECANCELED: this agent is to end, which may be
 * what that dpkg waits for.
 */
static int execute_unlocked(struct run *run)
{
	char *log = run->result->log, before[sizeof(run->result->log)];
	bool locked;
	int err;

	strcpy(before, log);
	for (unsigned i = 0;; i++) {
		log[0] = '\0';
		err = run_execute(run, run_read_status);
		locked = is_locked(err, log);
		if (!locked || i == LOCK_TRIES || agent_ending)
			break;
		sleep(2);
	}
	child_keep(before, AGENT_LOG_MAX, log, strlen(log));
	strcpy(log, before);
	if (!locked)
		return err;
	strcpy(run->error, "another program holds dpkg's lock");
	return agent_ending ? -ECANCELED : -EBUSY;
}

static void ask_native(struct run *run)
{
	static const char *const argv[] = { "dpkg", "--print-architecture", NULL };
	const struct spawn spawn = { .argv = argv, .output = -1, .timeout = QUERY };
	char *text = NULL, *why = NULL;

	if (spawn_run(&spawn, &text, &why))
		run_note(run, why ? why : "dpkg: out of memory or files");
	else
		snprintf(run->native, sizeof(run->native), "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
	free(why);
}

static void find_torn(struct run *run, const struct agent_options *options)
{
	int fd = memfd_create("dpkg-query", MFD_CLOEXEC);
	const struct spawn spawn = { .argv = run->argv, .output = fd, .timeout = QUERY };
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL, *why = NULL;
	size_t size = 0;

	run->torn_count = 0;
	if (!*run->native)
		ask_native(run);
	dpkg_begin(run, options, "dpkg-query");
	run_add(run, "-W");
	run_add(run, "-f=${db:Status-Want} ${db:Status-Status} ${db:Status-Eflag} "
		     "${binary:Package} ${Architecture}\n");
	run->argv[run->argc] = NULL;
	if (!file || spawn_run(&spawn, NULL, &why)) {
		run_note(run, why ? why : "dpkg-query: out of memory or files");
	} else {
		rewind(file);
		while (getline(&line, &size, file) > 0) {
			line[strcspn(line, "\n")] = '\0';
			read_torn(run, line);
		}
	}
	free(line);
	free(why);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
}

/*
 * What a kill or a power loss left half-configured, dpkg finishes first. Whatever was cut short,
 * another operation or somebody else's: apt-get would refuse every one from then on.
 */
int dpkg_recover(struct run *run, const struct agent_options *options)
{
	char last[200];
	int err;

	dpkg_write_begin(run, options);
	run_add(run, "--force-confold");
	run_add(run, "--configure");
	run_add(run, "-a");
	err = execute_unlocked(run);
	if (err == -EBUSY || err == -ECANCELED)
		return err;
	if (!err) {
		/* At once: what is half unpacked now is nobody's who is still at it. */
		find_torn(run, options);
		return 0;
	}
	child_last_line(run->result->log, last, sizeof(last));
	snprintf(run->left, sizeof(run->left), "dpkg --configure -a failed: %.250s",
		 *run->error ? run->error : last + strspn(last, " "));
	run_note(run, "dpkg --configure -a failed: what is half unpacked is left as it is");
	return 0;
}

/* What an operation says of a package, "name" or "name=version"; NULL: nothing. */
static const char *ordered(const json_t *operation, const char *name, size_t len)
{
	const json_t *package;
	size_t i;

	json_array_foreach (json_object_get(operation, "packages"), i, package) {
		const char *word = json_string_value(package);

		if (strcspn(word, "=") == len && !strncmp(word, name, len))
			return word;
	}
	return NULL;
}

/* Of the version that is asked for: the newest may be newer than what apt-get would go back from.
 */
static int unpack_again(struct run *run, const struct agent_options *options,
			const json_t *operation, const char *name)
{
	const char *word = ordered(operation, name, strcspn(name, ":"));
	const char *version = word ? strchr(word, '=') : NULL;
	char text[sizeof(run->torn->name) + NAME_MAX_LEN + 2];

	snprintf(text, sizeof(text), "%s%s", name, version ? version : "");
	run_apt_begin(run, options, false);
	/* It would wait also when this agent is to end. The last one said counts. */
	run_add(run, "-o");
	run_add(run, "DPkg::Lock::Timeout=0");
	run_add(run, "install");
	run_add(run, "--reinstall");
	run_add(run, text);
	return execute_unlocked(run);
}

/* All that there is of it: nothing can make it whole any more. */
static int remove_torn(struct run *run, const struct agent_options *options, const char *name)
{
	dpkg_write_begin(run, options);
	run_add(run, "--force-remove-reinstreq");
	run_add(run, "--remove");
	run_add(run, name);
	return execute_unlocked(run);
}

/*
 * What was cut off while it was unpacked, apt-get takes for installed, and dpkg does not remove.
 * One that is of another repository stays as it is, and keeps no other from being mended; apt-get
 * may end well all the same. One that was to go anyway is not installed again, nor removed, unless
 * that is ordered, of its architecture.
 */
int dpkg_mend(struct run *run, const struct agent_options *options, const json_t *operation,
	      const char *action)
{
	char text[sizeof(run->torn->name) + 32];
	int err = 0;

	for (unsigned i = 0; i < run->torn_count && !agent_ending; i++) {
		struct torn *torn = &run->torn[i];

		if (torn->wanted ||
		    (!strcmp(action, "install") && ordered(operation, torn->name, torn->said)))
			err = unpack_again(run, options, operation, torn->name);
		if (err == -EBUSY || err == -ECANCELED)
			return err;
	}
	if (agent_ending)
		return -ECANCELED;
	if (!run->torn_count)
		return 0;
	find_torn(run, options);
	for (unsigned i = 0; i < run->torn_count; i++) {
		struct torn *torn = &run->torn[i];

		err = -ENOENT;
		if (torn->incomplete && !strcmp(action, "remove") &&
		    ordered(operation, torn->name, torn->said))
			err = remove_torn(run, options, torn->name);
		if (err == -EBUSY || err == -ECANCELED)
			return err;
		torn->gone = !err;
		if (torn->gone)
			continue;
		snprintf(text, sizeof(text), "%s is still half installed", torn->name);
		run_note(run, text);
	}
	return 0;
}

static const struct torn *ordered_torn(const struct run *run, const json_t *operation)
{
	for (unsigned i = 0; i < run->torn_count; i++)
		if (!run->torn[i].gone && ordered(operation, run->torn[i].name, run->torn[i].said))
			return &run->torn[i];
	return NULL;
}

/* apt-get takes for installed, and so for done, what it did not unpack again. */
int dpkg_check(struct run *run, const struct agent_options *options, const json_t *operation)
{
	const struct torn *torn;

	if (!*run->left && !ordered_torn(run, operation))
		return 0;
	find_torn(run, options);
	torn = ordered_torn(run, operation);
	if (!torn)
		return 0;
	snprintf(run->error, sizeof(run->error), "%s is still half installed", torn->name);
	return -EIO;
}

bool dpkg_is_gone(const struct run *run, const char *word)
{
	size_t len = strcspn(word, "=");

	for (unsigned i = 0; i < run->torn_count; i++)
		if (run->torn[i].gone && run->torn[i].said == len &&
		    !strncmp(word, run->torn[i].name, len))
			return true;
	return false;
}
