/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 10,000 frames of noise: good ones with some bytes changed, cut or lengthened,
 * and plain random ones. Whatever they are, the programs answer; TC and XDP
 * agree; and a frame for the metadata address is in exactly one verdict.
 */
#include "lib/prog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES	 10000
#define TC_SHOT	 2
#define XDP_DROP 1

static unsigned seed;

static unsigned any(unsigned below)
{
	return rand_r(&seed) % below;
}

static void mutate(struct frame *frame)
{
	if (any(20) == 0) {
		frame->len = PROG_RUN_SHORT + any(200);
		for (size_t i = 0; i < frame->len; i++)
			frame->data[i] = any(256);
		return;
	}
	frame_make(frame, any(BASE_COUNT));
	for (unsigned n = any(4); n; n--) {
		const size_t at = any(10) ? 14 + any(frame->len - 14) : any(14);

		if (any(2))
			frame->data[at] ^= 1 << any(8);
		else
			frame->data[at] = any(256);
	}
	if (any(8) == 0)
		frame->len += any(1400);
	else if (any(8) == 0 && frame->len > PROG_RUN_SHORT)
		frame->len = PROG_RUN_SHORT + any(frame->len - PROG_RUN_SHORT);
}

/* The definition once more, without a line of the programs. */
static bool for_metadata(const struct frame *frame)
{
	static const uint8_t address[] = SL_META_IP6;
	static const uint8_t group[] = { 0xff, 2, 0, 0, 0,    0,    0,	  0,
					 0,    0, 0, 1, 0xff, 0xfe, 0xa9, 0xfe };
	static const uint8_t ask4[] = { 8, 0, 6, 4, 0, 1 };
	const uint8_t *d = frame->data;

	if (d[12] == 8 && d[13] == 0)
		return memcmp(d + 30, address + 12, 4) == 0;
	if (d[12] == 8 && d[13] == 6)
		return memcmp(d + 16, ask4, 6) == 0 && memcmp(d + 38, address + 12, 4) == 0;
	if (d[12] != 0x86 || d[13] != 0xdd)
		return false;
	if (memcmp(d + 38, address, 16) == 0)
		return true;
	return memcmp(d + 38, group, 16) == 0 && d[20] == 58 && frame->len >= 78 && d[54] == 135 &&
	       memcmp(d + 62, address, 16) == 0;
}

static bool run(const struct frame *frame, struct sl_iface *iface, unsigned *ret_verdicts)
{
	const int expected_count = for_metadata(frame);
	struct sl_verdicts before;
	struct outcome tc, xdp, steer;
	int by_tc, by_xdp, by_steer = -1;

	iface->guard_at = SL_GUARD_AT_TC;
	prog_iface_put(iface);
	before = prog_verdicts();
	prog_run("sl_guard_tc", frame, 1, &tc);
	by_tc = prog_verdict_since(&before);
	if (tc.retval != TC_SHOT) {
		before = prog_verdicts();
		prog_run("sl_steer", frame, 1, &steer);
		by_steer = prog_verdict_since(&before);
	}
	before = prog_verdicts();
	prog_run("sl_guard_xdp", frame, 1, &xdp);
	by_xdp = prog_verdict_since(&before);
	if (by_tc >= 0)
		ret_verdicts[by_tc]++;
	if (by_steer >= 0)
		ret_verdicts[by_steer]++;
	return by_tc == by_xdp && (tc.retval == TC_SHOT) == (xdp.retval == XDP_DROP) &&
	       (by_tc >= 0) + (by_steer >= 0) == expected_count && by_tc != -2 && by_steer != -2;
}

int main(int argc, char **argv)
{
	unsigned verdicts[SL_V_COUNT] = { 0 };
	struct sl_iface iface = prog_iface();
	unsigned bad = 0, frames = 0;
	struct frame frame;

	seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 20240229;
	prog_begin("random");
	while (frames < FRAMES && bad < 10) {
		mutate(&frame);
		frames++;
		if (run(&frame, &iface, verdicts))
			continue;
		bad++;
		printf("frame %u (seed given on the command line), %zu bytes:", frames, frame.len);
		for (size_t i = 0; i < frame.len && i < 96; i++)
			printf(" %02x", frame.data[i]);
		putchar('\n');
	}
	prog_check(!bad, "%u frames: TC and XDP agree, one verdict each", frames);
	for (int i = 0; i < SL_V_COUNT; i++)
		printf("# %-16s %u\n", gate_load_verdict_name(i), verdicts[i]);
	return prog_end();
}
