/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The uring engine: a round is a splice from the source into the pipe, linked to one from the
 * pipe to the destination, or the latter alone when the pipe holds bytes. pump.c begins a
 * round; the ring's completions come here, and when none is in flight any more pump.c asks
 * what it came to.
 */
#include <assert.h>
#include <errno.h>

#include "pump_impl.h"
#include "relay.h"

enum pump_result pump_launch(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	struct ring_splice fill = {
		.from = end_of(conn, from)->fd,
		.to = flow->pipe->write_fd,
		.tag = { RING_FILL, from, conn->slot, conn->generation },
	};
	struct ring_splice spill = {
		.from = flow->pipe->read_fd,
		.to = sink_fd(conn, from),
		.tag = { RING_SPILL, from, conn->slot, conn->generation },
	};
	uint64_t want = spliceable(flow, &conn->in[from]);

	flow->landed = 0;
	if (flow->pipe->held) {
		spill.len = flow->pipe->held;
		ring_splice(&relay->ring, &spill);
		flow->flying = 1 << FLY_SPILL;
		return PUMP_FLYING;
	}
	if (want > flow->pipe->size)
		want = flow->pipe->size;
	fill.len = spill.len = (uint32_t)want;
	ring_splice_pair(&relay->ring, &fill, &spill);
	flow->flying = 1 << FLY_FILL | 1 << FLY_SPILL;
	return PUMP_FLYING;
}

void pump_completed(struct relay *relay, struct conn *conn, const struct ring_event *event)
{
	struct flow *flow = &conn->flow[event->tag.side];
	enum flight flight = event->tag.op == RING_FILL ? FLY_FILL : FLY_SPILL;

	assert(flow->flying & 1 << flight);
	flow->flying &= (uint8_t) ~(1 << flight);
	flow->landed |= (uint8_t)(1 << flight);
	flow->result[flight] = event->result;
	if (event->result <= 0)
		return;
	if (flight == FLY_FILL) {
		filled(conn, event->tag.side, (uint32_t)event->result);
		return;
	}
	flow->pipe->held -= (uint32_t)event->result;
	conn->client_stats->bytes_uring += (uint64_t)event->result;
	count_sent(conn, event->tag.side, (uint64_t)event->result);
}

enum pump_result pump_land(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	uint8_t landed = flow->landed;
	int fill = flow->result[FLY_FILL], spill = flow->result[FLY_SPILL];

	flow->landed = 0;
	if (landed & 1 << FLY_SPILL && flow->pipe->held) {
		if (spill == -EAGAIN)
			return PUMP_WRITE;
		if (spill <= 0 && spill != -EINTR && spill != -ECANCELED)
			return PUMP_SINK_ERROR;
	}
	if (landed & 1 << FLY_FILL && fill <= 0 && fill != -EINTR && fill != -ECANCELED) {
		if (fill == -EAGAIN)
			return source_waits(relay, conn, from);
		if (fill != -EINVAL)
			return source_ended(flow, fill);
		flow->copying = true;
		pump_release(relay, flow);
	}
	return PUMP_AGAIN;
}
