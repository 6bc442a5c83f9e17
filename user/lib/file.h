/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files read and written as a whole. */
#ifndef SLUICE_FILE_H
#define SLUICE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* malloc'd and NUL-terminated; ret_len may be NULL. -EFBIG above max bytes, or -errno. */
int file_read(const char *path, size_t max, char **ret_text, size_t *ret_len);
/* write(2) until all is written. 0 or -errno. */
int file_write_all(int fd, const void *data, size_t len);
/*
 * Replaces path: whoever reads sees the old content or the new one, also after a power loss.
 * Written next to it as ".NAME.new". 0 or -errno.
 */
int file_write(const char *path, const void *data, size_t len, mode_t mode);
/*
 * The same for another owner (-1: not another). The name is not touched after it is there: in a
 * directory of that owner it may lead elsewhere by then.
 */
int file_write_as(const char *path, const void *data, size_t len, mode_t mode, uid_t uid,
		  gid_t gid);
/* fsync of the directory a path is in. */
int file_sync_directory(const char *path);
/* mkdir -p; existing directories keep their mode. path may end with "/". */
int file_make_directories(const char *path, mode_t mode);

#endif
