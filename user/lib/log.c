/* SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "text.h"

#define LINE_MAX_LEN 1024

static const char *log_ident = "sluice";
static enum log_level log_max = LOG_INFO;
static bool log_journal;

void log_init(const char *ident, enum log_level level)
{
	log_ident = ident;
	log_max = level;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

static size_t put_prefix(char *line, size_t cap, enum log_level level)
{
	static const char *const words[] = {
		[LOG_ERROR] = "error: ",
		[LOG_WARN] = "warning: ",
		[LOG_INFO] = "",
		[LOG_DEBUG] = "debug: ",
	};
	struct timespec now;
	struct tm utc;
	int n;

	if (log_journal) {
		n = snprintf(line, cap, "<%d>%s: ", level, log_ident);
		return (size_t)n;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = snprintf(line, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s[%d]: %s",
		     utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
		     utc.tm_sec, now.tv_nsec / 1000000, log_ident, (int)getpid(), words[level]);
	return (size_t)n;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_LEN];
	size_t len;
	va_list args;
	int n, saved = errno;

	if (level > log_max)
		return;
	len = put_prefix(line, sizeof(line) - 1, level);
	va_start(args, format);
	n = vsnprintf(line + len, sizeof(line) - 1 - len, format, args);
	va_end(args);
	if (n > 0)
		len += (size_t)n < sizeof(line) - 1 - len ? (size_t)n : sizeof(line) - 2 - len;
	/* What a peer sent may be part of the message: one line stays one line. */
	text_clean(line, len, false);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0) {
		/* Nobody is left to tell. */
	}
	errno = saved;
}

void log_text(enum log_level level, const char *what, const char *text)
{
	size_t len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		log_line(level, "%s: %.*s", what, (int)len, text);
	}
}

bool log_allowed(struct log_limit *limit, uint32_t *ret_suppressed)
{
	int64_t ms = clock_ms(CLOCK_MONOTONIC);

	if (!limit->started_ms || ms - limit->started_ms >= limit->interval_ms) {
		limit->started_ms = ms;
		limit->used = 0;
	}
	if (limit->used >= limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->used++;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
