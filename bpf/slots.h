/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which worker takes a new connection: one bit of map "slots".
 */
#ifndef SLUICE_SLOTS_H
#define SLUICE_SLOTS_H

#include "maps.h"

#define SLOT_TRIES 4 /* sockets that closed a moment ago, before the gate cleared their bits */

inline_always __u32 count_bits(__u64 bits)
{
	bits -= bits >> 1 & 0x5555555555555555;
	bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return bits * 0x0101010101010101 >> 56;
}

/* The number of the bit that number, a turn or a hash, chooses; open is not 0. */
inline_always __u8 slots_pick(__u64 open, __u32 number)
{
	__u32 skip = number % count_bits(open);

	for (int i = 0; i < SL_WORKERS_MAX; i++) {
		if (!skip)
			break;
		open &= open - 1;
		skip--;
	}
	return count_bits((open & -open) - 1);
}

#endif
