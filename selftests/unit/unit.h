/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks for unit tests. A test is a table of cases and a loop; it counts what went
 * wrong, says which case it was, and ends with "return unit_end();".
 */
#ifndef SELFTESTS_UNIT_H
#define SELFTESTS_UNIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *unit_case = ""; /* the case being tested, for messages */
static unsigned unit_checks, unit_failures;

__attribute__((format(printf, 4, 5))) static inline bool
unit_check(bool ok, const char *file, int line, const char *format, ...)
{
	va_list args;

	unit_checks++;
	if (ok)
		return true;
	unit_failures++;
	printf("%s:%d: %s: ", file, line, unit_case);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	return false;
}

/* CHECK(condition) or CHECK_THAT(condition, "what was seen: %d", seen). Both yield the condition.
 */
#define CHECK(condition)	   unit_check(condition, __FILE__, __LINE__, "%s", #condition)
#define CHECK_THAT(condition, ...) unit_check(condition, __FILE__, __LINE__, __VA_ARGS__)

/*
 * A copy of the bytes that ends right before an unreadable page, so that reading one
 * byte too many is a crash. There is one such place: a new call overwrites it.
 */
#define UNIT_GUARDED_MAX ((size_t)1 << 20)
static inline char *unit_guarded(const void *bytes, size_t len)
{
	static char *end;
	char *copy;

	if (!end) {
		size_t page = sysconf(_SC_PAGESIZE);
		char *area = mmap(NULL, UNIT_GUARDED_MAX + page, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (area == MAP_FAILED || mprotect(area + UNIT_GUARDED_MAX, page, PROT_NONE)) {
			perror("guard page");
			exit(1);
		}
		end = area + UNIT_GUARDED_MAX;
	}
	if (len > UNIT_GUARDED_MAX) {
		fprintf(stderr, "unit_guarded: %zu bytes are too many\n", len);
		exit(1);
	}
	copy = end - len;
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

static inline int unit_end(void)
{
	printf("%u checks, %u failed\n", unit_checks, unit_failures);
	return unit_failures ? 1 : 0;
}

#endif
