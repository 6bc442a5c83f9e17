/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The access log as its owner sees it: the parent opens the file, workers write to the
 * descriptor they were given. Rotating is: somebody renames the file, the parent opens it
 * anew and hands the new one to every worker; lines written until then are in the renamed
 * one.
 */
#ifndef SLUICE_SLUICED_ACCESS_LOG_H
#define SLUICE_SLUICED_ACCESS_LOG_H

struct sluiced;

/* Opens path for appending, mode 0640 when it is new. The fd, or -errno and *ret_why. */
int access_log_open(const char *path, char **ret_why);
/*
 * Opens the log of the configuration in force again. 0, also without a log, or -errno and
 * *ret_why (malloc'd), after which workers write on where they did.
 */
int access_log_rotate(struct sluiced *sluiced, char **ret_why);
/* A descriptor to read the log with, for those who may. -ENOENT when there is none. */
int access_log_read(struct sluiced *sluiced);

#endif
