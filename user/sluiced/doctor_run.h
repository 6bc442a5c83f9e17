/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's side of "doctor": a child that looks (doctor.h), with what the daemon knows as its
 * input and a pipe as its output, whose other end goes to whoever asked. The daemon waits for
 * neither.
 */
#ifndef SLUICE_SLUICED_DOCTOR_RUN_H
#define SLUICE_SLUICED_DOCTOR_RUN_H

#include "sluiced.h"

struct doctor_run;

int doctor_run_new(struct sluiced *sluiced, struct doctor_run **ret);
/* Takes away what the probe of a doctor that was killed left; one that lives keeps it. */
void doctor_run_sweep(const char *run_dir);
void doctor_run_free(struct doctor_run *run);
/* Ends the one that runs, if any; whoever reads its output sees it end. */
void doctor_run_stop(struct doctor_run *run);
/* tenant may be NULL. A descriptor to read the findings from, or -errno: -EBUSY while one runs. */
int doctor_run_start(struct doctor_run *run, const char *tenant);

#endif
