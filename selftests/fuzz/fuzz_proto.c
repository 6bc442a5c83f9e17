/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a hostile worker says: to the parent (sluiced/worker.c, origins.c) and to a parent's
 * successor (sluiced/rendezvous.c), over real socket pairs.
 *
 * The input is a role and a list of acts: packets of its own bytes with descriptors along, messages
 * of the table with fields from the input, reading what the parent replies, or not. Asserted: a
 * message outside the table, or one that names what the worker has no right to, kills it, and
 * nothing it says later is heard; nothing else kills it; a reply answers a request; no descriptor
 * stays open.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../../user/sluiced/rendezvous.c"

#include "../../user/gate/netns.h"
#include "../../user/lib/latency.h"
#include "../../user/lib/log.h"
#include "../../user/sluiced/binder.h"
#include "../../user/sluiced/generation.h"
#include "../../user/sluiced/origins.h"
#include "../../user/sluiced/spawn.h"
#include "../../user/sluiced/state.h"
#include "../../user/sluiced/supervise.h"
#include "../../user/sluiced/tenants.h"
#include "../../user/sluiced/trace.h"
#include "../../user/sluiced/worker_start.h"
#include "fuzz.h"
#include "lib/packet.h"

#define SERVICES 2
#define ORIGINS	 2
#define PID	 4000000 /* nobody's */

static struct sluiced sluiced = { .run_dir = "/nonexistent" };
static struct generation generation;
static struct origin origins[SERVICES][ORIGINS];
static struct worker *asking, *back;
static int asking_sock, back_sock; /* the hostile worker's ends */
static bool killed;
static unsigned asked, replies;

/* ---- the input ---------------------------------------------------------------------------- */

static struct fuzz_input input;

static uint8_t next(void)
{
	return fuzz_next(&input);
}

/* ---- the world around --------------------------------------------------------------------- */

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	if (number == SYS_pidfd_open)
		return eventfd(0, EFD_CLOEXEC);
	assert(number == SYS_pidfd_send_signal);
	killed = true;
	return 0;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	static const int errors[] = { 0, ECONNREFUSED, EINPROGRESS, ENOENT, EAGAIN };

	errno = errors[next() % 5];
	return errno ? -1 : 0;
}

int netns_open(const char *where)
{
	abort();
}

bool netns_of_process(const char *spec)
{
	abort();
}

uint64_t netns_inode(const char *spec)
{
	abort();
}

uint64_t netns_inode_of(int fd)
{
	abort();
}

int netns_enter(struct netns_visit *visit, int ns)
{
	abort();
}

void netns_leave(struct netns_visit *visit)
{
	abort();
}

int sluiced_renew(struct sluiced *of)
{
	abort();
}

int spawn_worker(const struct spawn_spec *spec, struct spawned *ret)
{
	abort();
}

int spawn_pipes(uid_t uid, size_t count, size_t size, int *ret_fds, size_t *ret_size)
{
	abort();
}

struct generation *generation_ref(struct generation *of)
{
	of->refs++;
	return of;
}

void generation_unref(struct generation *of)
{
	of->refs--;
}

bool supervise_shared(const struct supervise *supervise)
{
	return false;
}

void supervise_ready(struct supervise *supervise, struct worker *worker)
{
	assert(worker == asking || worker == back);
}

void supervise_ended(struct supervise *supervise, struct worker *worker)
{
	abort();
}

struct worker *supervise_partner(struct supervise *supervise, const struct worker *front)
{
	assert(front == asking);
	return back;
}

int binder_equip(struct binder *binder, struct worker *worker)
{
	abort();
}

/* What a worker says it has in force is its word; it only delays who waits for it. */
void binder_said(struct binder *binder, struct worker *worker, uint64_t serial)
{
	assert(worker == asking && worker->state != WORKER_ENDING);
}

int trace_equip(struct trace *trace, struct worker *worker)
{
	abort();
}

struct tenant *tenants_next(struct tenants *tenants, const struct tenant *after)
{
	return NULL;
}

/* What it says it has lost was none of its own. */
struct tenant *tenants_at(struct tenants *tenants, uint32_t slot)
{
	static struct tenant tenant = { .id = 4 };

	return slot == 1 ? &tenant : NULL;
}

uint32_t tenants_slots(const struct tenants *tenants)
{
	abort();
}

/* ---- a worker ------------------------------------------------------------------------------ */

