/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../user/lib/msg.h"
#include "../../../user/relay/io.h"
#include "../../../user/relay/sandbox.h"

#undef NDEBUG
#include <assert.h>

#define PIPE_SIZE    65536
#define PENDING_MAX  4096
#define MESSAGES_MAX 1024

enum pending_kind { PENDING_POLL, PENDING_FILL, PENDING_SPILL, PENDING_DONE };

struct pending {
	enum pending_kind kind;
	int fd, to;
	uint32_t len;
	bool linked; /* waits for the one before it */
	struct ring_event event;
};

static struct fake fakes[FAKE_FDS];
static int used;
static struct pending pendings[PENDING_MAX];
static unsigned npendings;
static struct {
	int fd;
	bool armed;
	struct ring_tag tag;
} listener;
static struct fake_message messages[MESSAGES_MAX];
static unsigned nmessages;
static const uint8_t *fault_at;
static size_t faults_left;

/* ---- descriptors ------------------------------------------------------------------------- */

void fake_reset(const uint8_t *faults, size_t nfaults)
{
	for (int i = 0; i < used; i++) {
		free(fakes[i].in.data);
		free(fakes[i].out.data);
		fakes[i] = (struct fake){ 0 };
	}
	used = 0;
	npendings = nmessages = 0;
	listener.armed = false;
	fault_at = faults;
	faults_left = nfaults;
}

void fake_no_faults(void)
{
	faults_left = 0;
}

/* 0: all goes well. */
static uint8_t next_fault(void)
{
	if (!faults_left)
		return 0;
	faults_left--;
	return *fault_at++;
}

static void reserve(struct fake_bytes *bytes, size_t room)
{
	bytes->room = room;
	bytes->data = realloc(bytes->data, room);
	assert(bytes->data);
}

int fake_open(enum fake_kind kind, bool tcp)
{
	assert(used < FAKE_FDS);
	fakes[used] = (struct fake){ .kind = kind, .open = true, .tcp = tcp };
	reserve(&fakes[used].in, 64);
	reserve(&fakes[used].out, 64);
	return FAKE_FD + used++;
}

void fake_open_pipe(int ret_fds[2])
{
	ret_fds[0] = fake_open(FAKE_PIPE_READ, false);
	ret_fds[1] = fake_open(FAKE_PIPE_WRITE, false);
	fake_of(ret_fds[0])->pipe = fake_of(ret_fds[1])->pipe = ret_fds[0];
}

struct fake *fake_of(int fd)
{
	assert(fd >= FAKE_FD && fd < FAKE_FD + used);
	return &fakes[fd - FAKE_FD];
}

static struct fake *held(int fd)
{
	struct fake *fake = fake_of(fd);

	assert(fake->open);
	return fake;
}

size_t fake_count_open(void)
{
	size_t count = 0;

	for (int i = 0; i < used; i++)
		count += fakes[i].open;
	return count;
}

void fake_put(struct fake_bytes *bytes, const void *data, size_t len)
{
	if (bytes->len + len > bytes->room)
		reserve(bytes, 2 * (bytes->len + len));
	if (len)
		memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

static size_t left(const struct fake_bytes *bytes)
{
	return bytes->len - bytes->taken;
}

int __wrap_close(int fd);
int __real_close(int fd);
int __wrap_close(int fd)
{
	struct fake *fake;

	if (fd < FAKE_FD)
		return __real_close(fd);
	if (fd >= FAKE_PARENT)
		return 0;
	fake = held(fd);
	fake->open = false;
	/* The kernel resets a connection whose bytes nobody read. */
	if (fake->kind == FAKE_SOCKET && left(&fake->in) && !fake->peer_rst)
		fake->rst = true;
	return 0;
}

int __wrap_fcntl(int fd, int command, ...);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list args;
	long value;

	va_start(args, command);
	value = va_arg(args, long);
	va_end(args);
	if (fd < FAKE_FD)
		return __real_fcntl(fd, command, value);
	held(fd);
	return command == F_GETPIPE_SZ ? PIPE_SIZE : 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msg_head head;

	if (fd != FAKE_PARENT)
		return __real_sendmsg(fd, message, flags);
	if (nmessages == MESSAGES_MAX || next_fault() % 16 == 1) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(&head, message->msg_iov[0].iov_base, sizeof(head));
	messages[nmessages++] = (struct fake_message){ head.type, head.id };
	return (ssize_t)(sizeof(head) + head.len);
}

bool fake_take_message(struct fake_message *ret)
{
	if (!nmessages)
		return false;
	*ret = messages[0];
	memmove(messages, messages + 1, --nmessages * sizeof(messages[0]));
	return true;
}

/* ---- io.h -------------------------------------------------------------------------------- */

/* What a call may move at most, or an error, as the input says. */
static ssize_t fault(struct fake *fake, size_t len)
{
	uint8_t byte = next_fault();

	switch (byte % 16) {
	case 1:
		return -EAGAIN;
	case 2:
		fake->peer_rst = true;
		return -ECONNRESET;
	case 3:
		return byte & 0x80 ? -ENOBUFS : -EAGAIN;
	case 4:
	case 5:
	case 6:
	case 7:
		return len < (size_t)byte / 16 + 1 ? (ssize_t)len : (ssize_t)byte / 16 + 1;
	default:
		return (ssize_t)len;
	}
}

