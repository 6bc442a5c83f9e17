/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readers of .deb and .rpm: whatever a file holds, what they let through names a package
 * that may become part of a path and of an index.
 */
#include <sys/mman.h>

#include "../../user/repo/package_deb.c"
#include "../../user/repo/package_rpm.c"
#include "fuzz.h"

static void check(const struct package_info *info)
{
	char filename[NAME_FILENAME_MAX + 1];

	assert(name_package_valid(info->name) && name_version_valid(info->version));
	assert(name_arch_valid(info->arch));
	assert(strnlen(info->summary, sizeof(info->summary)) <= PACKAGE_SUMMARY_MAX);
	if (!package_canonical_name(info, filename, sizeof(filename)))
		assert(name_filename_valid(filename));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("package", MFD_CLOEXEC);
	struct package_info info;
	const char *why = NULL;
	int err;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	err = package_read_deb(fd, &info, &why);
	assert(err == 0 || (err == -EBADMSG && why));
	if (!err)
		check(&info);
	err = package_read_rpm(fd, &info, &why);
	assert(err == 0 || (err == -EBADMSG && why));
	if (!err)
		check(&info);
	close(fd);
	return 0;
}
