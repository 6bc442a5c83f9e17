/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU time of processes and of the machine; see cpu.h. */
#include "cpu.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* utime + stime, fields 14 and 15; the name in field 2 may hold spaces and parentheses. */
static double cpu_of_pid(pid_t pid)
{
	char path[64], line[1024], *rest;
	unsigned long long utime, stime;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		err(1, "relay process %d is gone", (int)pid);
	fclose(file);
	rest = strrchr(line, ')');
	if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
			    &utime, &stime) != 2)
		errx(1, "%s: not understood", path);
	return (double)(utime + stime) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_of_machine(void)
{
	unsigned long long user, nice, system, idle, iowait, irq, softirq;
	FILE *file = fopen("/proc/stat", "re");

	if (!file || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
			    &idle, &iowait, &irq, &softirq) != 7)
		errx(1, "/proc/stat: not understood");
	fclose(file);
	return (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_of_self(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double cpu_of_relay(const struct cpu *cpu)
{
	double sum = 0;

	for (unsigned i = 0; i < cpu->npids; i++)
		sum += cpu_of_pid(cpu->pids[i]);
	return sum;
}

void cpu_begin(struct cpu *cpu)
{
	cpu->relay = cpu_of_relay(cpu);
	cpu->own = cpu_of_self();
	cpu->machine = cpu_of_machine();
}

void cpu_end(struct cpu *cpu)
{
	cpu->relay = cpu_of_relay(cpu) - cpu->relay;
	cpu->own = cpu_of_self() - cpu->own;
	cpu->machine = cpu_of_machine() - cpu->machine;
}
