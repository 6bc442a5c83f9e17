/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The package manager's part. apt-get where there is one, else dnf; both see the sluice
 * repository alone. The percentage comes from apt's Status-Fd, and from the lines of dnf, which
 * has nothing of that kind; downloading is its first half.
 * Nothing of an instruction but checked package names gets onto a command line, and no
 * shell is involved. What was cut short before is agent_dpkg.c's to finish.
 */
#include "agent_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/child.h"
#include "../lib/instruction.h"

#define SILENCE	     (30 * 60) /* seconds; then the package manager is taken for stuck */
#define LOCK_SECONDS "300"

void run_add(struct run *run, const char *word)
{
	if (run->argc + 1 < WORDS_MAX)
		run->argv[run->argc++] = word;
}

static void add_option(struct run *run, const char *name, const char *value)
{
	char *word = run->room[run->made];

	if (run->made == sizeof(run->room) / sizeof(run->room[0]))
		return;
	run->made++;
	snprintf(word, sizeof(run->room[0]), "%s=%s", name, value);
	run_add(run, "-o");
	run_add(run, word);
}

static void set_percent(struct run *run, unsigned percent)
{
	if (percent > 99)
		percent = 99;
	if (percent <= run->percent)
		return;
	run->percent = percent;
	run->tell(percent, run->arg);
}

/* "dlstatus:1:37.5:text", "pmstatus:nginx:62.1:text", "pmerror:nginx:62:text" */
void run_read_status(struct run *run, char *line)
{
	char *kind = strtok(line, ":"), *what = strtok(NULL, ":"), *number = strtok(NULL, ":");
	char *text = strtok(NULL, "");
	double percent = number ? strtod(number, NULL) : 0;

	/* "nan" is a number, too. */
	if (!kind || !what || !(percent >= 0 && percent <= 100))
		return;
	if (!strcmp(kind, "dlstatus"))
		set_percent(run, (unsigned)(percent / 2));
	else if (!strcmp(kind, "pmstatus"))
		set_percent(run, 50 + (unsigned)(percent / 2));
	else if (!strcmp(kind, "pmerror") && !*run->error)
		snprintf(run->error, sizeof(run->error), "%.80s: %.200s", what, text ? text : "");
}

/* "(2/3): nginx-1.22-1.x86_64.rpm  1.2 MB/s | …" and "  Installing : nginx-1.22-1.x86_64  2/3" */
static void read_dnf(struct run *run, char *line)
{
	unsigned done, total, half = 50;
	size_t len = strlen(line);
	const char *word;

	while (len && line[len - 1] == ' ')
		len--;
	for (word = line + len; word > line && word[-1] != ' ';)
		word--;
	if (sscanf(line, "(%u/%u):", &done, &total) == 2)
		half = 0;
	else if (sscanf(word, "%u/%u", &done, &total) != 2)
		return;
	if (total && done <= total)
		set_percent(run, half + (unsigned)((uint64_t)done * 50 / total));
}

static void take_lines(struct run *run, const char *data, size_t len)
{
	for (; len; data++, len--) {
		if (*data != '\n' && *data != '\r') {
			if (run->line_len + 1 < sizeof(run->line))
				run->line[run->line_len++] = *data;
			continue;
		}
		run->line[run->line_len] = '\0';
		run->line_len = 0;
		run->read(run, run->line);
	}
}

static void take_status(const char *data, size_t len, void *arg)
{
	take_lines(arg, data, len);
}

static void take_output(const char *data, size_t len, void *arg)
{
	struct run *run = arg;

	if (run->dnf)
		take_lines(run, data, len);
	child_keep(run->result->log, AGENT_LOG_MAX, data, len);
}

int run_execute(struct run *run, void (*read)(struct run *run, char *line))
{
	const struct child child = {
		.argv = run->argv,
		.input = -1,
		.silence = SILENCE,
		.output = take_output,
		.status = take_status,
		.arg = run,
	};
	int status;

	run->argv[run->argc] = NULL;
	run->read = read;
	run->line_len = 0;
	status = child_run(&child);
	if (status == -ETIME)
		snprintf(run->error, sizeof(run->error),
			 "%s said nothing for half an hour and was ended", run->argv[0]);
	else if (status < 0)
		snprintf(run->error, sizeof(run->error), "%s: %s", run->argv[0], strerror(-status));
	return status;
}

void run_note(struct run *run, const char *text)
{
	take_output(text, strlen(text), run);
	take_output("\n", 1, run);
}