static struct worker *adopt(enum proto_role role, unsigned index, enum worker_state phase,
			    int *ret_sock)
{
	struct state_worker from = { .pid = PID, .role = role, .index = index, .phase = phase };
	size_t size = proto_stats_size(1);
	struct worker *worker;
	int pair[2], small = 4096;

	assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
	/* So that the parent's replies fill it soon. */
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	from.sock = pair[0];
	from.stats_fd = memfd_create("stats", MFD_CLOEXEC);
	from.nstats = 1;
	assert(from.stats_fd >= 0 && !ftruncate(from.stats_fd, (off_t)size));
	assert(!worker_adopt(&sluiced, &generation, &from, &worker));
	*ret_sock = pair[1];
	return worker;
}

static void hear_worker(struct worker *worker, uint32_t events)
{
	if (worker->message.fd >= 0)
		worker->message.ready(&worker->message, events);
	if (worker->state == WORKER_ENDING)
		assert(worker->message.fd < 0 && !worker->mailbox.count && !worker->lost.count);
}

static bool send_packet(const void *bytes, size_t len, unsigned nfds)
{
	return packet_send(asking_sock, bytes, len, asking_sock, nfds);
}

/* One packet of the input's bytes; returns whether the parent must not bear it. */
static bool say_bytes(void)
{
	uint8_t bytes[64];
	size_t len = 1 + next() % sizeof(bytes);
	unsigned nfds = next() % 4;
	struct msg_head head;

	for (size_t i = 0; i < len; i++)
		bytes[i] = next();
	if (len >= sizeof(head)) {
		memcpy(&head, bytes, sizeof(head));
		/* It may be a good one: that is say_message()'s. */
		if (head.nfds == nfds && head.len == len - sizeof(head))
			return false;
	}
	return send_packet(bytes, len, nfds);
}

static bool may_ask(const struct proto_connect *connect)
{
	if (asking->role == PROTO_ROLE_FRONT)
		return connect->service == PROTO_SERVICE_BRIDGE;
	return connect->service < SERVICES && connect->origin < ORIGINS;
}

/* One of the messages that exist; returns whether this worker must not say it. */
static bool say_message(void)
{
	struct {
		struct msg_head head;
		union {
			struct proto_connect connect;
			struct proto_bindings bindings;
			struct proto_lost lost;
		};
	} packet = { .head = { .type = next() % 24, .id = next() } };
	struct proto_connect *connect = &packet.connect;
	bool bad = false;

	connect->service = next() % (SERVICES + 1);
	connect->origin = next() % (ORIGINS + 1);
	if (next() & 1)
		connect->service = PROTO_SERVICE_BRIDGE;
	switch (packet.head.type) {
	case PROTO_CONNECT:
		packet.head.len = sizeof(*connect);
		bad = !may_ask(connect);
		asked += !bad;
		break;
	case PROTO_FAILED:
		packet.head.len = sizeof(*connect);
		bad = asking->role == PROTO_ROLE_FRONT || !may_ask(connect);
		break;
	case PROTO_BOUND:
		packet.head.len = sizeof(packet.bindings);
		break;
	case PROTO_LOST:
		packet.lost = (struct proto_lost){
			.type = next() % 24, .tenant = next(), .slot = next() % 3, .port = next()
		};
		packet.head.len = sizeof(packet.lost);
		break;
	case PROTO_READY:
	case PROTO_PULSE:
		break;
	case PROTO_DRAINED:
		bad = asking->state != WORKER_DRAINING;
		break;
	default:
		bad = true;
	}
	if (send_packet(&packet, sizeof(packet.head) + packet.head.len, 0))
		return bad;
	/* Not said: the socket is full, or the parent has hung up. */
	asked -= packet.head.type == PROTO_CONNECT && !bad;
	return false;
}

static void read_replies(int sock)
{
	static const struct msg_rule rules_back[] = {
		{ PROTO_ORIGIN, 0, 1, sizeof(struct proto_origin), sizeof(struct proto_origin) },
		{ PROTO_STREAM, 1, 1, sizeof(struct proto_stream), sizeof(struct proto_stream) },
		{ PROTO_DRAIN, 0, 0, sizeof(struct proto_drain), sizeof(struct proto_drain) },
	};
	static struct msg msg;

	while (msg_recv(sock, rules_back, 3, &msg) == 1) {
		struct proto_origin reply;

		memcpy(&reply, msg.body, sizeof(reply));
		if (msg.head.type == PROTO_ORIGIN) {
			replies++;
			assert(sock == asking_sock && (msg.head.nfds == 1) == !reply.error);
			assert(reply.error >= 0 && reply.origin < ORIGINS + 1);
		} else if (msg.head.type == PROTO_STREAM) {
			assert(sock == back_sock);
		}
		msg_close_fds(&msg);
	}
	assert(replies <= asked);
}

