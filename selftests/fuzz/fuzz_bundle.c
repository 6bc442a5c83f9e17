/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Containers and tarballs: whatever a file holds, every entry that is let through lies inside it,
 * entries do not overlap, and no name leads anywhere.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/lib/bundle_impl.h"
#include "fuzz.h"

/* A header whose sum is wrong stops every mutation: put the right one in. */
static void mend(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + 512 <= size; at += 512) {
		unsigned sum = 8 * ' ';

		if (memcmp(data + at + 257, "ustar", 5) != 0)
			continue;
		for (size_t i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : data[at + i];
		for (int i = 5; i >= 0; i--, sum /= 8)
			data[at + 148 + i] = (uint8_t)('0' + sum % 8);
		data[at + 154] = '\0';
		data[at + 155] = ' ';
	}
}

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET))
		abort();
	return fd;
}

static void check_place(const struct bundle_place *place, size_t size)
{
	uint64_t last = place->index_offset + place->index_size;

	assert(last <= size);
	for (size_t i = 0; i < place->entries_count; i++) {
		const struct bundle_entry *entry = &place->entries[i];

		assert(name_hex_valid(entry->digest, NAME_DIGEST_LEN));
		assert(entry->offset >= last + 512 && entry->size <= size);
		last = entry->offset + entry->size;
		assert(last <= size);
		assert(bundle_place_find(place, entry->digest) == entry);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = (uint8_t *)fuzz_copy(data, size);
	struct bundle_unpacked unpacked;
	struct bundle_source *source;
	struct bundle_place place;
	struct bundle_error error;
	struct bundle *bundle;
	int fd;

	mend(copy, size);
	fd = file_of(copy, size);
	if (!bundle_untar(fd, NULL, 1024 * 1024, &unpacked, &error))
		assert(unpacked.bytes <= 1024 * 1024 && unpacked.entries);
	close(fd);
	if (!bundle_source_fd(file_of(copy, size), "fuzz", &source, &error)) {
		if (bundle_tar_scan(source, &place, &error)) {
			source->close(source);
		} else {
			check_place(&place, size);
			if (!bundle_open_places(&place, 1, NULL, &bundle, &error))
				bundle_close(bundle);
		}
	}
	free(copy);
	return 0;
}
