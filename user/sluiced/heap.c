/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is idle is told by the kernel's count of resident pages: malloc()'s own of free bytes does
 * not tell those that were given back from those that were used again since.
 */
#include "heap.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define WORTHWHILE (1 << 20) /* bytes */

/* Resident anonymous memory that is in no allocation: holes, stacks, data of libraries. */
static size_t idle_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	struct mallinfo2 info = mallinfo2();
	size_t used = info.uordblks + info.hblkhd, own;
	unsigned long resident = 0, shared = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*u %lu %lu", &resident, &shared) != 2)
		resident = shared = 0;
	fclose(file);
	own = (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
	return own > used ? own - used : 0;
}

void heap_give_back(struct heap *heap)
{
	size_t idle = idle_bytes();

	if (idle < heap->idle)
		heap->idle = idle;
	if (idle - heap->idle < WORTHWHILE)
		return;
	malloc_trim(0);
	heap->idle = idle_bytes();
}
