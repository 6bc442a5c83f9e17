/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU time over a measuring window: of named processes (/proc/PID/stat, all threads,
 * io_uring's kernel workers included), of this process, and of the whole machine
 * (/proc/stat: all but idle, iowait and steal). Resolution is the clock tick, 10 ms.
 *
 * Network work in softirq is charged to whoever runs when it happens, so a process's time
 * holds some of its neighbours' packets; the machine's time holds everything.
 */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <sys/types.h>

#define CPU_PIDS_MAX 64

struct cpu {
	pid_t pids[CPU_PIDS_MAX];
	unsigned npids;
	/* seconds: absolute after cpu_begin(), the window's after cpu_end() */
	double relay, own, machine;
};

/* Both exit with a message when a named process is gone: such a run measures nothing. */
void cpu_begin(struct cpu *cpu);
void cpu_end(struct cpu *cpu);

#endif
