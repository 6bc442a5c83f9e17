/* SPDX-License-Identifier: BSD-2-Clause */
/* The frame: reads the report, has everything looked at, writes the findings. */
#include "doctor.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXAMPLE	   "share/doc/sluice/examples/sluice.yaml"
#define TEXTS	   24
#define REPORT_MAX (256u << 20)

void doctor_say(struct doctor *doctor, const char *tenant, const char *link,
		enum doctor_state state, const char *means, const char *fix, const char *found, ...)
{
	static const char *const states[] = { "ok", "warning", "failed", "skipped" };
	char text[1024];
	va_list args;

	_Static_assert(sizeof(states) / sizeof(states[0]) == DOCTOR_STATES, "states");
	va_start(args, found);
	vsnprintf(text, sizeof(text), found, args);
	va_end(args);
	doctor->count[state]++;
	json_array_append_new(doctor->findings,
			      json_pack("{s:s?, s:s, s:s, s:s, s:s?, s:s?}", "tenant", tenant,
					"link", link, "state", states[state], "found", text,
					"means", means, "fix", fix));
}

static char *next_text(size_t *ret_size)
{
	static char texts[TEXTS][1024];
	static unsigned next;

	*ret_size = sizeof(texts[0]);
	return texts[next++ % TEXTS];
}

const char *doctor_text(const char *format, ...)
{
	size_t size;
	char *text = next_text(&size);
	va_list args;

	va_start(args, format);
	vsnprintf(text, size, format, args);
	va_end(args);
	return text;
}

const char *doctor_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._:@/+-";
	size_t size, len = 0;
	char *text;

	if (*word && strspn(word, plain) == strlen(word))
		return word;
	text = next_text(&size);
	text[len++] = '\'';
	for (; *word && len + 8 < size; word++) {
		if (*word == '\'')
			len += (size_t)snprintf(text + len, size - len, "'\\''");
		else
			text[len++] = *word;
	}
	text[len++] = '\'';
	text[len] = '\0';
	return text;
}

const char *doctor_inside(const char *netns)
{
	if (!netns)
		return "";
	if (!strncmp(netns, "pid:", 4))
		return doctor_text("nsenter --net=/proc/%s/ns/net ", netns + 4);
	if (netns[0] == '/')
		return doctor_text("nsenter --net=%s ", doctor_word(netns));
	return doctor_text("nsenter --net=/run/netns/%s ", doctor_word(netns));
}

/* An empty input is no report; what cannot be read is one that says nothing. */
static json_t *read_report(void)
{
	char *text = malloc(1 << 16);
	size_t len = 0, size = 1 << 16, got;
	json_t *report = NULL;

	while (text && (got = fread(text + len, 1, size - len, stdin)) > 0) {
		char *more = NULL;

		len += got;
		if (len < size)
			continue;
		if (size < REPORT_MAX)
			more = realloc(text, size * 2);
		if (!more)
			break;
		text = more;
		size *= 2;
	}
	if (text && len)
		report = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	return report;
}

/* Where "make install" and the package put it: beside the directory this program is in. */
static const char *example_path(void)
{
	char self[PATH_MAX - sizeof(EXAMPLE)], *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	for (int i = 0; i < 2 && len > 0; i++) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		len = slash ? slash - self : 0;
	}
	if (len > 0) {
		const char *path = doctor_text("%.*s/" EXAMPLE, (int)len, self);

		if (!access(path, R_OK))
			return path;
	}
	return "/usr/" EXAMPLE;
}

/* A line of a report stays one line: the first mistake, and how many there are. */
static const char *first_of(char *why, const char *config)
{
	char *end = why ? strchr(why, '\n') : NULL;
	unsigned more = 0;

	if (!end)
		return why ? why : config;
	for (const char *at = end; at; at = strchr(at + 1, '\n'))
		more++;
	*end = '\0';
	return doctor_text("%s (and %u more)", why, more);
}

static void complain_of_conf(struct doctor *doctor, const char *config, char *why)
{
	const char *word = doctor_word(config);

	if (access(config, F_OK))
		doctor_say(doctor, NULL, "configuration", DOCTOR_FAIL,
			   "sluiced does not start without one",
			   doctor_text("cp %s %s && \"${EDITOR:-editor}\" %s",
				       doctor_word(example_path()), word, word),
			   "there is no %s", config);
	else
		doctor_say(doctor, NULL, "configuration", DOCTOR_FAIL,
			   "sluiced does not start with it",
			   doctor_text("sluiced --check-config --config %s", word), "%s",
			   first_of(why, config));
}

/* The daemon goes on with the one in force, but the next one would not start. */
static void look_at_file(struct doctor *doctor, const char *config)
{
	struct conf *conf = NULL;
	char *why = NULL;
	int err = conf_load(config, &conf, &why);

	if (!err)
		err = conf_read_secrets(conf, &why);
	if (err)
		doctor_say(doctor, NULL, "configuration", DOCTOR_WARN,
			   "sluiced goes on with the configuration in force; a reload is refused, "
			   "and after a restart it does not start",
			   doctor_text(
				   "\"${EDITOR:-editor}\" %s && sluiced --check-config --config %s",
				   doctor_word(config), doctor_word(config)),
			   "%s", first_of(why, config));
	else
		doctor_say(doctor, NULL, "configuration", DOCTOR_OK, NULL, NULL, "%s is good",
			   config);
	free(why);
	conf_free(conf);
}

static void look(struct doctor *doctor)
{
	const char *config = doctor->config;
	struct conf *conf = NULL;
	char *why = NULL;
	int err = doctor->report ? 0 : conf_load(config, &conf, &why);

	doctor_node(doctor, conf);
	if (doctor->report) {
		look_at_file(doctor, config);
		doctor_origins(doctor, NULL);
	} else if (err) {
		complain_of_conf(doctor, config, why);
		free(why);
	} else {
		doctor_say(doctor, NULL, "configuration", DOCTOR_OK, NULL, NULL, "%s is good",
			   config);
		doctor_origins(doctor, conf);
		conf_free(conf);
	}
	doctor_tenants(doctor);
}

int doctor_main(const char *instance, const char *tenant, const char *config)
{
	char path[PATH_MAX];
	struct doctor doctor = { .instance = instance,
				 .config = realpath(config, path) ? path : config,
				 .only = tenant };
	json_t *all;
	int status = EXIT_FAILURE;

	doctor.report = read_report();
	doctor.findings = json_array();
	look(&doctor);
	all = json_pack("{s:s, s:b, s:O, s:i, s:i, s:i}", "instance", instance, "daemon",
			doctor.report != NULL, "checks", doctor.findings, "failed",
			(int)doctor.count[DOCTOR_FAIL], "warnings", (int)doctor.count[DOCTOR_WARN],
			"skipped", (int)doctor.count[DOCTOR_SKIPPED]);
	if (all && !json_dumpf(all, stdout, JSON_COMPACT) && !fflush(stdout))
		status = EXIT_SUCCESS;
	json_decref(all);
	json_decref(doctor.findings);
	json_decref(doctor.report);
	gate_load_close(doctor.load);
	return status;
}
