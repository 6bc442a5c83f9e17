/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading, reporting, freeing: the flow drawn in conf_impl.h. */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_impl.h"

#define MESSAGE_MAX 1024

const cyaml_config_t conf_cyaml_quiet = {
	.log_level = CYAML_LOG_ERROR,
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_NO_ALIAS,
};

/* Takes line, malloc'd or NULL, over. */
static void report_append(struct conf_report *report, char *line)
{
	char *text;

	if (!line || asprintf(&text, "%s%s%s", report->text ? report->text : "",
			      report->text ? "\n" : "", line) < 0) {
		report->oom = true;
	} else {
		free(report->text);
		report->text = text;
	}
	free(line);
}

void conf_report_vat(struct conf_report *report, size_t line, size_t column, const char *format,
		     va_list args)
{
	char message[MESSAGE_MAX], *text;

	if (++report->count > CONF_REPORT_MAX)
		return;
	vsnprintf(message, sizeof(message), format, args);
	/* A message quotes the file: one line stays one line. */
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	if (asprintf(&text, "%s:%zu:%zu: %s", report->name, line + 1, column + 1, message) < 0)
		text = NULL;
	report_append(report, text);
}

void conf_report_at(struct conf_report *report, size_t line, size_t column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	conf_report_vat(report, line, column, format, args);
	va_end(args);
}

static void report_plain(struct conf_report *report, const char *message)
{
	char *text;

	report->count++;
	if (asprintf(&text, "%s: %s", report->name, message) < 0)
		text = NULL;
	report_append(report, text);
}

/* What the mistakes found so far amount to; hands the text to the caller. */
static int report_finish(struct conf_report *report, char **ret_why)
{
	char *more;

	if (report->count > CONF_REPORT_MAX) {
		if (asprintf(&more, "%s: %u more mistakes; correct these first", report->name,
			     report->count - CONF_REPORT_MAX) < 0)
			more = NULL;
		report_append(report, more);
	}
	if (report->oom) {
		free(report->text);
		*ret_why = strdup("out of memory");
		return -ENOMEM;
	}
	*ret_why = report->text;
	return -EINVAL;
}

/* The last line libcyaml says before its backtrace is the reason. */
static void keep_reason(cyaml_log_t level, void *context, const char *format, va_list args)
{
	char *reason = context;

	if (!*reason)
		vsnprintf(reason, MESSAGE_MAX, format, args);
}

static struct conf *fill(const void *yaml, size_t len, struct conf_report *report)
{
	char reason[MESSAGE_MAX] = "";
	cyaml_config_t config = conf_cyaml_quiet;
	struct conf *conf = NULL;
	cyaml_err_t err;

	config.log_fn = keep_reason;
	config.log_ctx = reason;
	err = cyaml_load_data(yaml, len, &config, &conf_schema, (cyaml_data_t **)&conf, NULL);
	if (err == CYAML_ERR_OOM) {
		report->oom = true;
	} else if (err != CYAML_OK) {
		reason[strcspn(reason, "\n")] = '\0';
		report_plain(report, *reason ? reason : cyaml_strerror(err));
	}
	return conf;
}

int conf_parse(const char *name, const void *yaml, size_t len, struct conf **ret_conf,
	       char **ret_why)
{
	struct conf_report report = { .name = name };
	struct conf_doc doc = { 0 };
	struct conf *conf = NULL;
	int err;

	if (len > CONF_FILE_MAX) {
		report_plain(&report, "larger than 4 MiB; a configuration is smaller");
		return report_finish(&report, ret_why);
	}
	err = conf_doc_open(&doc, &report, yaml, len);
	if (err < 0)
		goto out;
	conf_doc_check(&doc, &report);
	if (report.count || report.oom)
		goto out;
	conf = conf_doc_empty(&doc) ? calloc(1, sizeof(*conf)) : fill(yaml, len, &report);
	if (!conf) {
		report.oom |= !report.count;
		goto out;
	}
	err = conf_fill_defaults(conf, &doc);
	if (!err)
		conf_check(conf, &doc, &report);
out:
	conf_doc_close(&doc);
	report.oom |= err == -ENOMEM;
	if (report.count || report.oom) {
		conf_free(conf);
		return report_finish(&report, ret_why);
	}
	*ret_conf = conf;
	return 0;
}

/* Reads at most CONF_FILE_MAX + 1 bytes: one more than conf_parse() accepts. */
static int read_all(int fd, char **ret_text, size_t *ret_len)
{
	char *text = malloc(CONF_FILE_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while ((n = read(fd, text + len, CONF_FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0) {
		int err = -errno;

		free(text);
		return err;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

/* Where the package has it; "make install" puts it below its PREFIX. */
#define CONF_EXAMPLE "/usr/share/doc/sluice/examples/sluice.yaml"

int conf_load(const char *path, struct conf **ret_conf, char **ret_why)
{
	struct stat st;
	char *text = NULL;
	size_t len = 0;
	int fd, err;

	/* O_NONBLOCK: a FIFO in the file's place must not hang the daemon. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err = -errno;
		goto fail;
	}
	err = fstat(fd, &st) < 0 ? -errno : 0;
	if (!err && S_ISREG(st.st_mode))
		err = read_all(fd, &text, &len);
	else if (!err)
		err = S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	close(fd);
	if (err < 0)
		goto fail;
	err = conf_parse(path, text, len, ret_conf, ret_why);
	free(text);
	return err;

fail:
	if (asprintf(ret_why, "%s: cannot be read: %s%s", path,
		     err == -ENOTSUP ? "it is no regular file" : strerror(-err),
		     err == -ENOENT ? "; begin with a copy of " CONF_EXAMPLE : "") < 0)
		*ret_why = NULL;
	return err;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	for (unsigned i = 0; i < conf->services_count; i++) {
		char *secret = conf->services[i].secret;

		if (secret)
			explicit_bzero(secret, strlen(secret));
	}
	cyaml_free(&conf_cyaml_quiet, &conf_schema, conf, 0);
}
