/* SPDX-License-Identifier: BSD-2-Clause */
#include "patience.h"

#include <stddef.h>

#include "worker.h"

#define START_MS      20000 /* to become READY */
#define DRAIN_MARGIN  2000
#define PULSE_LATE_MS 2000 /* one comes every second */

static uint64_t later(uint64_t then, uint64_t gap, uint64_t now)
{
	return then + gap < now ? then + gap : now;
}

void patience_lend(struct worker *worker, uint64_t gap_ms, uint64_t now_ms)
{
	worker->pulse_ms = later(worker->pulse_ms, gap_ms, now_ms);
	if (worker->state == WORKER_STARTING)
		worker->started_ms = later(worker->started_ms, gap_ms, now_ms);
	worker->drain_by_ms += gap_ms;
}

void patience_heard(struct worker *worker, uint64_t now_ms)
{
	uint64_t gap = now_ms > worker->pulse_ms ? now_ms - worker->pulse_ms : 0;

	if (gap > PULSE_LATE_MS)
		worker->drain_by_ms += gap;
	worker->pulse_ms = now_ms;
}

static uint64_t since(uint64_t then, uint64_t now)
{
	return now > then ? now - then : 0;
}

bool patience_silent(const struct worker *worker, uint64_t now_ms)
{
	return worker->state != WORKER_STARTING &&
	       since(worker->pulse_ms, now_ms) > PATIENCE_SILENT_MS;
}

const char *patience_over(const struct worker *worker, uint64_t now_ms)
{
	if (worker->state == WORKER_STARTING)
		return since(worker->started_ms, now_ms) > START_MS ? "not ready in time" : NULL;
	if (since(worker->pulse_ms, now_ms) > PATIENCE_HANG_MS)
		return "no pulse";
	if (worker->state == WORKER_DRAINING && since(worker->drain_by_ms, now_ms) > DRAIN_MARGIN)
		return "past its drain deadline";
	return NULL;
}
