/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unpacks the tarballs of items: libarchive reads them, plain or compressed, and everything that
 * could reach out of the target is refused before it is written: absolute paths, "..", links that
 * lead out, devices, the same name twice, and more bytes than the manifest announced. Who unpacks
 * is root, and programs with set-id bits would be root's: who only checks refuses them. Nothing is
 * unpacked with such bits: there are signed bundles that have them.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_impl.h"

#define ENTRIES_MAX 500000
#define BLOCK_SIZE  (256 * 1024)
#define MODE	    (S_ISVTX | S_IRWXU | S_IRWXG | S_IRWXO)
#define ENTER	    0555

struct untar {
	struct archive *in, *out; /* out: NULL only checks */
	json_t *seen;
	uint64_t limit;
	struct bundle_unpacked done;
	struct bundle_error *error;
};

static int refuse(struct untar *untar, const char *name, const char *why)
{
	return bundle_failed(untar->error, -EBADMSG, "the tarball's entry '%.200s' %s", name, why);
}

/* libarchive's words leave out the reason: "Write failed". */
static int not_written(struct untar *untar, const char *name)
{
	int code = archive_errno(untar->out);

	return bundle_failed(untar->error, code > 0 ? -code : -EIO, "%.200s: %s%s%s", name,
			     archive_error_string(untar->out), code > 0 ? ": " : "",
			     code > 0 ? strerror(code) : "");
}

/* "./a/b/" is "a/b"; "" when it is the target itself. out holds 1025 bytes. */
static bool clean(const char *name, char *out)
{
	size_t len;

	while (!strncmp(name, "./", 2))
		name += 2 + strspn(name + 2, "/");
	if (!strcmp(name, "."))
		name = "";
	len = strlen(name);
	while (len && name[len - 1] == '/')
		len--;
	if (len > 1024)
		return false;
	memcpy(out, name, len);
	out[len] = '\0';
	return !len || (!strstr(out, "//") && name[0] != '/');
}

static bool plain(const char *path)
{
	size_t len;

	for (;; path += len + 1) {
		len = strcspn(path, "/");
		if (!len || len > 255 || (len == 1 && path[0] == '.') ||
		    (len == 2 && !memcmp(path, "..", 2)))
			return false;
		if (!path[len])
			return true;
	}
}

/*
 * Does a relative link at path stay below the target? Only "../" first and then names: a ".." after
 * a name that is itself a link would lead elsewhere than it looks.
 */
static bool stays(const char *path, const char *target)
{
	bool down = false;
	int depth = 0;
	size_t len;

	for (const char *c = path; *c; c++)
		depth += *c == '/';
	if (target[0] == '/' || !*target)
		return false;
	for (;; target += len + 1) {
		len = strcspn(target, "/");
		if (len == 2 && !memcmp(target, "..", 2)) {
			if (down || --depth < 0)
				return false;
		} else if (len && !(len == 1 && *target == '.')) {
			down = true;
		}
		if (!target[len])
			return true;
	}
}

/* Is one of the directories above path a link of this tarball? */
static bool through_link(const json_t *seen, const char *path)
{
	char above[1025];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		memcpy(above, path, (size_t)(slash - path));
		above[slash - path] = '\0';
		if (json_is_false(json_object_get(seen, above)))
			return true;
	}
	return false;
}

static int check_entry(struct untar *untar, struct archive_entry *entry, char *path)
{
	const char *name = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
	mode_t type = archive_entry_filetype(entry);
	char other[1025];

	if (!name || !clean(name, path))
		return refuse(untar, name ? name : "?", "has a path that is not plain");
	/* A directory's says who its files belong to: harmless, and usual where groups work. */
	if (!untar->out && type != AE_IFDIR && (archive_entry_perm(entry) & (S_ISUID | S_ISGID)))
		return refuse(untar, name, "has a set-id bit");
	archive_entry_set_perm(entry, archive_entry_perm(entry) & MODE);
	if (!*path)
		return type == AE_IFDIR ? 0 : refuse(untar, name, "is the target itself");
	if (!plain(path))
		return refuse(untar, name, "leads out of the target");
	if (through_link(untar->seen, path))
		return refuse(untar, name, "goes through a link");
	if (json_object_get(untar->seen, path) &&
	    (type != AE_IFDIR || json_is_false(json_object_get(untar->seen, path))))
		return refuse(untar, name, "is there twice");
	if (json_object_set_new_nocheck(untar->seen, path,
					type == AE_IFLNK ? json_false() : json_true()))
		return refuse(untar, name, "cannot be remembered: out of memory");
	if (json_object_size(untar->seen) > ENTRIES_MAX)
		return refuse(untar, name, "is one too many");
	if (link) {
		if (!clean(link, other) || !*other || !plain(other) ||
		    !json_object_get(untar->seen, other))
			return refuse(untar, name, "is a link to something not in it");
		archive_entry_set_hardlink(entry, other);
	} else if (type == AE_IFLNK) {
		if (!archive_entry_symlink(entry) || !stays(path, archive_entry_symlink(entry)))
			return refuse(untar, name, "is a link that leads out of the target");
	} else if (type != AE_IFREG && type != AE_IFDIR) {
		return refuse(untar, name, "is neither file, directory nor link");
	}
	archive_entry_set_pathname(entry, path);
	return 0;
}

