/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that malloc() holds and nobody uses goes back to the kernel. A look at many namespaces, or
 * writing the state of a thousand tenants, leaves holes between what is kept, which malloc() does
 * not return by itself: 15 KiB a tenant.
 */
#ifndef SLUICE_SLUICED_HEAP_H
#define SLUICE_SLUICED_HEAP_H

#include <stddef.h>

struct heap {
	size_t idle; /* bytes that stayed resident, unused, after the last time */
};

/* To be called now and then: once a second. Cheap while nothing is to be given back. */
void heap_give_back(struct heap *heap);

#endif
