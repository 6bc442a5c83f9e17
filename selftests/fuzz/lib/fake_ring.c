/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_ring.h"

#include <errno.h>

#include "../../../user/relay/io.h"
#include "fake.h"

#undef NDEBUG
#include <assert.h>

#define PENDING_MAX 4096

enum pending_kind { PENDING_POLL, PENDING_FILL, PENDING_SPILL, PENDING_DONE };

struct pending {
	enum pending_kind kind;
	int fd, to;
	uint32_t len;
	bool linked; /* waits for the one before it */
	struct ring_event event;
};

static struct pending pendings[PENDING_MAX];
static unsigned npendings;
static struct {
	int fd;
	bool armed;
	struct ring_tag tag;
} listener;

void fake_ring_reset(void)
{
	npendings = 0;
	listener.armed = false;
}

int ring_init(struct ring *ring, unsigned wq_threads)
{
	return 0;
}

void ring_free(struct ring *ring)
{
}

int ring_wait(struct ring *ring, uint32_t timeout_ms)
{
	return 0;
}

unsigned ring_reap(struct ring *ring, struct ring_event *ret_events, unsigned max)
{
	return 0;
}

/* Right or wrong as the input says: whoever relies on it must be sound either way. */
bool ring_quiet(const struct ring *ring)
{
	return fake_next_fault() % 2 == 0;
}

static struct pending *pend(enum pending_kind kind, int fd, struct ring_tag tag)
{
	struct pending *pending = &pendings[npendings++];

	assert(npendings < PENDING_MAX);
	*pending = (struct pending){ .kind = kind, .fd = fd, .event = { .tag = tag } };
	return pending;
}

void ring_poll(struct ring *ring, int fd, struct ring_tag tag)
{
	if (fd != FAKE_PARENT)
		fake_held(fd);
	pend(PENDING_POLL, fd, tag);
}

static bool same_tag(struct ring_tag a, struct ring_tag b)
{
	return a.op == b.op && a.side == b.side && a.slot == b.slot && a.generation == b.generation;
}

void ring_accept(struct ring *ring, int fd, bool multishot, struct ring_tag tag)
{
	fake_held(fd);
	listener.fd = fd;
	listener.tag = tag;
	listener.armed = true;
}

void ring_cancel(struct ring *ring, struct ring_tag tag)
{
	struct pending *pending;

	for (unsigned i = 0; i < npendings; i++)
		if (pendings[i].kind == PENDING_POLL && same_tag(pendings[i].event.tag, tag)) {
			pendings[i].kind = PENDING_DONE;
			pendings[i].event.result = -ECANCELED;
		}
	if (!listener.armed || !same_tag(listener.tag, tag))
		return;
	listener.armed = false;
	pending = pend(PENDING_DONE, listener.fd, tag);
	pending->event.result = -ECANCELED;
}

bool fake_accept(int fd, int connection)
{
	struct pending *pending;

	if (!listener.armed || listener.fd != fd)
		return false;
	pending = pend(PENDING_DONE, fd, listener.tag);
	pending->event.result = connection;
	pending->event.more = true;
	return true;
}

void ring_splice(struct ring *ring, const struct ring_splice *splice)
{
	struct pending *pending = pend(PENDING_SPILL, splice->from, splice->tag);

	fake_held(splice->from);
	fake_held(splice->to);
	pending->to = splice->to;
	pending->len = splice->len;
}

void ring_splice_pair(struct ring *ring, const struct ring_splice *fill,
		      const struct ring_splice *spill)
{
	ring_splice(ring, fill);
	pendings[npendings - 1].kind = PENDING_FILL;
	ring_splice(ring, spill);
	pendings[npendings - 1].linked = true;
}

static bool poll_ready(const struct pending *pending)
{
	const struct fake *fake;

	if (pending->fd == FAKE_PARENT)
		return pending->event.tag.op == RING_MESSAGE_ROOM;
	/* The ring holds the file, whatever became of the descriptor. */
	fake = fake_of(pending->fd);
	switch (pending->event.tag.op) {
	case RING_READABLE:
		return fake_left(&fake->in) || fake->peer_fin || fake->peer_rst;
	case RING_WRITABLE:
		return fake->window || fake->peer_rst;
	default:
		return fake->peer_rst || (fake->peer_fin && fake->fin);
	}
}

/* False: not now. */
static bool complete(struct pending *pending)
{
	uint8_t byte;

	switch (pending->kind) {
	case PENDING_POLL:
		pending->event.result = 1;
		return poll_ready(pending);
	case PENDING_FILL:
	case PENDING_SPILL:
		byte = fake_next_fault();
		if (byte % 8 == 1)
			return false; /* a kernel thread has not come to it */
		if (byte % 8 == 2)
			pending->event.result = -EINTR;
		else
			pending->event.result =
				(int)io_splice(pending->fd, pending->to, pending->len);
		return true;
	default:
		return true;
	}
}

unsigned fake_complete(struct ring_event *ret_events, unsigned max)
{
	unsigned count = 0, kept = 0;
	bool blocked = false;

	for (unsigned i = 0; i < npendings; i++) {
		/* The second of a pair starts when the first has ended. */
		bool waits = pendings[i].linked && blocked;

		blocked = waits || count == max || !complete(&pendings[i]);
		if (blocked) {
			pendings[kept++] = pendings[i];
			continue;
		}
		ret_events[count++] = pendings[i].event;
		if (i + 1 < npendings)
			pendings[i + 1].linked = false;
	}
	npendings = kept;
	return count;
}
