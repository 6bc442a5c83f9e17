/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The container's entries: libarchive reads the tar, and everything that is not a plain ustar file
 * header for one of our three kinds of names, directly behind the entry before, is refused: no
 * links, no directories, no extension headers, no gaps, nothing behind the end. What is left has
 * one meaning for every tar program. Only headers are read. Fuzzed by fuzz_bundle.c.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_impl.h"

#define BLOCK	 512
#define END_MAX	 (64 * 1024) /* zeros behind the last entry: tar(1)'s largest usual record */
#define BLOB_DIR "blobs/sha256/"

/* What libarchive reads from. */
struct feed {
	struct bundle_source *source;
	uint64_t offset;
	char buffer[4096];
};

static la_ssize_t feed_read(struct archive *archive, void *arg, const void **ret_buffer)
{
	struct feed *feed = arg;
	size_t len = sizeof(feed->buffer);
	ssize_t n;

	*ret_buffer = feed->buffer;
	if (feed->offset >= feed->source->size)
		return 0;
	if (len > feed->source->size - feed->offset)
		len = feed->source->size - feed->offset;
	n = feed->source->read(feed->source, feed->buffer, len, feed->offset);
	if (n < 0) {
		archive_set_error(archive, (int)-n, "%s", strerror((int)-n));
		return ARCHIVE_FATAL;
	}
	feed->offset += (uint64_t)n;
	return n;
}

static la_int64_t feed_skip(struct archive *archive, void *arg, la_int64_t request)
{
	struct feed *feed = arg;
	uint64_t left = feed->source->size - feed->offset;

	if (request < 0)
		return 0;
	if ((uint64_t)request > left)
		request = (la_int64_t)left;
	feed->offset += (uint64_t)request;
	return request;
}

/* POSIX pax(1), "ustar Interchange Format". */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100],
		magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8], prefix[155],
		pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "ustar header");

