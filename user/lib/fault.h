/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Named steps of everything that must survive a crash. In the programs a step is an
 * empty function (fault.c); the crash test links another fault.o that kills the
 * process at the step it was told (selftests/lib/fault.c).
 */
#ifndef SLUICE_FAULT_H
#define SLUICE_FAULT_H

void fault_point(const char *step);

#endif