static int copy_data(struct untar *untar, const char *name, char *buffer)
{
	la_ssize_t n;

	while ((n = archive_read_data(untar->in, buffer, BLOCK_SIZE)) > 0) {
		untar->done.bytes += (uint64_t)n;
		if (untar->done.bytes > untar->limit)
			return refuse(untar, name, "makes it larger than it may be");
		if (untar->out && archive_write_data(untar->out, buffer, (size_t)n) != n)
			return not_written(untar, name);
	}
	return n < 0 ? refuse(untar, name, "is damaged") : 0;
}

static int take_all(struct untar *untar, char *buffer)
{
	struct archive_entry *entry;
	char path[1025];
	int status, err;

	while ((status = archive_read_next_header(untar->in, &entry)) == ARCHIVE_OK) {
		err = check_entry(untar, entry, path);
		if (err)
			return err;
		/* Who packs a directory of mktemp's does not mean to shut everybody out. */
		if (!*path)
			untar->done.opened = (archive_entry_perm(entry) & ENTER) != ENTER;
		if (!*path && untar->out && chmod(".", archive_entry_perm(entry) | ENTER))
			return bundle_failed(untar->error, -errno, "the target: %s",
					     strerror(errno));
		if (!*path)
			continue;
		untar->done.entries++;
		if (untar->out && archive_write_header(untar->out, entry) != ARCHIVE_OK)
			return not_written(untar, path);
		err = copy_data(untar, path, buffer);
		if (!err && untar->out && archive_write_finish_entry(untar->out) != ARCHIVE_OK)
			err = not_written(untar, path);
		if (err)
			return err;
	}
	if (status == ARCHIVE_EOF && untar->done.entries)
		return 0;
	return bundle_failed(untar->error, -EBADMSG, "no tarball: %s",
			     status == ARCHIVE_EOF	       ? "it is empty"
			     : archive_error_string(untar->in) ? archive_error_string(untar->in)
							       : "it is damaged");
}

static int run(struct untar *untar, int fd)
{
	char *buffer = malloc(BLOCK_SIZE);
	int err;

	if (!buffer || !untar->in || !untar->seen) {
		free(buffer);
		return bundle_failed(untar->error, -ENOMEM, "out of memory");
	}
	archive_read_support_filter_gzip(untar->in);
	archive_read_support_filter_xz(untar->in);
	archive_read_support_filter_zstd(untar->in);
	archive_read_support_format_tar(untar->in);
	if (archive_read_open_fd(untar->in, fd, BLOCK_SIZE) != ARCHIVE_OK)
		err = bundle_failed(untar->error, -EBADMSG, "no tarball: %s",
				    archive_error_string(untar->in));
	else
		err = take_all(untar, buffer);
	if (!err && untar->out && archive_write_close(untar->out) != ARCHIVE_OK)
		err = bundle_failed(untar->error, -EIO, "%s", archive_error_string(untar->out));
	free(buffer);
	return err;
}

int bundle_untar(int fd, const char *target, uint64_t limit, struct bundle_unpacked *ret_unpacked,
		 struct bundle_error *error)
{
	struct untar untar = { .limit = limit, .error = error };
	int before = -1, err = 0;

	if (target) {
		/* libarchive's secure flags are about paths relative to where we are. */
		before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (before < 0 || chdir(target)) {
			err = bundle_failed(error, -errno, "%s: %s", target, strerror(errno));
			goto out;
		}
		untar.out = archive_write_disk_new();
		if (!untar.out) {
			err = bundle_failed(error, -ENOMEM, "out of memory");
			goto out;
		}
		/* Modes as they are, whatever the umask; owners are never set. */
		archive_write_disk_set_options(untar.out, ARCHIVE_EXTRACT_SECURE_NODOTDOT |
								  ARCHIVE_EXTRACT_SECURE_SYMLINKS |
								  ARCHIVE_EXTRACT_TIME |
								  ARCHIVE_EXTRACT_PERM);
	}
	untar.in = archive_read_new();
	untar.seen = json_object();
	err = run(&untar, fd);
	if (!err)
		*ret_unpacked = untar.done;
out:
	archive_read_free(untar.in);
	archive_write_free(untar.out);
	json_decref(untar.seen);
	if (before >= 0) {
		if (fchdir(before) && !err)
			err = bundle_failed(error, -errno, "cannot go back: %s", strerror(errno));
		close(before);
	}
	return err;
}