static int read_whole(struct bundle_source *source, void *buffer, size_t len, uint64_t offset)
{
	char *at = buffer;
	ssize_t n;

	while (len) {
		if (offset >= source->size)
			return -ENODATA;
		n = source->read(source, at, len, offset);
		if (n < 0)
			return (int)n;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

struct scan {
	struct bundle_source *source;
	struct bundle_place *place;
	struct bundle_error *error;
	uint64_t next; /* where the next header must be */
	size_t number, capacity;
};

static int refuse(struct scan *scan, const char *format, const char *what)
{
	char why[200];

	snprintf(why, sizeof(why), format, what);
	return bundle_failed(scan->error, -EBADMSG, "%s: entry %zu at byte %llu %s",
			     scan->source->name, scan->number + 1, (unsigned long long)scan->next,
			     why);
}

/* Is the header what it must be, by its own bytes? libarchive has verified its sum. */
static int check_header(struct scan *scan, const char *name)
{
	struct header header;
	int err = read_whole(scan->source, &header, sizeof(header), scan->next);

	if (err)
		return bundle_failed(scan->error, err, "%s: %s", scan->source->name,
				     strerror(-err));
	if (memcmp(header.magic, "ustar", 6) != 0 || header.type != '0' || header.prefix[0] ||
	    header.link[0] || (header.size[0] & 0x80) || header.name[99] ||
	    strcmp(header.name, name) != 0)
		return refuse(scan, "is no plain file of a ustar archive%s", "");
	return 0;
}

static int add_blob(struct scan *scan, const char *digest, uint64_t size)
{
	struct bundle_place *place = scan->place;
	struct bundle_entry *more, *entry;

	if (place->entries_count >= BUNDLE_BLOBS_MAX + 2)
		return refuse(scan, "is one more than may be%s", "");
	if (place->entries_count == scan->capacity) {
		scan->capacity = scan->capacity ? scan->capacity * 2 : 64;
		more = realloc(place->entries, scan->capacity * sizeof(*more));
		if (!more)
			return bundle_failed(scan->error, -ENOMEM, "out of memory");
		place->entries = more;
	}
	entry = &place->entries[place->entries_count++];
	memcpy(entry->digest, digest, NAME_DIGEST_LEN + 1);
	entry->offset = scan->next + BLOCK;
	entry->size = size;
	return 0;
}

static int check_layout(struct scan *scan, uint64_t size)
{
	char layout[sizeof(BUNDLE_LAYOUT) - 1];

	if (size != sizeof(layout) ||
	    read_whole(scan->source, layout, sizeof(layout), scan->next + BLOCK) ||
	    memcmp(layout, BUNDLE_LAYOUT, sizeof(layout)) != 0)
		return refuse(scan, "is not the oci-layout of a bundle%s", "");
	return 0;
}

/* oci-layout first, index.json second, then blobs. */
static int take_name(struct scan *scan, const char *name, uint64_t size)
{
	static const char *const first[] = { "oci-layout", "index.json" };
	const size_t dir = sizeof(BLOB_DIR) - 1;

	if (scan->number < 2 && strcmp(name, first[scan->number]) != 0)
		return refuse(scan, "is not %s: this is no bundle", first[scan->number]);
	if (scan->number == 0)
		return check_layout(scan, size);
	if (scan->number == 1) {
		if (size > BUNDLE_INDEX_MAX)
			return refuse(scan, "(%s) is too large", name);
		scan->place->index_offset = scan->next + BLOCK;
		scan->place->index_size = size;
		return 0;
	}
	if (strncmp(name, BLOB_DIR, dir) != 0 || !name_hex_valid(name + dir, NAME_DIGEST_LEN))
		return refuse(scan, "does not belong into a bundle%s", "");
	return add_blob(scan, name + dir, size);
}

/* Headers are there, but does the file go on to the end of what this one promises? */
static int check_room(struct scan *scan, const char *name, uint64_t size)
{
	uint64_t left = scan->source->size - scan->next;
	const char *digest = strrchr(name, '/');

	if (left >= BLOCK && size <= left - BLOCK)
		return 0;
	bundle_failed(scan->error, -EBADMSG,
		      "%s is truncated: it ends in %s, %llu of whose %llu bytes are missing",
		      scan->source->name, name,
		      (unsigned long long)(size - (left < BLOCK ? 0 : left - BLOCK)),
		      (unsigned long long)size);
	if (digest)
		snprintf(scan->error->blob, sizeof(scan->error->blob), "%s", digest + 1);
	return -EBADMSG;
}

static int take_entry(struct scan *scan, struct archive *archive, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	la_int64_t size = archive_entry_size(entry);
	int err;

	if (!name || archive_read_header_position(archive) != (la_int64_t)scan->next)
		return refuse(scan, "is not directly behind the one before%s", "");
	err = check_header(scan, name);
	if (err)
		return err;
	if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
	    archive_entry_symlink(entry) || archive_entry_sparse_count(entry) || size < 0 ||
	    (uint64_t)size > BUNDLE_BLOB_MAX)
		return refuse(scan, "is no plain file%s", "");
	err = check_room(scan, name, (uint64_t)size);
	if (!err)
		err = take_name(scan, name, (uint64_t)size);
	if (err)
		return err;
	scan->next += BLOCK + ((uint64_t)size + BLOCK - 1) / BLOCK * BLOCK;
	scan->number++;
	return 0;
}

/* Two blocks of zeros end a tar; without them the last parts are missing. */
static int check_end(struct scan *scan)
{
	uint64_t left = scan->source->size > scan->next ? scan->source->size - scan->next : 0;
	char block[BLOCK];
	int err;

	if (scan->number < 2 || left < (uint64_t)2 * BLOCK)
		return bundle_failed(scan->error, -EBADMSG,
				     "%s is truncated: it ends after %zu entries, without an end",
				     scan->source->name, scan->number);
	if (left > END_MAX)
		return bundle_failed(scan->error, -EBADMSG, "%s: something follows its end",
				     scan->source->name);
	for (; left; left -= left < BLOCK ? left : BLOCK) {
		size_t len = left < BLOCK ? (size_t)left : BLOCK;

		err = read_whole(scan->source, block, len, scan->source->size - left);
		if (err)
			return bundle_failed(scan->error, err, "%s: %s", scan->source->name,
					     strerror(-err));
		for (size_t i = 0; i < len; i++)
			if (block[i])
				return bundle_failed(scan->error, -EBADMSG,
						     "%s: something follows its end",
						     scan->source->name);
	}
	return 0;
}

static int scan_all(struct scan *scan, struct archive *archive)
{
	struct archive_entry *entry;
	int status, err;

	while ((status = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
		err = take_entry(scan, archive, entry);
		if (err)
			return err;
	}
	if (status == ARCHIVE_EOF)
		return check_end(scan);
	return refuse(scan, "cannot be read: %.100s",
		      archive_error_string(archive) ? archive_error_string(archive) : "no tar");
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp((*(const struct bundle_entry *const *)a)->digest,
		      (*(const struct bundle_entry *const *)b)->digest);
}

static int sort_entries(struct scan *scan)
{
	struct bundle_place *place = scan->place;

	place->sorted = calloc(place->entries_count + 1, sizeof(struct bundle_entry *));
	if (!place->sorted)
		return bundle_failed(scan->error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < place->entries_count; i++)
		place->sorted[i] = &place->entries[i];
	qsort(place->sorted, place->entries_count, sizeof(struct bundle_entry *), compare_entries);
	for (size_t i = 1; i < place->entries_count; i++)
		if (!compare_entries(&place->sorted[i - 1], &place->sorted[i]))
			return bundle_blob_failed(scan->error, place->sorted[i]->digest, -EBADMSG,
						  "is there twice");
	return 0;
}

int bundle_tar_scan(struct bundle_source *source, struct bundle_place *ret_place,
		    struct bundle_error *error)
{
	struct bundle_place place = { .dir = -1 };
	struct scan scan = { .source = source, .place = &place, .error = error };
	struct archive *archive = archive_read_new();
	struct feed *feed = calloc(1, sizeof(*feed));
	int err = -ENOMEM;

	if (archive && feed) {
		feed->source = source;
		archive_read_support_format_tar(archive);
		archive_read_set_read_callback(archive, feed_read);
		archive_read_set_skip_callback(archive, feed_skip);
		archive_read_set_callback_data(archive, feed);
		err = archive_read_open1(archive) == ARCHIVE_OK
			      ? scan_all(&scan, archive)
			      : bundle_failed(error, -EBADMSG, "%s is no bundle", source->name);
	} else {
		bundle_failed(error, err, "out of memory");
	}
	archive_read_free(archive);
	free(feed);
	if (!err)
		err = sort_entries(&scan);
	if (err) {
		bundle_place_close(&place);
		return err;
	}
	place.source = source;
	snprintf(place.name, sizeof(place.name), "%s", source->name);
	*ret_place = place;
	return 0;
}

const struct bundle_entry *bundle_place_find(const struct bundle_place *place, const char *digest)
{
	struct bundle_entry key;
	const struct bundle_entry *wanted = &key, **found;

	memcpy(key.digest, digest, NAME_DIGEST_LEN + 1);
	found = bsearch(&wanted, place->sorted, place->entries_count, sizeof(struct bundle_entry *),
			compare_entries);
	return found ? *found : NULL;
}
