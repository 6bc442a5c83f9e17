/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * .deb: deb(5). libarchive reads the ar members, and the tar inside control.tar.*; ours
 * are only the limits and the few fields of the control file that name the package.
 */
#include "package.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../lib/text.h"

#define CONTROL_TAR_MAX	 (8 * 1024 * 1024)  /* control.tar.*, as stored */
#define CONTROL_TAR_FULL (64 * 1024 * 1024) /* the same unpacked: a bomb ends here */
#define CONTROL_MAX	 (256 * 1024)	    /* the control file */
#define MEMBERS_MAX	 4096		    /* entries in control.tar */

static const char *const kind_names[] = {
	[PACKAGE_FILE] = "file",
	[PACKAGE_DEB] = "deb",
	[PACKAGE_RPM] = "rpm",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == PACKAGE_KINDS, "kind_names");

const char *package_kind_name(enum package_kind kind)
{
	return kind_names[kind];
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && !strcmp(text + len - end_len, end);
}

enum package_kind package_kind_of(const char *filename)
{
	if (ends_with(filename, ".deb"))
		return PACKAGE_DEB;
	return ends_with(filename, ".rpm") ? PACKAGE_RPM : PACKAGE_FILE;
}

int package_canonical_name(const struct package_info *info, char *out, size_t size)
{
	const char *version = info->version, *colon;
	int n;

	/* As dpkg-name(1) does: the epoch is not part of a file's name. */
	colon = strchr(version, ':');
	if (colon)
		version = colon + 1;
	n = snprintf(out, size, info->kind == PACKAGE_RPM ? "%s-%s.%s.rpm" : "%s_%s_%s.deb",
		     info->name, version, info->arch);
	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* Copies a field's value, cleaned: old packages have descriptions in Latin-1, and JSON takes none.
 */
static void copy_text(char *out, size_t size, const char *text, size_t len)
{
	char *whole = strndup(text, len);

	text_copy(out, size, whole ? whole : "", false);
	free(whole);
}

static int take_field(struct package_info *info, const char *name, size_t name_len,
		      const char *value, size_t len)
{
	static const char *const names[] = { "Package", "Version", "Architecture", "Description" };
	char *const targets[] = { info->name, info->version, info->arch, info->summary };
	const size_t sizes[] = { sizeof(info->name), sizeof(info->version), sizeof(info->arch),
				 sizeof(info->summary) };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) != name_len || strncasecmp(names[i], name, name_len))
			continue;
		if (targets[i][0])
			return -EBADMSG; /* which of the two would apt believe? */
		if (targets[i] != info->summary && (len >= sizes[i] || memchr(value, '\0', len)))
			return -EBADMSG;
		copy_text(targets[i], sizes[i], value, len);
	}
	return 0;
}

/* deb-control(5): "Name: value" lines, continuations start with a blank; one paragraph. */
static int parse_control(const char *text, size_t len, struct package_info *info,
			 const char **ret_why)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end, *colon, *value;

		if (text == line_end)
			break;
		if (*text != ' ' && *text != '\t' && *text != '#') {
			colon = memchr(text, ':', (size_t)(line_end - text));
			if (!colon || colon == text) {
				*ret_why = "its control file has a line that is no field";
				return -EBADMSG;
			}
			value = colon + 1;
			while (value < line_end && (*value == ' ' || *value == '\t'))
				value++;
			while (line_end > value && (line_end[-1] == ' ' || line_end[-1] == '\t' ||
						    line_end[-1] == '\r'))
				line_end--;
			if (take_field(info, text, (size_t)(colon - text), value,
				       (size_t)(line_end - value))) {
				*ret_why = "its control file repeats a field or has one too long";
				return -EBADMSG;
			}
		}
		text = newline ? newline + 1 : end;
	}
	if (!name_package_valid(info->name) || !name_version_valid(info->version) ||
	    !name_arch_valid(info->arch)) {
		*ret_why = "its control file lacks a valid Package, Version or Architecture";
		return -EBADMSG;
	}
	return 0;
}

/* Reads the current entry whole, at most max bytes. The caller frees *ret_data. */
static int read_entry(struct archive *archive, size_t max, char **ret_data, size_t *ret_len)
{
	size_t cap = 16384, len = 0;
	char *data = malloc(cap), *more;
	la_ssize_t n;

	while (data) {
		n = archive_read_data(archive, data + len, cap - len);
		if (n == 0) {
			*ret_data = data;
			*ret_len = len;
			return 0;
		}
		if (n < 0)
			break;
		len += (size_t)n;
		if (len > max)
			break;
		if (len == cap) {
			cap *= 2;
			more = realloc(data, cap);
			if (!more)
				break;
			data = more;
		}
	}
	if (!data)
		return -ENOMEM;
	free(data);
	return -EBADMSG;
}

static bool is_control(const char *path)
{
	if (path && path[0] == '.' && path[1] == '/')
		path += 2;
	return path && !strcmp(path, "control");
}

/* control.tar.* as it unpacks. What the tar reader skips is unpacked too, and has to be counted. */
struct unpacked {
	struct archive *archive;
	uint64_t bytes;
};

