/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world around relay/'s state machine, in memory: sockets and pipes here, in place of
 * relay/io.c and the kernel; the ring in fake_ring.h. Deterministic; what goes wrong, and when, is
 * decided by the fuzzer's input. A descriptor that is used after it was closed, or closed twice,
 * aborts.
 */
#ifndef SELFTESTS_FUZZ_FAKE_H
#define SELFTESTS_FUZZ_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_FD	    (1 << 20) /* descriptors from here on are ours */
#define FAKE_FDS    512
#define FAKE_PARENT (FAKE_FD + FAKE_FDS)
#define FAKE_NULL   (FAKE_PARENT + 1)

enum fake_kind {
	FAKE_SOCKET,
	FAKE_PIPE_READ,
	FAKE_PIPE_WRITE,
	FAKE_LISTENER,
};

struct fake_bytes {
	char *data;
	size_t len, taken, room;
};

struct fake {
	enum fake_kind kind;
	bool open; /* in the relay's hands */
	bool tcp;
	struct fake_bytes in;  /* the peer's bytes; taken: read by the relay */
	struct fake_bytes out; /* the relay's bytes; taken: looked at by the test */
	size_t window;	       /* how much more the peer's kernel takes */
	bool peer_fin, peer_rst;
	bool fin, rst; /* how the relay ended its side */
	int pipe;      /* read end's descriptor */
};

/* Forgets everything; faults are what the relay meets from now on, one byte a call. */
void fake_reset(const uint8_t *faults, size_t nfaults);
void fake_no_faults(void);
/* The next of them; 0: all goes well. */
uint8_t fake_next_fault(void);
int fake_open(enum fake_kind kind, bool tcp);
void fake_open_pipe(int ret_fds[2]);
struct fake *fake_of(int fd);
/* The same, and the relay must not have closed it. */
struct fake *fake_held(int fd);
size_t fake_count_open(void);
void fake_put(struct fake_bytes *bytes, const void *data, size_t len);
/* Bytes that are not taken. */
size_t fake_left(const struct fake_bytes *bytes);

/* A CONNECT (or other message) that the relay sent to the parent; NULL: none is left. */
struct fake_message {
	uint16_t type;
	uint64_t id;
};
bool fake_take_message(struct fake_message *ret);

#endif
