/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * .rpm: a 96-byte lead, then two headers of one format (the signature's, padded to eight
 * bytes, and the package's). A header is a magic, two big-endian counts, an index of
 * 16-byte entries {tag, type, offset, count} and a store of bytes (RPM file format,
 * "Header structure", Linux Standard Base 22.2). libarchive knows the outside of an rpm
 * only as a filter, so the few tags needed are read here.
 */
#include "package.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAD_SIZE     96
#define ENTRIES_MAX   65536
#define STORE_MAX     (64 * 1024 * 1024)
#define SIGNATURE_MAX (1024 * 1024)

enum { TAG_NAME = 1000, TAG_VERSION = 1001, TAG_RELEASE = 1002, TAG_EPOCH = 1003 };
enum { TAG_SUMMARY = 1004, TAG_ARCH = 1022, TAG_SOURCEPACKAGE = 1106 };
enum { TYPE_INT32 = 4, TYPE_STRING = 6, TYPE_I18NSTRING = 9 };

struct header {
	uint8_t *data; /* index, then store */
	uint32_t entries, store_len;
};

struct index_entry {
	uint32_t tag, type, offset, count;
};

static bool read_whole(int fd, void *out, size_t len, off_t at)
{
	uint8_t *bytes = out;

	while (len) {
		ssize_t n = pread(fd, bytes, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
		at += n;
	}
	return true;
}

static uint32_t get_be32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

/* Reads the counts of the header at a place; false when it is none or too large. */
static bool read_counts(int fd, off_t at, uint32_t store_max, struct header *ret_header)
{
	static const uint8_t magic[4] = { 0x8e, 0xad, 0xe8, 0x01 };
	uint8_t intro[16];

	if (!read_whole(fd, intro, sizeof(intro), at) || memcmp(intro, magic, sizeof(magic)) != 0)
		return false;
	ret_header->entries = get_be32(intro + 8);
	ret_header->store_len = get_be32(intro + 12);
	return ret_header->entries && ret_header->entries <= ENTRIES_MAX &&
	       ret_header->store_len <= store_max;
}

static struct index_entry entry_at(const struct header *header, uint32_t i)
{
	const uint8_t *raw = header->data + 16 * (size_t)i;

	return (struct index_entry){ get_be32(raw), get_be32(raw + 4), get_be32(raw + 8),
				     get_be32(raw + 12) };
}

static bool find_tag(const struct header *header, uint32_t tag, struct index_entry *ret_entry)
{
	for (uint32_t i = 0; i < header->entries; i++) {
		struct index_entry entry = entry_at(header, i);

		if (entry.tag != tag)
			continue;
		if (entry.offset >= header->store_len || !entry.count)
			return false;
		*ret_entry = entry;
		return true;
	}
	return false;
}

/* The tag's (first) string, which must end inside the store; NULL otherwise. */
static const char *get_string(const struct header *header, uint32_t tag)
{
	const uint8_t *store = header->data + 16 * (size_t)header->entries;
	struct index_entry entry;

	if (!find_tag(header, tag, &entry) ||
	    (entry.type != TYPE_STRING && entry.type != TYPE_I18NSTRING))
		return NULL;
	if (!memchr(store + entry.offset, '\0', header->store_len - entry.offset))
		return NULL;
	return (const char *)store + entry.offset;
}

static bool get_number(const struct header *header, uint32_t tag, uint32_t *ret_number)
{
	const uint8_t *store = header->data + 16 * (size_t)header->entries;
	struct index_entry entry;

	if (!find_tag(header, tag, &entry) || entry.type != TYPE_INT32 ||
	    header->store_len - entry.offset < 4)
		return false;
	*ret_number = get_be32(store + entry.offset);
	return true;
}

static int take_tags(const struct header *header, struct package_info *info, const char **ret_why)
{
	const char *name = get_string(header, TAG_NAME), *version = get_string(header, TAG_VERSION);
	const char *release = get_string(header, TAG_RELEASE), *arch = get_string(header, TAG_ARCH);
	const char *summary = get_string(header, TAG_SUMMARY);
	uint32_t epoch = 0;
	size_t used = 0;
	int n;

	*ret_why = "its header lacks a valid name, version, release or architecture";
	if (!name || !version || !release || !arch || strlen(name) >= sizeof(info->name) ||
	    strlen(arch) >= sizeof(info->arch))
		return -EBADMSG;
	if (get_number(header, TAG_EPOCH, &epoch) && epoch)
		n = snprintf(info->version, sizeof(info->version), "%u:%s-%s", epoch, version,
			     release);
	else
		n = snprintf(info->version, sizeof(info->version), "%s-%s", version, release);
	if (n < 0 || (size_t)n >= sizeof(info->version))
		return -EBADMSG;
	strcpy(info->name, name);
	/* Source packages carry the builder's architecture; their trees are named "src". */
	strcpy(info->arch, get_number(header, TAG_SOURCEPACKAGE, &epoch) ? "src" : arch);
	if (!name_package_valid(info->name) || !name_version_valid(info->version) ||
	    !name_arch_valid(info->arch))
		return -EBADMSG;
	for (; summary && *summary && used < PACKAGE_SUMMARY_MAX; summary++)
		if ((unsigned char)*summary >= 0x20 && (unsigned char)*summary < 0x7f)
			info->summary[used++] = *summary;
	return 0;
}

int package_read_rpm(int fd, struct package_info *ret_info, const char **ret_why)
{
	static const uint8_t lead_magic[4] = { 0xed, 0xab, 0xee, 0xdb };
	struct package_info info = { .kind = PACKAGE_RPM };
	struct header header = { 0 };
	uint8_t lead[LEAD_SIZE];
	off_t at = LEAD_SIZE;
	size_t len;
	int err;

	*ret_why = "it is no .rpm package";
	if (!read_whole(fd, lead, sizeof(lead), 0) || memcmp(lead, lead_magic, 4) != 0)
		return -EBADMSG;
	*ret_why = "its signature header is damaged or too large";
	if (!read_counts(fd, at, SIGNATURE_MAX, &header))
		return -EBADMSG;
	at += 16 + 16 * (off_t)header.entries + ((header.store_len + 7u) & ~7u);
	*ret_why = "its header is damaged or over 64 MiB";
	if (!read_counts(fd, at, STORE_MAX, &header))
		return -EBADMSG;
	len = 16 * (size_t)header.entries + header.store_len;
	header.data = malloc(len);
	if (!header.data)
		return -ENOMEM;
	err = read_whole(fd, header.data, len, at + 16) ? take_tags(&header, &info, ret_why)
							: -EBADMSG;
	free(header.data);
	if (!err)
		*ret_info = info;
	return err;
}
