/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A container's bytes on disk: one file, or NAME.001, NAME.002, … one after another, as "split"
 * writes them and "cat" joins them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_impl.h"

struct part {
	int fd;
	uint64_t from, size;
};

struct files {
	struct bundle_source source;
	size_t count;
	struct part parts[];
};

static ssize_t files_read(struct bundle_source *source, void *buffer, size_t len, uint64_t offset)
{
	struct files *files = (struct files *)source;
	size_t i = 0;
	ssize_t n;

	while (i + 1 < files->count && offset >= files->parts[i + 1].from)
		i++;
	offset -= files->parts[i].from;
	if (offset >= files->parts[i].size)
		return -EINVAL;
	if (len > files->parts[i].size - offset)
		len = files->parts[i].size - offset;
	do
		n = pread(files->parts[i].fd, buffer, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	/* It became shorter while we read. */
	return n < 0 ? -errno : n ? n : -EIO;
}

static void files_close(struct bundle_source *source)
{
	struct files *files = (struct files *)source;

	for (size_t i = 0; i < files->count; i++)
		close(files->parts[i].fd);
	free(files);
}

static struct files *files_new(size_t count, const char *name)
{
	struct files *files = calloc(1, sizeof(*files) + count * sizeof(files->parts[0]));

	if (!files)
		return NULL;
	files->source.read = files_read;
	files->source.close = files_close;
	snprintf(files->source.name, sizeof(files->source.name), "%s", name);
	return files;
}

/* Takes fd. */
static int files_add(struct files *files, int fd, const char *name, struct bundle_error *error)
{
	struct part *part = &files->parts[files->count];
	struct stat status;

	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return bundle_failed(error, -EINVAL, "%s is no file", name);
	}
	part->fd = fd;
	part->from = files->source.size;
	part->size = (uint64_t)status.st_size;
	files->source.size += part->size;
	files->count++;
	return part->size ? 0 : bundle_failed(error, -EBADMSG, "%s is empty", name);
}

int bundle_source_fd(int fd, const char *name, struct bundle_source **ret_source,
		     struct bundle_error *error)
{
	struct files *files = files_new(1, name);
	int err;

	if (!files) {
		close(fd);
		return bundle_failed(error, -ENOMEM, "out of memory");
	}
	err = files_add(files, fd, name, error);
	if (err)
		files_close(&files->source);
	else
		*ret_source = &files->source;
	return err;
}

/* All but the last are of one size: what was copied incompletely shows here, with its name. */
static int check_parts(const struct files *files, const char *base, struct bundle_error *error)
{
	for (size_t i = 1; i + 1 < files->count; i++)
		if (files->parts[i].size != files->parts[0].size)
			return bundle_failed(error, -EBADMSG,
					     "%s.%03zu is not as large as %s.001: copy it again",
					     base, i + 1, base);
	if (files->count > 1 && files->parts[files->count - 1].size > files->parts[0].size)
		return bundle_failed(error, -EBADMSG,
				     "%s.001 is smaller than %s.%03zu: copy it again", base, base,
				     files->count);
	return 0;
}

static int open_parts(const char *base, struct bundle_source **ret_source,
		      struct bundle_error *error)
{
	struct files *files = files_new(BUNDLE_PARTS_MAX, base);
	char path[4096];
	int fd, err = 0;

	if (!files)
		return bundle_failed(error, -ENOMEM, "out of memory");
	for (unsigned i = 1; !err && i <= BUNDLE_PARTS_MAX; i++) {
		snprintf(path, sizeof(path), "%s.%03u", base, i);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && errno == ENOENT) {
			/* The last, or a gap? */
			snprintf(path, sizeof(path), "%s.%03u", base, i + 1);
			if (!access(path, F_OK))
				err = bundle_failed(error, -ENOENT,
						    "%s.%03u is missing, %s.%03u is there", base, i,
						    base, i + 1);
			break;
		}
		err = fd < 0 ? bundle_failed(error, -errno, "%s: %s", path, strerror(errno))
			     : files_add(files, fd, path, error);
	}
	if (!err && !files->count)
		err = bundle_failed(error, -ENOENT, "there is no %s, and no %s.001", base, base);
	if (!err)
		err = check_parts(files, base, error);
	if (err)
		files_close(&files->source);
	else
		*ret_source = &files->source;
	return err;
}

int bundle_source_file(const char *path, struct bundle_source **ret_source,
		       struct bundle_error *error)
{
	size_t len = strlen(path);
	char base[4096];
	int fd;

	if (len >= sizeof(base) - 8)
		return bundle_failed(error, -ENAMETOOLONG, "the path is too long");
	if (len > 4 && !strcmp(path + len - 4, ".001")) {
		memcpy(base, path, len - 4);
		base[len - 4] = '\0';
		return open_parts(base, ret_source, error);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return bundle_source_fd(fd, path, ret_source, error);
	if (errno == ENOENT)
		return open_parts(path, ret_source, error);
	return bundle_failed(error, -errno, "%s: %s", path, strerror(errno));
}
