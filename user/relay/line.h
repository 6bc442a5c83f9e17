/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line about a request, "name=value name=value" or a JSON object, as fields come. The
 * caller bounds what it puts in, so that all of it fits.
 */
#ifndef SLUICE_RELAY_LINE_H
#define SLUICE_RELAY_LINE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_SIZE 4096 /* PIPE_BUF: one write(2) of so much never mixes with others */

struct line {
	char text[LINE_SIZE];
	size_t len;
	bool json;
};

void line_begin(struct line *line, bool json);
/* value holds nothing that must be quoted. */
void line_word(struct line *line, const char *name, const char *value);
/* There is no value. */
void line_none(struct line *line, const char *name);
void line_number(struct line *line, const char *name, uint64_t value);
/* Milliseconds from one moment to another, both in ns; none when it never came (0). */
void line_span(struct line *line, const char *name, int64_t from, int64_t to);
/*
 * Text of others: bytes that could end the field, the line or the string are written as
 * %XX, so that the line needs no second kind of escaping. cut: it is not all.
 */
void line_text(struct line *line, const char *name, const char *text, size_t len, bool cut);
/* "time": now, UTC. */
void line_time(struct line *line);
/* IPv4 as IPv4, also where it is mapped. */
void line_address(struct line *line, const char *name, const struct in6_addr *ip, unsigned port);
/* What is written is text[0..len). */
void line_end(struct line *line);

#endif
