/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Named steps of everything that must survive a crash. In the programs a step is an
 * empty function (fault.c); the crash test links another fault.o that kills the
 * process at the step it was told (selftests/repo/lib/fault.c).
 */
#ifndef REPO_FAULT_H
#define REPO_FAULT_H

void fault_point(const char *step);

#endif
