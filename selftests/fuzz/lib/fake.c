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
#define MESSAGES_MAX 1024

static struct fake fakes[FAKE_FDS];
static int used;
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
	nmessages = 0;
	fault_at = faults;
	faults_left = nfaults;
}

void fake_no_faults(void)
{
	faults_left = 0;
}

uint8_t fake_next_fault(void)
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

struct fake *fake_held(int fd)
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

size_t fake_left(const struct fake_bytes *bytes)
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
	fake = fake_held(fd);
	fake->open = false;
	/* The kernel resets a connection whose bytes nobody read. */
	if (fake->kind == FAKE_SOCKET && fake_left(&fake->in) && !fake->peer_rst)
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
	fake_held(fd);
	return command == F_GETPIPE_SZ ? PIPE_SIZE : 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msg_head head;

	if (fd != FAKE_PARENT)
		return __real_sendmsg(fd, message, flags);
	if (nmessages == MESSAGES_MAX || fake_next_fault() % 16 == 1) {
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
	uint8_t byte = fake_next_fault();

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
	struct fake *fake = fake_held(fd);
	ssize_t n;

	assert(fake->kind == FAKE_SOCKET && len > 0);
	if (!fake_left(&fake->in))
		return at_end(fake);
	n = fault(fake, len < fake_left(&fake->in) ? len : fake_left(&fake->in));
	if (n <= 0)
		return n;
	memcpy(data, fake->in.data + fake->in.taken, (size_t)n);
	fake->in.taken += (size_t)n;
	return n;
}

ssize_t io_peek(int fd)
{
	struct fake *fake = fake_held(fd);

	return fake_left(&fake->in) ? 1 : at_end(fake);
}

ssize_t io_send(int fd, const struct iovec *parts, size_t count, bool more)
{
	struct fake *fake = fake_held(fd);
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
	struct fake *source = fake_held(from), *sink = to == FAKE_NULL ? NULL : fake_held(to);
	size_t have = fake_left(&source->in), room = SIZE_MAX;
	struct fake_bytes *target = NULL;
	ssize_t n;

	assert(len > 0);
	assert(source->kind == FAKE_PIPE_READ || (sink && sink->kind == FAKE_PIPE_WRITE));
	if (sink && sink->kind == FAKE_PIPE_WRITE) {
		target = &fake_held(sink->pipe)->in;
		room = PIPE_SIZE - fake_left(target);
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
	fake_held(fd)->fin = true;
}

void io_reset(int fd)
{
	fake_held(fd)->rst = true;
}

bool io_is_settled(int fd)
{
	const struct fake *fake = fake_held(fd);

	return !fake->fin && !fake->peer_fin && !fake->peer_rst;
}

void io_nodelay(int fd)
{
	fake_held(fd);
}

void io_quickack(int fd)
{
	fake_held(fd);
}

int io_peer_address(int fd, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in6 *in6 = (void *)ret_address;

	fake_held(fd);
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
	return fake_held(fd)->tcp;
}

/* ---- sandbox.h --------------------------------------------------------------------------- */

int sandbox_ring(int ring_fd)
{
	return 0;
}

int sandbox_enter(const char **ret_why)
{
	return 0;
}
