/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directories that must not outlive us, one with a secret key among them: removed in order, or by a
 * thread that waits for SIGINT, SIGTERM and SIGHUP.
 */
#ifndef BUNDLE_CLEANUP_H
#define BUNDLE_CLEANUP_H

/* Before other threads and children. 0 or -errno. */
int cleanup_start(void);
void cleanup_add(const char *path);
/* Removes the tree now. */
void cleanup_remove(const char *path);

#endif
