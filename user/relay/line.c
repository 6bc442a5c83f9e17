/* SPDX-License-Identifier: BSD-2-Clause */
#include "line.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->text + line->len, room, format, args);
	va_end(args);
	/* Every field is bounded so that all of them fit; the newline has its place. */
	if (n > 0)
		line->len += (size_t)n < room ? (size_t)n : room - 1;
}

void line_begin(struct line *line, bool json)
{
	line->len = 0;
	line->json = json;
}

static void put_name(struct line *line, const char *name)
{
	if (line->json)
		put(line, "%s\"%s\":", line->len ? "," : "{", name);
	else
		put(line, "%s%s=", line->len ? " " : "", name);
}

void line_word(struct line *line, const char *name, const char *value)
{
	put_name(line, name);
	put(line, line->json ? "\"%s\"" : "%s", value);
}

void line_none(struct line *line, const char *name)
{
	put_name(line, name);
	put(line, "%s", line->json ? "null" : "-");
}

void line_number(struct line *line, const char *name, uint64_t value)
{
	put_name(line, name);
	put(line, "%" PRIu64, value);
}

void line_span(struct line *line, const char *name, int64_t from, int64_t to)
{
	int64_t us = (to - from) / 1000;

	if (!to) {
		line_none(line, name);
		return;
	}
	put_name(line, name);
	put(line, "%" PRId64 ".%03d", us / 1000, (int)(us % 1000));
}

void line_text(struct line *line, const char *name, const char *text, size_t len, bool cut)
{
	put_name(line, name);
	put(line, "\"");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool plain = c > 0x20 && c < 0x7f && c != '"' && c != '\\';

		put(line, plain ? "%c" : "%%%02X", c);
	}
	put(line, cut ? "...\"" : "\"");
}

void line_time(struct line *line)
{
	char text[96]; /* of years beyond 9999, too */
	struct timespec now;
	struct tm utc;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
		 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		 (int)(now.tv_nsec / 1000000));
	line_word(line, "time", text);
}

void line_address(struct line *line, const char *name, const struct in6_addr *ip, unsigned port)
{
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 10];
	bool v4 = IN6_IS_ADDR_V4MAPPED(ip);

	inet_ntop(v4 ? AF_INET : AF_INET6, ip->s6_addr + (v4 ? 12 : 0), address, sizeof(address));
	snprintf(text, sizeof(text), v4 ? "%s:%u" : "[%s]:%u", address, port);
	line_word(line, name, text);
}

void line_end(struct line *line)
{
	if (line->json)
		put(line, "}");
	if (line->len > sizeof(line->text) - 1)
		line->len = sizeof(line->text) - 1;
	line->text[line->len++] = '\n';
}
