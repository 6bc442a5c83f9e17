/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log lines on stderr. Programs and the modules of gate/, relay/ and sluiced/ log;
 * the rest of lib/ returns errors instead. One line is one write(2), so that lines
 * of several processes never mix. Under systemd (JOURNAL_STREAM) a line starts with
 * its priority, elsewhere with the time.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

/* ident is the program's name, kept by reference. Lines above level are dropped. */
void log_init(const char *ident, enum log_level level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line for each line of text, all after the same "what: ". */
void log_text(enum log_level level, const char *what, const char *text);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* For what a peer can trigger: at most burst lines in interval_ms; the next one allowed says
 * how many were left out. */
struct log_limit {
	uint32_t interval_ms, burst;
	uint32_t used, suppressed;
	int64_t started_ms;
};
#define LOG_LIMIT(interval, count)                                                                 \
	{                                                                                          \
		.interval_ms = (interval), .burst = (count)                                        \
	}
/* True when a line may be written now; *ret_suppressed says how many were left out before. */
bool log_allowed(struct log_limit *limit, uint32_t *ret_suppressed);

#endif
