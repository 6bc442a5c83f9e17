/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stays of the tree before: packages and hash-named indices that left, for as long as
 * the grace period lasts. "retired" lists them with the time they left, a line each:
 * "SECONDS PATH". What a viewer lost the right to see does not stay, nor do indices that
 * speak of it.
 */
#include "../lib/fault.h"
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog.h"

struct carry {
	struct publish_build *build;
	sqlite3 *reader;
	const char *viewer;
	char *old_retired; /* the old tree's list */
	FILE *retired;	   /* the new one */
	bool revoked;	   /* some package is still there, but not for this viewer any more */
	int64_t now, grace;
};

static char *read_list(int dir, const char *name)
{
	int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	off_t size;
	ssize_t n;

	if (fd < 0)
		return NULL;
	size = lseek(fd, 0, SEEK_END);
	if (size >= 0)
		text = malloc((size_t)size + 1);
	n = text ? pread(fd, text, (size_t)size, 0) : -1;
	close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

/* When the path left, by the old list; now when it is not on it. */
static int64_t retired_since(const struct carry *carry, const char *path)
{
	size_t len = strlen(path);

	for (const char *line = carry->old_retired; line && *line;) {
		const char *end = line + strcspn(line, "\n"), *space = strchr(line, ' ');

		if (space && space < end && (size_t)(end - space - 1) == len &&
		    !memcmp(space + 1, path, len))
			return strtoll(line, NULL, 10);
		line = *end ? end + 1 : end;
	}
	return carry->now;
}

/* The digest in "apt/pool/ab/DIGEST/…" and "rpm/packages/ab/DIGEST/…"; false: an index. */
static bool package_digest(const char *path, char ret_sha256[NAME_DIGEST_LEN + 1])
{
	const char *rest;

	if (!strncmp(path, "apt/pool/", 9))
		rest = path + 9;
	else if (!strncmp(path, "rpm/packages/", 13))
		rest = path + 13;
	else
		return false;
	snprintf(ret_sha256, NAME_DIGEST_LEN + 1, "%s", strlen(rest) > 3 ? rest + 3 : "");
	return name_hex_valid(ret_sha256, NAME_DIGEST_LEN);
}

static int carry_file(struct carry *carry, const char *path)
{
	struct publish_build *build = carry->build;
	char sha256[NAME_DIGEST_LEN + 1];
	int64_t since;
	int err;

	if (!faccessat(build->dir, path, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0;
	if (package_digest(path, sha256)) {
		if (!catalog_digest_visible(carry->reader, sha256, carry->viewer))
			return 0;
	} else if (!publish_is_hashed(path) || carry->revoked) {
		return 0;
	}
	since = retired_since(carry, path);
	if (carry->now - since >= carry->grace)
		return 0;
	err = publish_link(build->old_dir, path, build->dir, path);
	if (err)
		return err;
	build->retired++;
	return fprintf(carry->retired, "%lld %s\n", (long long)since, path) < 0 ? -EIO : 0;
}

/* Is the line, with its end, in the new manifest? Both have the same order, so the search goes on.
 */
static bool is_still_there(const char **from, const char *line, size_t len)
{
	const char *found = memmem(*from, strlen(*from), line, len);

	if (!found || (found > *from && found[-1] != '\n'))
		return false;
	*from = found + len;
	return true;
}

/* Did a package that the old tree listed become invisible to this viewer? */
static bool find_revoked(const struct carry *carry)
{
	char *manifest = read_list(carry->build->old_dir, "manifest"), sha256[NAME_DIGEST_LEN + 1];
	const char *from = carry->build->manifest;
	bool revoked = false;

	for (char *line = manifest; line && *line && !revoked;) {
		char *end = line + strcspn(line, "\n");

		if (*end && is_still_there(&from, line, (size_t)(end + 1 - line))) {
			line = end + 1;
			continue;
		}
		if (sscanf(line, "%*s %*s %64[0-9a-f]", sha256) == 1)
			revoked = !catalog_digest_visible(carry->reader, sha256, carry->viewer);
		line = *end ? end + 1 : end;
	}
	free(manifest);
	return revoked;
}

static int walk(struct carry *carry)
{
	char *const roots[] = { carry->build->old_path, NULL };
	size_t prefix = strlen(carry->build->old_path) + 1;
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	FTSENT *entry;
	int err = 0;

	if (!tree)
		return -errno;
	while (!err && (entry = fts_read(tree))) {
		if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR)
			err = -entry->fts_errno;
		else if (entry->fts_level > 1 &&
			 (entry->fts_info == FTS_F || entry->fts_info == FTS_NSOK))
			err = carry_file(carry, entry->fts_path + prefix);
	}
	fts_close(tree);
	return err;
}

int publish_carry(struct publish_build *build)
{
	struct carry carry = {
		.build = build,
		.reader = db_reader(build->repod->db),
		.viewer = build->tenant ? build->tenant : "",
		.now = db_now(),
		.grace = build->repod->settings->publish.grace,
	};
	int fd, err = 0;

	fd = openat(build->dir, "retired", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	carry.retired = fd < 0 ? NULL : fdopen(fd, "w");
	if (!carry.retired || !carry.reader) {
		if (carry.retired)
			fclose(carry.retired);
		else if (fd >= 0)
			close(fd);
		return problem_errno(build->problem, -EIO, "publish");
	}
	fault_point("publish-carry");
	if (build->old_dir >= 0) {
		carry.old_retired = read_list(build->old_dir, "retired");
		carry.revoked = find_revoked(&carry);
		err = walk(&carry);
	}
	if (fclose(carry.retired) && !err)
		err = -EIO;
	free(carry.old_retired);
	return err ? problem_errno(build->problem, err, "publish") : 0;
}