static la_ssize_t unpack(struct archive *tar, void *arg, const void **ret_data)
{
	struct unpacked *unpacked = arg;
	la_int64_t offset;
	size_t len = 0;
	int result;

	do
		result = archive_read_data_block(unpacked->archive, ret_data, &len, &offset);
	while (result == ARCHIVE_OK && !len);
	if (result == ARCHIVE_EOF)
		return 0;
	unpacked->bytes += len;
	if (result == ARCHIVE_OK && unpacked->bytes <= CONTROL_TAR_FULL)
		return (la_ssize_t)len;
	archive_set_error(tar, EIO, "damaged, or too large");
	return -1;
}

static int open_unpacked(const void *data, size_t len, struct archive **ret_archive)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;

	*ret_archive = archive;
	if (!archive)
		return -ENOMEM;
	archive_read_support_filter_gzip(archive);
	archive_read_support_filter_xz(archive);
	archive_read_support_filter_zstd(archive);
	archive_read_support_format_raw(archive);
	if (archive_read_open_memory(archive, data, len) != ARCHIVE_OK ||
	    archive_read_next_header(archive, &entry) != ARCHIVE_OK)
		return -EBADMSG;
	/* Packed once, beside "none", or what is unpacked in between would have to be counted too.
	 */
	return archive_filter_count(archive) > 2 ? -EBADMSG : 0;
}

static int find_control(struct archive *tar, struct package_info *info, const char **ret_why)
{
	struct archive_entry *entry;
	char *control;
	size_t len;
	int result, err;

	for (int i = 0; i < MEMBERS_MAX; i++) {
		result = archive_read_next_header(tar, &entry);
		if (result == ARCHIVE_EOF)
			*ret_why = "its control.tar has no control file";
		if (result != ARCHIVE_OK)
			return -EBADMSG;
		if (!is_control(archive_entry_pathname(entry)))
			continue;
		if (archive_entry_filetype(entry) != AE_IFREG) {
			*ret_why = "its control file is no regular file";
			return -EBADMSG;
		}
		if (read_entry(tar, CONTROL_MAX, &control, &len)) {
			*ret_why = "its control file is damaged or over 256 KiB";
			return -EBADMSG;
		}
		err = parse_control(control, len, info, ret_why);
		free(control);
		return err;
	}
	*ret_why = "its control.tar has too many members";
	return -EBADMSG;
}

static int read_control_tar(const void *data, size_t len, struct package_info *info,
			    const char **ret_why)
{
	struct unpacked unpacked = { .bytes = 0 };
	struct archive *tar = archive_read_new();
	int err = tar ? open_unpacked(data, len, &unpacked.archive) : -ENOMEM;

	*ret_why = "its control.tar cannot be read";
	if (!err) {
		archive_read_support_format_tar(tar);
		err = archive_read_open(tar, &unpacked, NULL, unpack, NULL) == ARCHIVE_OK
			      ? find_control(tar, info, ret_why)
			      : -EBADMSG;
	}
	if (err && unpacked.bytes > CONTROL_TAR_FULL)
		*ret_why = "its control.tar unpacks to more than 64 MiB";
	archive_read_free(tar);
	archive_read_free(unpacked.archive);
	return err;
}

static bool next_is(struct archive *archive, struct archive_entry **ret_entry, const char *prefix)
{
	const char *path;

	if (archive_read_next_header(archive, ret_entry) != ARCHIVE_OK)
		return false;
	path = archive_entry_pathname(*ret_entry);
	return path && !strncmp(path, prefix, strlen(prefix));
}

int package_read_deb(int fd, struct package_info *ret_info, const char **ret_why)
{
	struct archive *archive = archive_read_new();
	struct package_info info = { .kind = PACKAGE_DEB };
	struct archive_entry *entry;
	char *data = NULL;
	size_t len;
	int err = -EBADMSG;

	if (!archive)
		return -ENOMEM;
	*ret_why = "it is no .deb archive";
	archive_read_support_format_ar(archive);
	if (lseek(fd, 0, SEEK_SET) < 0 || archive_read_open_fd(archive, fd, 65536) != ARCHIVE_OK)
		goto out;
	/* deb(5): the order of the members is fixed. */
	if (!next_is(archive, &entry, "debian-binary") || read_entry(archive, 64, &data, &len))
		goto out;
	if (len < 4 || memcmp(data, "2.", 2) != 0) {
		*ret_why = "its debian-binary member names another format version";
		goto out;
	}
	free(data);
	data = NULL;
	if (!next_is(archive, &entry, "control.tar")) {
		*ret_why = "its second member is not control.tar";
		goto out;
	}
	if (read_entry(archive, CONTROL_TAR_MAX, &data, &len)) {
		*ret_why = "its control.tar is damaged or over 8 MiB";
		goto out;
	}
	err = read_control_tar(data, len, &info, ret_why);
	if (err)
		goto out;
	err = -EBADMSG;
	if (!next_is(archive, &entry, "data.tar")) {
		*ret_why = "its third member is not data.tar";
		goto out;
	}
	*ret_info = info;
	err = 0;
out:
	free(data);
	archive_read_free(archive);
	return err;
}