static ssize_t at_end(const struct fake *fake)
{
	return fake->peer_rst ? -ECONNRESET : fake->peer_fin ? 0 : -EAGAIN;
}

ssize_t io_recv(int fd, void *data, size_t len)
{
	struct fake *fake = held(fd);
	ssize_t n;

	assert(fake->kind == FAKE_SOCKET && len > 0);
	if (!left(&fake->in))
		return at_end(fake);
	n = fault(fake, len < left(&fake->in) ? len : left(&fake->in));
	if (n <= 0)
		return n;
	memcpy(data, fake->in.data + fake->in.taken, (size_t)n);
	fake->in.taken += (size_t)n;
	return n;
}

ssize_t io_peek(int fd)
{
	struct fake *fake = held(fd);

	return left(&fake->in) ? 1 : at_end(fake);
}

ssize_t io_send(int fd, const struct iovec *parts, size_t count, bool more)
{
	struct fake *fake = held(fd);
	size_t total = 0, done = 0;
	ssize_t n;

	(void)more;
	assert(fake->kind == FAKE_SOCKET && !fake->fin);
	for (size_t i = 0; i < count; i++)
		total += parts[i].iov_len;
	assert(total > 0);
	if (fake->peer_rst)
		return -EPIPE;
	if (!fake->window)
		return -EAGAIN;
	n = fault(fake, total < fake->window ? total : fake->window);
	for (size_t i = 0; n > 0 && done < (size_t)n; i++) {
		size_t part =
			parts[i].iov_len < (size_t)n - done ? parts[i].iov_len : (size_t)n - done;

		fake_put(&fake->out, parts[i].iov_base, part);
		done += part;
	}
	if (n > 0)
		fake->window -= (size_t)n;
	return n;
}

ssize_t io_splice(int from, int to, size_t len)
{
	struct fake *source = held(from), *sink = to == FAKE_NULL ? NULL : held(to);
	size_t have = left(&source->in), room = SIZE_MAX;
	struct fake_bytes *target = NULL;
	ssize_t n;

	assert(len > 0);
	assert(source->kind == FAKE_PIPE_READ || (sink && sink->kind == FAKE_PIPE_WRITE));
	if (sink && sink->kind == FAKE_PIPE_WRITE) {
		target = &held(sink->pipe)->in;
		room = PIPE_SIZE - left(target);
	} else if (sink) {
		if (sink->peer_rst)
			return -EPIPE;
		target = &sink->out;
		room = sink->window;
	}
	if (!have)
		return source->kind == FAKE_SOCKET ? at_end(source) : -EAGAIN;
	if (!room)
		return -EAGAIN;
	n = (ssize_t)(have < len ? have : len);
	if ((size_t)n > room)
		n = (ssize_t)room;
	/* Emptying a pipe into /dev/null is what must not fail by chance. */
	if (sink)
		n = fault(source->kind == FAKE_SOCKET ? source : sink, (size_t)n);
	if (n <= 0)
		return n;
	if (target)
		fake_put(target, source->in.data + source->in.taken, (size_t)n);
	source->in.taken += (size_t)n;
	if (sink && sink->kind == FAKE_SOCKET)
		sink->window -= (size_t)n;
	return n;
}

void io_shutdown(int fd)
{
	held(fd)->fin = true;
}

void io_reset(int fd)
{
	held(fd)->rst = true;
}

void io_nodelay(int fd)
{
	held(fd);
}

void io_quickack(int fd)
{
	held(fd);
}

int io_peer_address(int fd, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in6 *in6 = (void *)ret_address;

	held(fd);
	*ret_address = (struct sockaddr_storage){ .ss_family = AF_INET6 };
	in6->sin6_port = htons(1000);
	in6->sin6_addr.s6_addr[15] = (uint8_t)(fd % 3);
	return 0;
}

/* No listener here keeps them. */
ssize_t io_saved_syn(int fd, void *data, size_t len)
{
	return 0;
}

/* What a listener here yields is handed to it when its accept is armed, and never queued. */
int io_accept_queue(int fd)
{
	return 0;
}

bool io_is_tcp(int fd)
{
	return held(fd)->tcp;
}

/* ---- ring.h ------------------------------------------------------------------------------ */

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
	return next_fault() % 2 == 0;
}

int sandbox_ring(int ring_fd)
{
	return 0;
}

int sandbox_enter(const char **ret_why)
{
	return 0;
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
		held(fd);
	pend(PENDING_POLL, fd, tag);
}

static bool same_tag(struct ring_tag a, struct ring_tag b)
{
	return a.op == b.op && a.side == b.side && a.slot == b.slot && a.generation == b.generation;
}

void ring_poll_cancel(struct ring *ring, struct ring_tag tag)
{
	for (unsigned i = 0; i < npendings; i++)
		if (pendings[i].kind == PENDING_POLL && same_tag(pendings[i].event.tag, tag)) {
			pendings[i].kind = PENDING_DONE;
			pendings[i].event.result = -ECANCELED;
		}
}

void ring_accept(struct ring *ring, int fd, bool multishot, struct ring_tag tag)
{
	held(fd);
	listener.fd = fd;
	listener.tag = tag;
	listener.armed = true;
}

void ring_cancel(struct ring *ring, struct ring_tag tag)
{
	struct pending *pending;

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

	held(splice->from);
	held(splice->to);
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
		return left(&fake->in) || fake->peer_fin || fake->peer_rst;
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
		byte = next_fault();
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
