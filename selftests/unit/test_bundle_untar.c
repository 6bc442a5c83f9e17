/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Modes in an item's tarball: set-id bits are refused by who makes a bundle, and left out by who
 * unpacks one; the target can be entered, also when it was packed from a directory of mktemp's.
 */
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "../../user/lib/bundle.h"
#include "unit.h"

struct entry {
	const char *name;
	unsigned mode;
};

static const struct {
	const char *name;
	struct entry entries[3];
	bool made;   /* may it go into a bundle? */
	bool opened; /* is its target open to more than it says? */
} cases[] = {
	{ "plain", { { ".", S_IFDIR | 0750 }, { "run", S_IFREG | 0755 } }, true, true },
	{ "mktemp's", { { ".", S_IFDIR | 0700 }, { "sub", S_IFDIR | 0700 } }, true, true },
	{ "setuid", { { "run", S_IFREG | 04755 } }, false, false },
	{ "setgid", { { "sub", S_IFDIR | 0755 }, { "sub/run", S_IFREG | 02755 } }, false, false },
	{ "group's directories",
	  { { ".", S_IFDIR | 02775 }, { "sub", S_IFDIR | 02775 }, { "sub/run", S_IFREG | 0664 } },
	  true,
	  false },
	{ "sticky", { { "all", S_IFDIR | 07777 } }, true, false },
};

static int make_tar(const struct entry *entries)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);
	struct archive *archive = archive_write_new();

	archive_write_set_format_pax_restricted(archive);
	archive_write_open_fd(archive, fd);
	for (unsigned i = 0; i < 3 && entries[i].name; i++) {
		struct archive_entry *entry = archive_entry_new();

		archive_entry_set_pathname(entry, entries[i].name);
		archive_entry_set_mode(entry, (mode_t)entries[i].mode);
		archive_entry_set_size(entry, 0);
		CHECK(archive_write_header(archive, entry) == ARCHIVE_OK);
		archive_entry_free(entry);
	}
	archive_write_free(archive);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

int main(void)
{
	struct bundle_unpacked unpacked;
	struct bundle_error error = { "", "" };
	struct stat status;
	mode_t mode;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char directory[] = "/tmp/sluice-untar-XXXXXX", path[64];
		const struct entry *entries = cases[i].entries;
		int fd = make_tar(entries);

		unit_case = cases[i].name;
		CHECK(!bundle_untar(fd, NULL, 1, &unpacked, &error) == cases[i].made);
		CHECK(!cases[i].made || unpacked.opened == cases[i].opened);
		CHECK(cases[i].made || strstr(error.text, "has a set-id bit"));
		lseek(fd, 0, SEEK_SET);
		CHECK(mkdtemp(directory));
		CHECK_THAT(!bundle_untar(fd, directory, 1, &unpacked, &error), "%s", error.text);
		for (unsigned n = 0; n < 3 && entries[n].name; n++) {
			snprintf(path, sizeof(path), "%s/%s", directory, entries[n].name);
			mode = entries[n].mode & ~06000U;
			if (!strcmp(entries[n].name, "."))
				mode |= 0555;
			CHECK(!stat(path, &status));
			CHECK_THAT(status.st_mode == mode, "%s: %o", entries[n].name,
				   status.st_mode);
		}
		for (unsigned n = 3; n--;) {
			snprintf(path, sizeof(path), "%s/%s", directory,
				 entries[n].name ? entries[n].name : ".");
			remove(path);
		}
		CHECK(!rmdir(directory));
		close(fd);
	}
	return unit_end();
}
