/* SPDX-License-Identifier: BSD-2-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/file.h"

#define COPY_SIZE (256 * 1024)

int file_read_regular(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	char *text = NULL;
	size_t len = 0;
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	err = fstat(fd, &status)	    ? -errno
	      : !S_ISREG(status.st_mode)    ? -EINVAL
	      : status.st_size > (off_t)max ? -EFBIG
					    : 0;
	if (!err && !(text = malloc(max + 1)))
		err = -ENOMEM;
	while (!err && len <= max) {
		n = read(fd, text + len, max + 1 - len);
		if (n < 0 && errno != EINTR)
			err = -errno;
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (!err && len > max)
		err = -EFBIG;
	if (err) {
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int file_write_at(int dir, const char *path, const char *text, size_t len, unsigned mode)
{
	char temporary[4096];
	int fd, err;

	if (snprintf(temporary, sizeof(temporary), "%s.partial", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	err = file_write_all(fd, text, len);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(dir, temporary, dir, path))
		err = -errno;
	if (err)
		unlinkat(dir, temporary, 0);
	return err;
}

int file_make_parents(int dir, const char *path)
{
	char part[4096];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, len + 1);
	for (size_t i = 1; i < len; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		if (mkdirat(dir, part, 0755) && errno != EEXIST)
			return -errno;
		part[i] = '/';
	}
	return 0;
}

static int copy(int from_dir, const char *from, int to_dir, const char *to)
{
	int in = openat(from_dir, from, O_RDONLY | O_CLOEXEC), out, err = 0;
	char *buffer = malloc(COPY_SIZE);
	ssize_t n = 1;

	out = in < 0 ? -1 : openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out < 0 || !buffer)
		err = -errno;
	while (!err && n) {
		n = read(in, buffer, COPY_SIZE);
		if (n < 0 && errno != EINTR)
			err = -errno;
		if (n > 0)
			err = file_write_all(out, buffer, (size_t)n);
	}
	free(buffer);
	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) && !err)
		err = -errno;
	return err;
}

int file_link(int from_dir, const char *from, int to_dir, const char *to)
{
	unlinkat(to_dir, to, 0);
	if (!linkat(from_dir, from, to_dir, to, 0))
		return 0;
	if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
		return -errno;
	return copy(from_dir, from, to_dir, to);
}

int file_remove_tree(const char *path)
{
	char *paths[] = { (char *)path, NULL };
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	FTSENT *entry;
	int err = 0;

	if (!tree)
		return -errno;
	while ((entry = fts_read(tree))) {
		if (entry->fts_info == FTS_D || entry->fts_info == FTS_DC)
			continue;
		if (entry->fts_info == FTS_NS && entry->fts_errno == ENOENT)
			continue;
		if (remove(entry->fts_accpath) && errno != ENOENT)
			err = -errno;
	}
	fts_close(tree);
	return err;
}
