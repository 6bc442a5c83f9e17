/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring, in place of relay/ring.c: operations wait here until the test lets them complete, as
 * far as the descriptors (fake.h) are ready and the input's faults let them.
 */
#ifndef SELFTESTS_FUZZ_FAKE_RING_H
#define SELFTESTS_FUZZ_FAKE_RING_H

#include <stdbool.h>

#include "../../../user/relay/ring.h"

/* Forgets everything. */
void fake_ring_reset(void);
/* An accepted connection comes out of the listener's accept; false when none is armed. */
bool fake_accept(int listener, int fd);
/* Lets up to max of the ring's operations complete; returns how many. */
unsigned fake_complete(struct ring_event *ret_events, unsigned max);

#endif
