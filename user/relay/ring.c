/* SPDX-License-Identifier: BSD-2-Clause */
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox.h"

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 8192

SANDBOX_ALLOW(io_uring_enter);
SANDBOX_RING_OP(IORING_OP_POLL_ADD);
SANDBOX_RING_OP(IORING_OP_ACCEPT);
SANDBOX_RING_OP(IORING_OP_ASYNC_CANCEL);
SANDBOX_RING_OP(IORING_OP_SPLICE);

/* The only two functions that know how a tag becomes user_data. */
static uint64_t tag_encode(struct ring_tag tag)
{
	assert(tag.slot < RING_SLOTS && tag.generation < RING_GENERATIONS);
	return (uint64_t)tag.op << 56 | (uint64_t)tag.side << 48 | (uint64_t)tag.slot << 24 |
	       tag.generation;
}

static struct ring_tag tag_decode(uint64_t data)
{
	return (struct ring_tag){
		.op = (enum ring_op)(data >> 56),
		.side = (enum side)(data >> 48 & 0xff),
		.slot = (uint32_t)(data >> 24) & (RING_SLOTS - 1),
		.generation = (uint32_t)data & (RING_GENERATIONS - 1),
	};
}

static int make_ring(struct io_uring *uring, unsigned flags)
{
	struct io_uring_params params = {
		.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
			 IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
		.cq_entries = CQ_ENTRIES,
	};

	return io_uring_queue_init_params(SQ_ENTRIES, uring, &params);
}

int ring_init(struct ring *ring, unsigned wq_threads)
{
	unsigned workers[2] = { wq_threads, wq_threads };
	int rc;

	ring->made = false;
	rc = make_ring(&ring->uring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
					     IORING_SETUP_TASKRUN_FLAG);
	if (rc == -EINVAL)
		rc = make_ring(&ring->uring, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	if (rc == -EINVAL)
		rc = make_ring(&ring->uring, 0);
	if (rc < 0)
		return rc;
	ring->made = true;
	io_uring_ring_dontfork(&ring->uring);
	/* Without a bound, splices that block start a kernel thread each. */
	rc = io_uring_register_iowq_max_workers(&ring->uring, workers);
	if (rc < 0) {
		ring_free(ring);
		return rc;
	}
	return 0;
}

void ring_free(struct ring *ring)
{
	if (ring->made)
		io_uring_queue_exit(&ring->uring);
	ring->made = false;
}

static struct io_uring_sqe *take_sqe(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (!sqe) {
		/* Full: hand over what is queued. This cannot fail to make room without SQPOLL. */
		io_uring_submit(&ring->uring);
		sqe = io_uring_get_sqe(&ring->uring);
	}
	assert(sqe);
	return sqe;
}

static unsigned poll_mask(enum ring_op op)
{
	switch (op) {
	case RING_WRITABLE:
	case RING_MESSAGE_ROOM:
		return POLLOUT;
	case RING_RESET:
		return 0; /* POLLERR and POLLHUP are always reported */
	default:
		return POLLIN | POLLRDHUP;
	}
}

void ring_poll(struct ring *ring, int fd, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = take_sqe(ring);

	io_uring_prep_poll_add(sqe, fd, poll_mask(tag.op));
	io_uring_sqe_set_data64(sqe, tag_encode(tag));
}

static void tag_cancel(struct io_uring_sqe *sqe)
{
	static const struct ring_tag tag = { .op = RING_CANCEL };

	io_uring_sqe_set_data64(sqe, tag_encode(tag));
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
}

/*
 * Polls, too. IORING_OP_POLL_REMOVE would leave a poll armed, with -EALREADY, whose socket has just
 * changed, by our own shutdown(2), say, to what it does not wait for (io_uring/poll.c,
 * io_poll_disarm).
 */
void ring_cancel(struct ring *ring, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = take_sqe(ring);

	io_uring_prep_cancel64(sqe, tag_encode(tag), 0);
	tag_cancel(sqe);
}

void ring_accept(struct ring *ring, int fd, bool multishot, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = take_sqe(ring);
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

	if (multishot)
		io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, flags);
	else
		io_uring_prep_accept(sqe, fd, NULL, NULL, flags);
	io_uring_sqe_set_data64(sqe, tag_encode(tag));
}

static void prep_splice(struct io_uring_sqe *sqe, const struct ring_splice *splice)
{
	io_uring_prep_splice(sqe, splice->from, -1, splice->to, -1, splice->len,
			     SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	io_uring_sqe_set_data64(sqe, tag_encode(splice->tag));
}

void ring_splice(struct ring *ring, const struct ring_splice *splice)
{
	prep_splice(take_sqe(ring), splice);
}

void ring_splice_pair(struct ring *ring, const struct ring_splice *fill,
		      const struct ring_splice *spill)
{
	struct io_uring_sqe *sqe;

	/* A chain must not be torn by a submit in its middle. */
	if (io_uring_sq_space_left(&ring->uring) < 2)
		io_uring_submit(&ring->uring);
	sqe = take_sqe(ring);
	prep_splice(sqe, fill);
	/* A short splice breaks a soft link. */
	io_uring_sqe_set_flags(sqe, IOSQE_IO_HARDLINK);
	prep_splice(take_sqe(ring), spill);
}

bool ring_quiet(const struct ring *ring)
{
	return io_uring_cq_ready(&ring->uring) == 0 &&
	       !(IO_URING_READ_ONCE(*ring->uring.sq.kflags) &
		 (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

int ring_wait(struct ring *ring, uint32_t timeout_ms)
{
	struct __kernel_timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
	};
	struct io_uring_cqe *cqe;
	int rc;

	if (timeout_ms == 0 && io_uring_sq_ready(&ring->uring) == 0 && ring_quiet(ring))
		return 0;
	if (timeout_ms == 0)
		rc = io_uring_submit_and_get_events(&ring->uring);
	else
		rc = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &timeout, NULL);
	/* EBUSY, EAGAIN: completions must be taken first. */
	if (rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EBUSY || rc == -EAGAIN)
		return 0;
	return rc;
}

unsigned ring_reap(struct ring *ring, struct ring_event *ret_events, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(&ring->uring, head, cqe)
	{
		if (count == max)
			break;
		ret_events[count++] = (struct ring_event){
			.tag = tag_decode(io_uring_cqe_get_data64(cqe)),
			.result = cqe->res,
			.more = cqe->flags & IORING_CQE_F_MORE,
		};
	}
	io_uring_cq_advance(&ring->uring, count);
	return count;
}