void run_apt_begin(struct run *run, const struct agent_options *options, bool progress)
{
	char root[280];

	run->argc = run->made = 0;
	run_add(run, "apt-get");
	run_add(run, "-q");
	run_add(run, "-y");
	add_option(run, "Dir::Etc::sourcelist", options->sources);
	add_option(run, "Dir::Etc::sourceparts", "-");
	add_option(run, "DPkg::Lock::Timeout", LOCK_SECONDS);
	/* A VM whose clock is behind must be able to install; nothing of ours ever expires. */
	add_option(run, "Acquire::Check-Date", "false");
	add_option(run, "Dpkg::Use-Pty", "0");
	/* A name that is not there would be a regular expression when it has a dot. */
	add_option(run, "APT::Cmd::Pattern-Only", "true");
	add_option(run, "DPkg::Options::", "--force-confold");
	if (progress)
		add_option(run, "APT::Status-Fd", "3");
	if (!options->root)
		return;
	snprintf(root, sizeof(root), "--root=%s", options->root);
	add_option(run, "DPkg::Options::", root);
	add_option(run, "DPkg::Options::", "--force-not-root");
	snprintf(root, sizeof(root), "--log=%s/var/log/dpkg.log", options->root);
	add_option(run, "DPkg::Options::", root);
}

/* How many, without those that dpkg_mend() has removed. */
static unsigned add_packages(struct run *run, const json_t *operation)
{
	const json_t *package;
	unsigned count = 0;
	size_t i;

	json_array_foreach (json_object_get(operation, "packages"), i, package) {
		if (dpkg_is_gone(run, json_string_value(package)))
			continue;
		run_add(run, json_string_value(package));
		count++;
	}
	return count;
}

static int run_apt(struct run *run, const struct agent_options *options, const json_t *operation,
		   const char *action)
{
	int err;

	err = dpkg_recover(run, options);
	if (err)
		return err;
	run->error[0] = '\0';
	run_apt_begin(run, options, false);
	run_add(run, "update");
	/* Without this, apt-get update ends with 0 when no server answers. */
	run_add(run, "--error-on=any");
	err = run_execute(run, run_read_status);
	if (err && strcmp(action, "remove") != 0)
		return err;
	err = dpkg_mend(run, options, operation, action);
	if (err)
		return err;
	run->error[0] = '\0';
	run_apt_begin(run, options, true);
	run_add(run, action);
	/* apt-get knows no name any more that is in no repository. */
	if (!add_packages(run, operation) && !strcmp(action, "remove"))
		return 0;
	err = run_execute(run, run_read_status);
	return err ? err : dpkg_check(run, options, operation);
}

/* With an installroot, dnf reads that root's own configuration and repositories. */
static int run_dnf(struct run *run, const struct agent_options *options, const json_t *operation,
		   const char *action)
{
	run->dnf = true;
	run_add(run, "dnf");
	run_add(run, "-y");
	run_add(run, "--disablerepo=*");
	run_add(run, "--enablerepo=sluice");
	/* What another program refreshed an hour ago may lack what is to be installed. */
	run_add(run, "--refresh");
	if (options->root) {
		run_add(run, "--installroot");
		run_add(run, options->root);
	}
	run_add(run, action);
	add_packages(run, operation);
	return run_execute(run, read_dnf);
}

static bool has_apt(void)
{
	return !access("/usr/bin/apt-get", X_OK);
}

bool agent_run(const struct agent_options *options, const json_t *operation,
	       void (*tell)(unsigned percent, void *arg), void *arg,
	       struct agent_result *ret_result)
{
	const char *action = json_string_value(json_object_get(operation, "action"));
	struct run *run = calloc(1, sizeof(*run));
	size_t len;
	int err;

	memset(ret_result, 0, sizeof(*ret_result));
	if (!run) {
		ret_result->failed = true;
		strcpy(ret_result->message, "out of memory");
		return true;
	}
	run->tell = tell;
	run->arg = arg;
	run->result = ret_result;
	setenv("DEBIAN_FRONTEND", "noninteractive", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	if (options->manager ? !strcmp(options->manager, "apt") : has_apt())
		err = run_apt(run, options, operation, action);
	else
		err = run_dnf(run, options, operation, action);
	ret_result->failed = err != 0;
	if (err && *run->error)
		snprintf(ret_result->message, sizeof(ret_result->message), "%s", run->error);
	else if (err)
		/* Nothing better is known. */
		child_last_line(ret_result->log, ret_result->message, sizeof(ret_result->message));
	len = strlen(ret_result->message);
	if (*run->left)
		snprintf(ret_result->message + len, sizeof(ret_result->message) - len, "%s%s",
			 len ? "; " : "", run->left);
	free(run);
	return err != -ECANCELED;
}
