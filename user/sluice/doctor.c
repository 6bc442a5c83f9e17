/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice doctor: every link of the chain, what is broken, what that means, what mends it. The
 * daemon has it looked at; where none answers, root has "sluiced --doctor" look, which then knows
 * the kernel's side and the configuration alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "render.h"

#define ANSWER_S 5 /* a daemon that hangs is a finding, not worth two minutes */

static struct {
	const char *config;
	bool all;
} settings;

static const struct opt options[] = {
	{ .kind = OPT_FLAG,
	  .letter = 'a',
	  .name = "all",
	  .offset = offsetof(typeof(settings), all),
	  .help = "also print what is in order" },
	{ .kind = OPT_TEXT,
	  .letter = 'c',
	  .name = "config",
	  .value = "FILE",
	  .offset = offsetof(typeof(settings), config),
	  .help = "where no sluiced answers: its configuration" },
};

/* ---- without a daemon ------------------------------------------------------------------------ */

/* The daemon's program: beside this one, or where it is installed. */
static const char *find_sluiced(char ret[PATH_MAX])
{
	static const char *const places[] = { "", "../sbin/" };
	char self[PATH_MAX - 32], *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		if (slash)
			slash[1] = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			snprintf(ret, PATH_MAX, "%s%ssluiced", self, places[i]);
			if (!access(ret, X_OK))
				return ret;
		}
	}
	return "/usr/sbin/sluiced";
}

static void run_sluiced(const struct common *common, const char *tenant, int output)
	__attribute__((noreturn));
static void run_sluiced(const struct common *common, const char *tenant, int output)
{
	char path[PATH_MAX];
	const char *program = find_sluiced(path), *argv[10] = { "sluiced", "--doctor" };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), n = 2;

	if (common->instance) {
		argv[n++] = "--instance";
		argv[n++] = common->instance;
	}
	if (settings.config) {
		argv[n++] = "--config";
		argv[n++] = settings.config;
	}
	if (tenant) {
		argv[n++] = "--tenant";
		argv[n++] = tenant;
	}
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	execv(program, (char *const *)argv);
	fprintf(stderr, "sluice doctor: cannot run %s: %s\n", program, strerror(errno));
	_exit(EXIT_FAILURE);
}

/* A descriptor to read its findings from; *ret_pid is to be waited for. */
static int look_alone(const struct common *common, const char *tenant, pid_t *ret_pid)
{
	int output[2];

	if (pipe2(output, O_CLOEXEC))
		return -errno;
	fflush(stdout);
	*ret_pid = fork();
	if (!*ret_pid)
		run_sluiced(common, tenant, output[1]);
	close(output[1]);
	if (*ret_pid < 0) {
		close(output[0]);
		return -errno;
	}
	return output[0];
}

/* ---- what it found ----------------------------------------------------------------------------
 */

static enum tint tint_of(const char *state)
{
	return !strcmp(state, "ok")	   ? TINT_GOOD
	       : !strcmp(state, "failed")  ? TINT_BAD
	       : !strcmp(state, "skipped") ? TINT_DIM
					   : TINT_WARN;
}

static void print_more(const char *what, const json_t *check, const char *key, enum tint tint)
{
	const char *text = json_string_value(json_object_get(check, key));

	if (!text)
		return;
	printf("      %s", what);
	render_tinted(tint, text);
	putchar('\n');
}

static void print_check(const json_t *check)
{
	const char *state = json_text(check, "state");
	const char *tenant = json_string_value(json_object_get(check, "tenant"));
	char label[32];

	if (!settings.all && !strcmp(state, "ok"))
		return;
	snprintf(label, sizeof(label), "%-8s", state);
	render_tinted(tint_of(state), label);
	snprintf(label, sizeof(label), " %-10s ", json_text(check, "link"));
	fputs(label, stdout);
	if (tenant) {
		render_tinted(TINT_BOLD, tenant);
		fputs(": ", stdout);
	}
	render_tinted(TINT_NONE, json_text(check, "found"));
	putchar('\n');
	print_more("", check, "means", TINT_NONE);
	print_more("mend: ", check, "fix", TINT_BOLD);
}

static void print_findings(const json_t *findings)
{
	json_t *checks = json_object_get(findings, "checks"), *check;
	uint64_t failed = json_number(findings, "failed");
	uint64_t warnings = json_number(findings, "warnings");
	size_t i;

	json_array_foreach (checks, i, check)
		print_check(check);
	printf("%zu links looked at: ", json_array_size(checks));
	if (failed)
		printf("%llu broken, ", (unsigned long long)failed);
	else
		fputs("none is broken, ", stdout);
	printf("%llu warnings, %llu skipped\n", (unsigned long long)warnings,
	       (unsigned long long)json_number(findings, "skipped"));
}

static enum status show(const struct common *common, int fd)
{
	FILE *file = fdopen(fd, "r");
	json_t *findings = file ? json_loadf(file, JSON_REJECT_DUPLICATES, NULL) : NULL;
	enum status status;

	if (file)
		fclose(file);
	else
		close(fd);
	if (!json_is_object(findings)) {
		fputs("sluice doctor: it ended without a finding\n"
		      "  look at sluiced's log; then try again\n",
		      stderr);
		json_decref(findings);
		return STATUS_FAILED;
	}
	if (common->json)
		render_json(findings);
	else
		print_findings(findings);
	status = json_number(findings, "failed") ? STATUS_FAILED : STATUS_OK;
	json_decref(findings);
	return status;
}

static enum status run_doctor(const struct common *common, char **arguments, int count)
{
	const char *tenant = count ? arguments[0] : NULL;
	json_t *data = NULL;
	enum status status;
	pid_t pid = 0;
	int fd = -1;

	status = client_ask(common, "doctor", json_pack("{s:s*}", "tenant", tenant), ANSWER_S,
			    &data, &fd);
	json_decref(data);
	if (status == STATUS_NO_DAEMON && geteuid() == 0 && !common->socket) {
		fd = look_alone(common, tenant, &pid);
		status = fd < 0 ? STATUS_FAILED : STATUS_OK;
	} else if (status == STATUS_NO_DAEMON) {
		fputs("sluice doctor: sluiced does not answer\n"
		      "  as root (and without --socket), this looks at the kernel's side alone\n",
		      stderr);
	}
	if (status != STATUS_OK || fd < 0)
		return status == STATUS_OK ? STATUS_FAILED : status;
	status = show(common, fd);
	if (pid)
		waitpid(pid, NULL, 0);
	return status;
}

const struct command command_doctor = {
	.name = "doctor",
	.arguments = "[TENANT]",
	.summary = "Look for what is broken, and say what mends it",
	.options = options,
	.options_count = sizeof(options) / sizeof(options[0]),
	.target = &settings,
	.arguments_max = 1,
	.run = run_doctor,
};
