/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Budgets: a burst passes, the packet after it does not, time refills; whose
 * budget it is; which hook charges; how few samples a flood yields.
 */
#include "lib/prog.h"

#include <string.h>
#include <time.h>

#define TC_SHOT 2

/*
 * The rate is so low that the runs themselves refill nothing, and one token is due in 100 ms. A run
 * that somebody holds up for longer says nothing: it is made again.
 */
static uint32_t rate = 10;
#define BURST 5
#define TRIES 50

static struct sl_iface iface;
static unsigned samples;
static bool sampled;

static void sleep_ms(long ms)
{
	const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

/* A fresh interface, so that buckets start full. */
static void restart(void)
{
	gate_load_iface_del(prog_load, &prog_key);
	prog_iface_put(&iface);
}

static struct frame from_source(enum frame_base base, uint32_t address)
{
	struct frame frame;

	frame_make(&frame, base);
	frame_patch(&frame, base == BASE_ARP ? 28 : 26, 4, address);
	return frame;
}

/* How many of count equal frames pass before the first drop; *ret_verdict is the drop's. */
static int pass_until_drop(const char *program, const struct frame *frame, int count,
			   int *ret_verdict)
{
	const bool xdp = strcmp(program, "sl_guard_xdp") == 0;
	struct sl_verdicts before;
	struct outcome outcome;

	for (int i = 0; i < count; i++) {
		before = prog_verdicts();
		prog_run(program, frame, 1, &outcome);
		if (outcome.retval != (xdp ? 1 : TC_SHOT))
			continue;
		*ret_verdict = prog_verdict_since(&before);
		return i;
	}
	*ret_verdict = -1;
	return count;
}

static void test_budget(const char *name, const char *program, enum frame_base base,
			uint32_t source, int expected)
{
	struct frame frame = from_source(base, source);
	int verdict, passed, after, passed_after = 0, at_last = 0;
	bool good = false;

	for (int try = 0; try < TRIES && !good; try++) {
		restart();
		passed = pass_until_drop(program, &frame, BURST + 3, &verdict);
		sleep_ms(1000 / rate + 20);
		passed_after = pass_until_drop(program, &frame, 2, &after);
		sleep_ms(1000 * (BURST + 2) / rate);
		at_last = pass_until_drop(program, &frame, BURST + 3, &(int){ 0 });
		good = passed == BURST && verdict == expected && passed_after == 1 &&
		       after == expected && at_last == BURST;
	}
	prog_check(passed == BURST && verdict == expected, "%s: %d pass, then %s (passed %d, %d)",
		   name, BURST, gate_load_verdict_name(expected), passed, verdict);
	prog_check(passed_after == 1 && after == expected, "%s: one token after its time", name);
	prog_check(at_last == BURST, "%s: never more than the burst (passed %d)", name, at_last);
}

static void test_owners(void)
{
	struct frame noisy = from_source(BASE_ACK4, 0x0a000101);
	struct frame quiet = from_source(BASE_ACK4, 0x0a000102);
	int verdict, passed;

	/* The neighbour's share survives one source's flood. */
	iface.source_rate = rate, iface.source_burst = BURST;
	iface.iface_rate = rate, iface.iface_burst = 2 * BURST;
	for (int try = 0; try < TRIES; try++) {
		restart();
		for (int i = 0; i < 20; i++)
			pass_until_drop("sl_guard_tc", &noisy, 1, &verdict);
		passed = pass_until_drop("sl_guard_tc", &quiet, BURST + 1, &verdict);
		if (passed == BURST && verdict == SL_V_PACKET_BUDGET)
			break;
	}
	prog_check(passed == BURST && verdict == SL_V_PACKET_BUDGET,
		   "a source over budget leaves the interface's to its neighbours (passed %d)",
		   passed);

	/* Spoofed sources share what the interface has. */
	iface.source_rate = 0;
	iface.source_rate = 1000, iface.source_burst = 1000;
	for (int try = 0; try < TRIES; try++) {
		restart();
		passed = 0;
		for (uint32_t i = 0; i < 40; i++) {
			struct frame spoofed = from_source(BASE_ACK4, 0x0b000000 + i);

			passed += pass_until_drop("sl_guard_tc", &spoofed, 1, &verdict);
		}
		if (passed == 2 * BURST && verdict == SL_V_IFACE_BUDGET)
			break;
	}
	prog_check(passed == 2 * BURST && verdict == SL_V_IFACE_BUDGET,
		   "40 spoofed sources get no more than the interface's budget (passed %d)",
		   passed);
	iface.iface_rate = iface.source_rate = 0;
}

/* What they claim to be does not matter; packets of connections are not SYNs. */
static void test_spoofed_syns(void)
{
	int verdict, passed = 0, data = 0;

	iface.iface_syn_rate = rate, iface.iface_syn_burst = 2 * BURST;
	for (int try = 0; try < TRIES; try++) {
		restart();
		passed = data = 0;
		for (uint32_t i = 0; i < 40; i++) {
			struct frame syn = from_source(BASE_SYN4, 0x0c000000 + i);
			struct frame ack = from_source(BASE_ACK4, 0x0c000000 + i);

			data += pass_until_drop("sl_guard_tc", &ack, 1, &verdict);
			passed += pass_until_drop("sl_guard_tc", &syn, 1, &verdict);
		}
		if (passed == 2 * BURST && verdict == SL_V_IFACE_BUDGET && data == 40)
			break;
	}
	prog_check(passed == 2 * BURST && verdict == SL_V_IFACE_BUDGET && data == 40,
		   "40 spoofed sources get the interface's SYN budget (passed %d, data %d)", passed,
		   data);
	iface.iface_syn_rate = 0;
}

/* A burst that lasts 0.1 ms: time has to go on between two ticks of the coarse clock, too. */
static void test_brief_burst(void)
{
	struct frame frame = from_source(BASE_ACK4, 0x0a000301);
	const struct timespec pause = { .tv_nsec = 200000 };
	int verdict, passed = 0;

	iface.source_rate = 100000, iface.source_burst = 10;
	iface.fine_clock = 1;
	restart();
	for (int i = 0; i < 100; i++) {
		passed += pass_until_drop("sl_guard_tc", &frame, 1, &verdict);
		nanosleep(&pause, NULL);
	}
	prog_check(passed == 100, "a brief burst is refilled between ticks (passed %d)", passed);
	iface.fine_clock = 0;
	iface.source_rate = 0;
}

/* The hook that does not police drops what is malformed, and charges nothing. */
static void test_hooks(void)
{
	struct frame good = from_source(BASE_ACK4, 0x0a000201);
	struct frame bad = good;
	int verdict, passed;

	frame_patch(&bad, 47, 1, 0x03);
	iface.source_rate = rate, iface.source_burst = BURST;
	for (int at = SL_GUARD_AT_TC; at <= SL_GUARD_AT_XDP; at++) {
		const char *police = at == SL_GUARD_AT_TC ? "sl_guard_tc" : "sl_guard_xdp";
		const char *other = at == SL_GUARD_AT_TC ? "sl_guard_xdp" : "sl_guard_tc";

		frame_patch(&good, 29, 1, 10 + at);
		iface.guard_at = at;
		restart();
		passed = pass_until_drop(other, &good, 3 * BURST, &verdict);
		prog_check(passed == 3 * BURST, "%s charges nothing while %s polices", other,
			   police);
		passed = pass_until_drop(other, &bad, 1, &verdict);
		prog_check(passed == 0 && verdict == SL_V_BAD_FLAGS, "%s still drops what is wrong",
			   other);
		for (int try = 0; try < TRIES; try++) {
			if (try) {
				restart();
				pass_until_drop(other, &good, 3 * BURST, &verdict);
			}
			passed = pass_until_drop(police, &good, 3 * BURST, &verdict);
			if (passed == BURST && verdict == SL_V_PACKET_BUDGET)
				break;
		}
		prog_check(passed == BURST && verdict == SL_V_PACKET_BUDGET, "%s charges once",
			   police);
	}
	iface.guard_at = SL_GUARD_AT_TC;
	iface.source_rate = 0;
}

static void count_sample(const struct sl_sample *sample, void *arg)
{
	const uint8_t from[16] = { [10] = 0xff, 0xff, 10, 0, 3, 1 };

	samples++;
	if (sampled)
		return;
	sampled = true;
	prog_check(sample->netns_cookie == prog_key.netns_cookie && sample->ifindex == 1 &&
			   sample->tenant == iface.tenant && sample->verdict == SL_V_BAD_PORT &&
			   sample->length == 54 && sample->hook == SL_HOOK_TC &&
			   sample->family == 4 && sample->proto == 6 && sample->tcp_flags == 2 &&
			   sample->dport == __builtin_bswap16(81) &&
			   sample->sport == __builtin_bswap16(40000) && sample->time_ns &&
			   memcmp(sample->saddr, from, 16) == 0 && sample->smac[5] == 5,
		   "a sample says what was dropped");
}

static void test_samples(void)
{
	struct frame frame = from_source(BASE_SYN4, 0x0a000301);
	struct outcome outcome;

	frame_patch(&frame, 36, 2, 81);
	gate_load_samples_consume(prog_load, NULL, NULL);
	for (int try = 0; try < TRIES && (samples < 16 || samples >= 40); try++) {
		struct sl_verdicts before;

		restart();
		before = prog_verdicts();
		samples = 0;
		prog_run("sl_guard_tc", &frame, 10000, &outcome);
		gate_load_samples_consume(prog_load, count_sample, NULL);
		prog_check(prog_verdicts().bad_port - before.bad_port == 10000,
			   "10,000 drops: all counted");
	}
	prog_check(samples >= 16 && samples < 40, "10,000 drops: %u samples", samples);
}

int main(void)
{
	prog_begin("budgets");
	if (prog_slow() > 1)
		rate = 4;
	iface = prog_iface();

	iface.syn_rate = rate, iface.syn_burst = BURST;
	test_budget("SYN budget", "sl_guard_tc", BASE_SYN4, 0x0a000001, SL_V_SYN_BUDGET);
	iface.syn_rate = 0, iface.source_rate = rate, iface.source_burst = BURST;
	test_budget("source budget", "sl_guard_tc", BASE_ACK4, 0x0a000002, SL_V_PACKET_BUDGET);
	test_budget("source budget, ARP", "sl_guard_tc", BASE_ARP, 0x0a000003, SL_V_PACKET_BUDGET);
	test_budget("source budget, echo", "sl_guard_tc", BASE_ECHO4, 0x0a000004,
		    SL_V_PACKET_BUDGET);
	iface.guard_at = SL_GUARD_AT_XDP;
	test_budget("source budget in XDP", "sl_guard_xdp", BASE_ACK4, 0x0a000005,
		    SL_V_PACKET_BUDGET);
	iface.guard_at = SL_GUARD_AT_TC;
	iface.source_rate = 0, iface.iface_rate = rate, iface.iface_burst = BURST;
	test_budget("interface budget", "sl_guard_tc", BASE_ACK4, 0x0a000006, SL_V_IFACE_BUDGET);
	iface.iface_rate = 0;

	test_owners();
	test_spoofed_syns();
	test_brief_burst();
	test_hooks();
	test_samples();
	return prog_end();
}
