/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the program tests share: a network namespace of their own, an instance
 * of the programs under a unique name, frames, and one line per case.
 */
#ifndef SELFTESTS_PROG_H
#define SELFTESTS_PROG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../user/gate/load.h"

#define FRAME_MAX 4096

struct frame {
	uint8_t data[FRAME_MAX];
	size_t len;
};

/* What one program did with one frame. */
struct outcome {
	uint32_t retval;
	uint32_t ns; /* mean duration of a run */
	struct frame frame;
};

extern struct gate_load *prog_load;
extern struct sl_iface_key prog_key; /* loopback of the test's own namespace */

/*
 * Enters a new network namespace and opens an instance "prog-NAME-PID", which is removed when
 * the test exits. Ends the test with 77 when this is not possible here.
 */
void prog_begin(const char *name);
/* The instance's name. */
const char *prog_instance(void);
/* SO_NETNS_COOKIE of the calling thread's namespace. */
uint64_t prog_netns_cookie(void);

/* How many times as long everything may take here (SL_SLOW, of selftests/run). */
int prog_slow(void);

/* Reports a case; false counts as a failure. */
bool prog_check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The exit status: 0 when every case was good. */
int prog_end(void);

/* The policy tests start from: port 80 and 8080, no budgets, MAC 02:00:00:00:00:01. */
struct sl_iface prog_iface(void);
void prog_iface_put(const struct sl_iface *iface);

int prog_fd(const char *name); /* pinned program, opened once */
/*
 * Runs a program on a frame; a failure of the system call itself ends the test. Only frames
 * shorter than PROG_RUN_SHORT the kernel may refuse to make a packet of: false then.
 */
#define PROG_RUN_SHORT 54
bool prog_run(const char *name, const struct frame *frame, uint32_t repeat, struct outcome *ret);

struct sl_verdicts prog_verdicts(void);
/* The verdict that rose by exactly one since before; -1: none; -2: another change. */
int prog_verdict_since(const struct sl_verdicts *before);

/* Well-formed frames from VM 10.0.0.5 / fe80::5, 02:00:00:00:00:05. */
enum frame_base {
	BASE_SYN4,
	BASE_ACK4,
	BASE_SYN6,
	BASE_ACK6,
	BASE_UDP4,
	BASE_ARP,
	BASE_ECHO4,
	BASE_ECHO6,
	BASE_SOLICIT,	      /* to the solicited-node group */
	BASE_SOLICIT_UNICAST, /* reachability probe */
	BASE_SOLICIT_DAD,
	BASE_COUNT,
};

void frame_make(struct frame *frame, enum frame_base base);
/* Writes size bytes of value at an offset, most significant first. */
void frame_patch(struct frame *frame, size_t at, size_t size, uint64_t value);
/* The answer the specifications ask for, built without looking at the programs. */
void frame_make_reply(struct frame *frame, enum frame_base base);
/* Fills in IPv4, ICMP and ICMPv6 checksums. */
void frame_fix_csum(struct frame *frame);

#endif
