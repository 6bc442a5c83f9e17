/* SPDX-License-Identifier: BSD-2-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	size_t len = 0, room = 0;
	char *text = NULL;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (!err && n) {
		if (len == room) {
			char *larger = realloc(text, (room = room ? 2 * room : 4096) + 1);

			if (!larger) {
				err = -ENOMEM;
				break;
			}
			text = larger;
		}
		n = read(fd, text + len, room - len);
		if (n < 0 && errno != EINTR)
			err = -errno;
		len += n > 0 ? (size_t)n : 0;
		if (len > max)
			err = -EFBIG;
	}
	close(fd);
	if (err) {
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret_text = text;
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX] = ".";
	int fd, err;

	if (slash && snprintf(directory, sizeof(directory), "%.*s",
			      slash == path ? 1 : (int)(slash - path), path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	return err;
}

int file_write_all(int fd, const void *data, size_t len)
{
	const char *rest = data;

	while (len) {
		ssize_t n = write(fd, rest, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		rest += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write(const char *path, const void *data, size_t len, mode_t mode)
{
	return file_write_as(path, data, len, mode, (uid_t)-1, (gid_t)-1);
}

int file_write_as(const char *path, const void *data, size_t len, mode_t mode, uid_t uid, gid_t gid)
{
	const char *slash = strrchr(path, '/');
	int head = slash ? (int)(slash - path) + 1 : 0, fd, err;
	char temporary[PATH_MAX];

	if (snprintf(temporary, sizeof(temporary), "%.*s.%s.new", head, path, path + head) >=
	    PATH_MAX)
		return -ENAMETOOLONG;
	if (unlink(temporary) && errno != ENOENT)
		return -errno;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = file_write_all(fd, data, len);
	/* The owner first: a change of it takes set-id bits away. */
	if (!err && (fchown(fd, uid, gid) || fchmod(fd, mode)))
		err = -errno;
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	if (!err && rename(temporary, path))
		err = -errno;
	if (err) {
		unlink(temporary);
		return err;
	}
	return file_sync_directory(path);
}

int file_make_directories(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (!len || len >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) && errno != EEXIST)
			return -errno;
	}
	return 0;
}
