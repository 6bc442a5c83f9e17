/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames as VMs send them, and the replies they are owed, written out byte by byte. */
#include "prog.h"

#include <string.h>

#define GATEWAY_MAC 2, 0, 0, 0, 0, 1
#define VM_MAC	    2, 0, 0, 0, 0, 5
#define META4	    169, 254, 169, 254
#define VM4	    10, 0, 0, 5
#define META6	    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0xfe, 0xa9, 0xfe
#define NODE6	    0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xfe, 0xa9, 0xfe
#define ALL6	    0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define VM6	    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5
#define NOBODY6	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

#define IN4			GATEWAY_MAC, VM_MAC, 8, 0
#define IN6			GATEWAY_MAC, VM_MAC, 0x86, 0xdd
#define OUT4			VM_MAC, GATEWAY_MAC, 8, 0
#define OUT6			VM_MAC, GATEWAY_MAC, 0x86, 0xdd
#define IP4(length, ttl, proto) 0x45, 0, 0, length, 0, 1, 0x40, 0, ttl, proto, 0, 0
#define IP6(length, next, hops) 0x60, 0, 0, 0, 0, length, next, hops
#define TCP(flags)		0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 255, 255, 0, 0, 0, 0
#define PING			0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g', '!' /* after the type */
#define ARP4(op)		8, 6, 0, 1, 8, 0, 6, 4, 0, op

/* Checksums are zero here and filled in by frame_fix_csum(). */
#define REQUESTS(X)                                                                                \
	X(BASE_SYN4, IN4, IP4(40, 63, 6), VM4, META4, TCP(2))                                      \
	X(BASE_ACK4, IN4, IP4(44, 63, 6), VM4, META4, TCP(16), 'G', 'E', 'T', ' ')                 \
	X(BASE_SYN6, IN6, IP6(20, 6, 64), VM6, META6, TCP(2))                                      \
	X(BASE_ACK6, IN6, IP6(24, 6, 64), VM6, META6, TCP(16), 'G', 'E', 'T', ' ')                 \
	X(BASE_UDP4, IN4, IP4(32, 63, 17), VM4, META4, 0x9c, 0x40, 0, 80, 0, 12, 0, 0, 1, 2, 3, 4) \
	X(BASE_ARP, 255, 255, 255, 255, 255, 255, VM_MAC, ARP4(1), VM_MAC, VM4, 0, 0, 0, 0, 0, 0,  \
	  META4)                                                                                   \
	X(BASE_ECHO4, IN4, IP4(32, 63, 1), VM4, META4, 8, PING)                                    \
	X(BASE_ECHO6, IN6, IP6(12, 58, 63), VM6, META6, 128, PING)                                 \
	X(BASE_SOLICIT, 0x33, 0x33, 0xff, 0xfe, 0xa9, 0xfe, VM_MAC, 0x86, 0xdd, IP6(32, 58, 255),  \
	  VM6, NODE6, 135, 0, 0, 0, 0, 0, 0, 0, META6, 1, 1, VM_MAC)                               \
	X(BASE_SOLICIT_UNICAST, IN6, IP6(24, 58, 255), VM6, META6, 135, 0, 0, 0, 0, 0, 0, 0,       \
	  META6)                                                                                   \
	X(BASE_SOLICIT_DAD, 0x33, 0x33, 0xff, 0xfe, 0xa9, 0xfe, VM_MAC, 0x86, 0xdd,                \
	  IP6(32, 58, 255), NOBODY6, NODE6, 135, 0, 0, 0, 0, 0, 0, 0, META6, 14, 1, 1, 2, 3, 4, 5, \
	  6)

#define REPLIES(X)                                                                                 \
	X(BASE_ARP, VM_MAC, GATEWAY_MAC, ARP4(2), GATEWAY_MAC, META4, VM_MAC, VM4)                 \
	X(BASE_ECHO4, OUT4, IP4(32, 64, 1), META4, VM4, 0, PING)                                   \
	X(BASE_ECHO6, OUT6, IP6(12, 58, 64), META6, VM6, 129, PING)                                \
	X(BASE_SOLICIT, OUT6, IP6(32, 58, 255), META6, VM6, 136, 0, 0, 0, 0x60, 0, 0, 0, META6, 2, \
	  1, GATEWAY_MAC)                                                                          \
	X(BASE_SOLICIT_UNICAST, OUT6, IP6(32, 58, 255), META6, VM6, 136, 0, 0, 0, 0x60, 0, 0, 0,   \
	  META6, 2, 1, GATEWAY_MAC)                                                                \
	X(BASE_SOLICIT_DAD, 0x33, 0x33, 0, 0, 0, 1, GATEWAY_MAC, 0x86, 0xdd, IP6(32, 58, 255),     \
	  META6, ALL6, 136, 0, 0, 0, 0x20, 0, 0, 0, META6, 2, 1, GATEWAY_MAC)

#define X(base, ...) static const uint8_t request_##base[] = { __VA_ARGS__ };
REQUESTS(X)
#undef X
#define X(base, ...) static const uint8_t reply_##base[] = { __VA_ARGS__ };
REPLIES(X)
#undef X

struct bytes {
	const uint8_t *data;
	size_t len;
};

static const struct bytes requests[BASE_COUNT] = {
#define X(base, ...) [base] = { request_##base, sizeof(request_##base) },
	REQUESTS(X)
#undef X
};

static const struct bytes replies[BASE_COUNT] = {
#define X(base, ...) [base] = { reply_##base, sizeof(reply_##base) },
	REPLIES(X)
#undef X
};

static void copy(struct frame *frame, const struct bytes *bytes)
{
	memset(frame, 0, sizeof(*frame));
	memcpy(frame->data, bytes->data, bytes->len);
	frame->len = bytes->len;
	frame_fix_csum(frame);
}

void frame_make(struct frame *frame, enum frame_base base)
{
	copy(frame, &requests[base]);
}

void frame_make_reply(struct frame *frame, enum frame_base base)
{
	copy(frame, &replies[base]);
}

void frame_patch(struct frame *frame, size_t at, size_t size, uint64_t value)
{
	for (size_t i = 0; i < size; i++)
		frame->data[at + i] = value >> 8 * (size - 1 - i);
}

/* One byte at a time (RFC 1071): slow and plainly right. */
static uint32_t add_bytes(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_csum(struct frame *frame, size_t at, uint32_t sum)
{
	frame_patch(frame, at, 2, ~sum & 0xffff);
}

static uint32_t pseudo6(const struct frame *frame)
{
	uint32_t sum = add_bytes(0, frame->data + 22, 32);

	sum = add_bytes(sum, frame->data + 18, 2); /* payload length */
	return sum + frame->data[20];
}

void frame_fix_csum(struct frame *frame)
{
	uint8_t *d = frame->data;

	if (d[12] == 8 && d[13] == 0) {
		frame_patch(frame, 24, 2, 0);
		put_csum(frame, 24, add_bytes(0, d + 14, 20));
		if (d[23] == 1) {
			frame_patch(frame, 36, 2, 0);
			put_csum(frame, 36, add_bytes(0, d + 34, frame->len - 34));
		}
	} else if (d[12] == 0x86 && d[20] == 58) {
		frame_patch(frame, 56, 2, 0);
		put_csum(frame, 56, add_bytes(pseudo6(frame), d + 54, frame->len - 54));
	}
}
