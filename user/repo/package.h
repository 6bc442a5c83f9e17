/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a package file says about itself: reads .deb (an ar archive with control.tar
 * inside, through libarchive) and .rpm (lead, signature header, header). Input is
 * untrusted: every read is bounded, and a file that contradicts itself is refused with
 * a sentence. Pure but for reading the fd; fuzzed by selftests/fuzz/fuzz_package.c.
 */
#ifndef REPO_PACKAGE_H
#define REPO_PACKAGE_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/name.h"

enum package_kind { PACKAGE_FILE, PACKAGE_DEB, PACKAGE_RPM, PACKAGE_KINDS };

#define PACKAGE_SUMMARY_MAX 240

struct package_info {
	enum package_kind kind;
	char name[NAME_MAX_LEN + 1];
	char version[NAME_MAX_LEN + 1];	       /* may be empty for plain files */
	char arch[33];			       /* likewise */
	char summary[PACKAGE_SUMMARY_MAX + 1]; /* first line of the description, UTF-8 */
};

const char *package_kind_name(enum package_kind kind);
/* By the file name's ending: ".deb", ".rpm", anything else is a plain file. */
enum package_kind package_kind_of(const char *filename);

/*
 * Read a package from the start of fd (its position moves). 0, or -EBADMSG with *ret_why,
 * a static sentence, or -errno.
 */
int package_read_deb(int fd, struct package_info *ret_info, const char **ret_why);
int package_read_rpm(int fd, struct package_info *ret_info, const char **ret_why);

/* The file name a package has in a published tree; out holds NAME_FILENAME_MAX + 1. */
int package_canonical_name(const struct package_info *info, char *out, size_t size);

#endif
