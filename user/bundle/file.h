/* SPDX-License-Identifier: BSD-2-Clause */
/* Files as sluice-bundle needs them: small ones whole, large ones there whole or not at all. */
#ifndef BUNDLE_FILE_H
#define BUNDLE_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads a regular file of at most max bytes into a NUL-terminated string. 0, -EFBIG, -EINVAL for
 * what is no regular file (a FIFO would hold an offline installation up) or -errno.
 */
int file_read_regular(const char *path, size_t max, char **ret_text, size_t *ret_len);
/* Writes, syncs and renames: the file is there whole or not at all. */
int file_write_at(int dir, const char *path, const char *text, size_t len, unsigned mode);
/* Makes the directories above path; path itself is left out. */
int file_make_parents(int dir, const char *path);
/* A hard link, or a copy where links cannot be; what was there is replaced. */
int file_link(int from_dir, const char *from, int to_dir, const char *to);
/* Removes a tree; what is not there is removed already. */
int file_remove_tree(const char *path);

#endif
