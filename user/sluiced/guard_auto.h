/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a tenant interface is policed. XDP costs bystanders even in peace, so "auto" polices
 * in TC and raises XDP only on an interface that floods, for as long as it does.
 */
#ifndef SLUICE_SLUICED_GUARD_AUTO_H
#define SLUICE_SLUICED_GUARD_AUTO_H

#include "sluiced.h"

struct guard_auto;
struct tenant;

int guard_auto_new(struct sluiced *sluiced, struct guard_auto **ret);
void guard_auto_free(struct guard_auto *guard);

/* A gate was attached: forced modes take effect here. */
void guard_auto_attached(struct guard_auto *guard, struct tenant *tenant);
/* The mode of one that is attached has changed. */
void guard_auto_changed(struct guard_auto *guard, struct tenant *tenant);

#endif