static void talk(void)
{
	bool bad = false;

	while (input.left) {
		switch (next() % 8) {
		case 0:
			bad |= say_bytes();
			break;
		case 1:
			read_replies(asking_sock);
			break;
		case 2:
			read_replies(back_sock);
			break;
		case 3:
			worker_drain(asking, next());
			/* What it has said before is judged as it is heard. */
			break;
		case 4:
			hear_worker(asking, EPOLLIN | EPOLLOUT);
			break;
		default:
			if (asking->state == WORKER_DRAINING)
				hear_worker(asking, EPOLLIN);
			bad |= say_message();
			break;
		}
		/* All of it is heard before the next act, so that what it is allowed does not
		 * change. */
		for (int i = 0; i < 4; i++)
			hear_worker(asking, EPOLLIN);
		assert((asking->state == WORKER_ENDING) == killed && killed == bad);
	}
}

/* ---- to a successor ------------------------------------------------------------------------- */

static void meet(void)
{
	struct rendezvous met = { .err = -EAGAIN, .sock = -1, .conf_fd = -1, .stats_fd = -1 };
	int pair[2];

	assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
	met.sock = pair[0];
	asking_sock = pair[1];
	for (int i = 0; i < 40 && input.left; i++) {
		struct {
			struct msg_head head;
			uint8_t body[sizeof(struct proto_hello)];
		} packet = { 0 };
		uint8_t what = next();

		packet.head.type = what & 1 ? PROTO_HELD : what & 2 ? PROTO_HELLO : next() % 18;
		packet.head.len = what & 4			    ? next() % sizeof(packet.body)
				  : packet.head.type == PROTO_HELLO ? sizeof(packet.body)
								    : 0;
		packet.head.nfds = what & 8 ? next() % 8 : packet.head.type == PROTO_HELLO ? 2 : 1;
		for (size_t n = 0; n < packet.head.len; n++)
			packet.body[n] = next();
		send_packet(&packet, sizeof(packet.head) + packet.head.len, packet.head.nfds);
	}
	shutdown(pair[1], SHUT_WR);
	rendezvous_hear(&met, 1, 2);
	if (!met.err)
		assert(met.conf_fd >= 0 && met.stats_fd >= 0);
	else
		assert(met.err == -EBADMSG || met.err == -ECONNRESET || met.err == -ETIMEDOUT);
	rendezvous_free(&met);
	close(pair[1]);
}

/* ---- one input ------------------------------------------------------------------------------ */

static void begin_once(void)
{
	static char texts[ORIGINS][8] = { "unix:/a", "unix:/b" }, name[] = "s";
	static struct conf_origin addresses[ORIGINS] = { { texts[0] }, { texts[1] } };
	static struct conf_service services[SERVICES];
	static struct conf conf = { .services = services, .services_count = SERVICES };
	static struct origin *rows[SERVICES];

	if (generation.conf)
		return;
	log_init("fuzz_proto", (enum log_level)0);
	for (int s = 0; s < SERVICES; s++) {
		services[s] = (struct conf_service){ .name = name,
						     .connect_timeout = 1000,
						     .origins = addresses,
						     .origins_count = ORIGINS };
		rows[s] = origins[s];
		for (int o = 0; o < ORIGINS; o++)
			assert(!conf_address_parse(addresses[o].address, &origins[s][o].address));
	}
	generation = (struct generation){ .refs = 1, .conf = &conf, .nworkers = 1 };
	generation.origins = rows;
	sluiced.generation = &generation;
	assert(!loop_init(&sluiced.loop));
	assert(!origins_new(&sluiced, &sluiced.origins));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int lowest;

	input = (struct fuzz_input){ data, size };
	begin_once();
	lowest = dup(0);
	close(lowest);
	killed = false;
	asked = replies = 0;
	if (next() % 4 == 3) {
		meet();
	} else {
		back = adopt(PROTO_ROLE_BACK, 0, WORKER_SERVING, &back_sock);
		asking = adopt((enum proto_role)(next() % 3), 1,
			       (enum worker_state)(next() % WORKER_ENDING), &asking_sock);
		talk();
		origins_forget(sluiced.origins, NULL);
		worker_free(asking);
		worker_free(back);
		close(asking_sock);
		close(back_sock);
	}
	assert(generation.refs == 1);
	assert(dup(0) == lowest);
	close(lowest);
	return 0;
}
