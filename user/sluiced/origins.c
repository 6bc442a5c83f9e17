/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One struct attempt per PROTO_CONNECT: it tries the service's origins in turn, beginning
 * with the asked one and passing over those that failed lately, until one connects.
 */
#include "origins.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/conf.h"
#include "../lib/log.h"
#include "generation.h"
#include "management.h"
#include "state.h"
#include "supervise.h"

#define PENDING_MAX  1024 /* attempts, and answers that wait, per worker */
#define DOWN_MS	     5000 /* an origin that failed is passed over for so long */
#define FULL_MS	     10 /* before another try while a unix socket's queue is full; each doubles it */
#define FULL_MOST_MS 320

struct attempt {
	struct origins *origins;
	struct attempt *prev, *next;
	struct worker *worker;
	struct generation *generation;
	uint64_t id;
	uint32_t service, origin;
	uint32_t tried;	  /* origins tried or passed over */
	bool desperate;	  /* second round: those that are down, too */
	int error;	  /* of the last one */
	uint64_t full_ms; /* since when its queue is full; 0: it is not */
	uint32_t wait_ms; /* before the next try of it */
	int sock;
	struct loop_watch ready;
	struct loop_timer timeout;
};

struct origins {
	struct sluiced *sluiced;
	struct attempt *attempts;
	struct management management;
};

union address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static socklen_t to_sockaddr(const struct conf_address *address, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->any.sa_family = address->family;
	switch (address->family) {
	case AF_INET:
		ret->in4.sin_port = htons(address->port);
		memcpy(&ret->in4.sin_addr, address->ip, sizeof(ret->in4.sin_addr));
		return sizeof(ret->in4);
	case AF_INET6:
		ret->in6.sin6_port = htons(address->port);
		memcpy(&ret->in6.sin6_addr, address->ip, sizeof(ret->in6.sin6_addr));
		return sizeof(ret->in6);
	default:
		memcpy(ret->un.sun_path, address->path, sizeof(ret->un.sun_path));
		return sizeof(ret->un);
	}
}

int origins_new(struct sluiced *sluiced, struct origins **ret)
{
	struct origins *origins = calloc(1, sizeof(*origins));

	if (!origins)
		return -ENOMEM;
	origins->sluiced = sluiced;
	management_init(&origins->management, sluiced);
	*ret = origins;
	return 0;
}

int origins_manage(struct origins *origins, const struct conf_management *management,
		   char **ret_why)
{
	return management_apply(&origins->management, management, ret_why);
}

/* 0 connected, -EINPROGRESS, or -errno; *ret_sock is valid for the first two. */
static int begin_connect(struct origins *origins, const struct conf_address *to,
			 const char *congestion, int *ret_sock)
{
	union address address;
	socklen_t len;
	const struct conf_address *source = &origins->management.source;
	int sock = management_socket(&origins->management, to->family);
	int on = 1, result;

	if (sock < 0)
		return sock;
	if (to->family != AF_UNIX && source->family == to->family) {
		len = to_sockaddr(source, &address);
		/* The port is chosen at connect(): else all origins share one range. */
		setsockopt(sock, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(sock, &address.any, len)) {
			result = -errno;
			goto out;
		}
	}
	if (congestion && to->family != AF_UNIX)
		setsockopt(sock, IPPROTO_TCP, TCP_CONGESTION, congestion,
			   (socklen_t)strlen(congestion));
	len = to_sockaddr(to, &address);
	result = connect(sock, &address.any, len) ? -errno : 0;
	if (result && result != -EINPROGRESS)
		goto out;
	*ret_sock = sock;
	return result;
out:
	close(sock);
	return result;
}

static void attempt_free(struct attempt *attempt)
{
	struct loop *loop = &attempt->origins->sluiced->loop;

	loop_unwatch(loop, &attempt->ready);
	loop_timer_stop(loop, &attempt->timeout);
	if (attempt->sock >= 0)
		close(attempt->sock);
	if (attempt->prev)
		attempt->prev->next = attempt->next;
	else
		attempt->origins->attempts = attempt->next;
	if (attempt->next)
		attempt->next->prev = attempt->prev;
	attempt->worker->connecting--;
	generation_unref(attempt->generation);
	free(attempt);
}

static void reply(struct worker *worker, uint64_t id, int error, uint32_t origin, int sock)
{
	struct proto_origin answer = { .error = error, .origin = origin };

	if (!worker_send(worker, PROTO_ORIGIN, id, &answer, sizeof(answer), &sock,
			 sock >= 0 ? 1 : 0) ||
	    sock < 0)
		return;
	/* It has to wait, and a copy of it is not to be had. */
	answer.error = EMFILE;
	worker_send(worker, PROTO_ORIGIN, id, &answer, sizeof(answer), NULL, 0);
}

static struct origin *current(struct attempt *attempt)
{
	return &attempt->generation->origins[attempt->service][attempt->origin];
}

static void finish(struct attempt *attempt, int error)
{
	if (!error) {
		current(attempt)->connects++;
		current(attempt)->down_until_ms = 0;
	}
	reply(attempt->worker, attempt->id, error, attempt->origin, error ? -1 : attempt->sock);
	attempt_free(attempt);
}

static void try_next(struct attempt *attempt);

static void rest(const struct generation *generation, uint32_t service, uint32_t index,
		 const char *why)
{
	static struct log_limit limit = LOG_LIMIT(10000, 10);
	const struct conf_service *conf = &generation->conf->services[service];
	struct origin *origin = &generation->origins[service][index];
	uint32_t left_out;

	origin->failures++;
	origin->down_until_ms = loop_now() + DOWN_MS;
	if (log_allowed(&limit, &left_out))
		log_warn("service %s: origin %s rests for %d s: %s (%u more messages left out)",
			 conf->name, conf->origins[index].address, DOWN_MS / 1000, why, left_out);
}

void origins_blame(struct worker *worker, const struct proto_connect *blamed)
{
	const struct conf *conf = worker->generation->conf;

	if (worker->role == PROTO_ROLE_FRONT || blamed->service >= conf->services_count ||
	    blamed->origin >= conf->services[blamed->service].origins_count)
		worker_kill(worker, "blamed an origin that does not exist for it");
	else
		rest(worker->generation, blamed->service, blamed->origin,
		     "closed a new connection without an answer");
}

static void pass_over(struct attempt *attempt, int error)
{
	loop_unwatch(&attempt->origins->sluiced->loop, &attempt->ready);
	loop_timer_stop(&attempt->origins->sluiced->loop, &attempt->timeout);
	if (attempt->sock >= 0)
		close(attempt->sock);
	attempt->sock = -1;
	attempt->full_ms = 0;
	attempt->error = error;
	attempt->origin++;
	attempt->tried++;
	try_next(attempt);
}

static void failed(struct attempt *attempt, int error)
{
	rest(attempt->generation, attempt->service, attempt->origin, strerror(error));
	pass_over(attempt, error);
}

/* It need not rest for what is ours to mend; another may be reached. */
static void no_address(struct attempt *attempt)
{
	static struct log_limit limit = LOG_LIMIT(10000, 3);
	const struct conf_service *conf = &attempt->generation->conf->services[attempt->service];
	uint32_t left_out;

	if (log_allowed(&limit, &left_out))
		log_warn("service %s: no local address or port is left for a connection to %s: "
			 "widen net.ipv4.ip_local_port_range where sluiced connects from, see that "
			 "management.source is an address there, or give the service more origins "
			 "(%u more messages left out)",
			 conf->name, conf->origins[attempt->origin].address, left_out);
	pass_over(attempt, EADDRNOTAVAIL);
}

static void on_connected(struct loop_watch *watch, uint32_t events)
{
	struct attempt *attempt = container_of(watch, struct attempt, ready);
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(attempt->sock, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (error)
		failed(attempt, error);
	else if (events & EPOLLOUT) /* POLLOUT's value, too */
		finish(attempt, 0);
	else
		failed(attempt, ECONNRESET);
}

/* Timers come first in the loop, unless it stood for long: it may have connected meanwhile. */
static void on_timeout(struct loop_timer *timer)
{
	struct attempt *attempt = container_of(timer, struct attempt, timeout);
	struct pollfd now = { .fd = attempt->sock, .events = POLLOUT };

	if (poll(&now, 1, 0) == 1)
		on_connected(&attempt->ready, (uint32_t)now.revents);
	else
		failed(attempt, ETIMEDOUT);
}

/* The next origin worth trying, or false. All being down, each gets its chance. */
static bool choose(struct attempt *attempt)
{
	uint32_t count = attempt->generation->conf->services[attempt->service].origins_count;

	for (; attempt->tried < count; attempt->tried++, attempt->origin++, attempt->full_ms = 0) {
		attempt->origin %= count;
		if (attempt->desperate || current(attempt)->down_until_ms <= loop_now())
			return true;
	}
	if (attempt->desperate || attempt->error)
		return false;
	attempt->desperate = true;
	attempt->tried = 0;
	attempt->origin %= count;
	return true;
}

static void on_full(struct loop_timer *timer)
{
	try_next(container_of(timer, struct attempt, timeout));
}

/*
 * A unix socket whose queue is full refuses at once, where TCP would try again by itself. False:
 * it has been full for as long as a connection may take.
 */
static bool await_room(struct attempt *attempt)
{
	uint64_t now = loop_now();

	if (!attempt->full_ms) {
		attempt->full_ms = now;
		attempt->wait_ms = FULL_MS;
	}
	if (now - attempt->full_ms >=
	    attempt->generation->conf->services[attempt->service].connect_timeout)
		return false;
	loop_timer_start(&attempt->origins->sluiced->loop, &attempt->timeout, attempt->wait_ms,
			 on_full);
	if (attempt->wait_ms < FULL_MOST_MS)
		attempt->wait_ms *= 2;
	return true;
}

static void try_next(struct attempt *attempt)
{
	struct origins *origins = attempt->origins;
	int err;

	if (!choose(attempt)) {
		attempt->origin = 0;
		finish(attempt, attempt->error);
		return;
	}
	err = begin_connect(origins, &current(attempt)->address,
			    conf_congestion_name(attempt->generation->conf->relay.congestion),
			    &attempt->sock);
	if (!err) {
		finish(attempt, 0);
		return;
	}
	if (err == -EAGAIN && current(attempt)->address.family == AF_UNIX) {
		if (await_room(attempt))
			return;
		err = -ETIMEDOUT;
	}
	/* Ours to mend: no origin need rest for it. */
	if (err == -EMFILE || err == -ENFILE || err == -ENOMEM) {
		finish(attempt, EMFILE);
		return;
	}
	if (err == -EADDRNOTAVAIL) {
		no_address(attempt);
		return;
	}
	if (err == -EINPROGRESS) {
		err = loop_watch(&origins->sluiced->loop, &attempt->ready, attempt->sock, EPOLLOUT,
				 on_connected);
		if (!err) {
			loop_timer_start(&origins->sluiced->loop, &attempt->timeout,
					 attempt->generation->conf->services[attempt->service]
						 .connect_timeout,
					 on_timeout);
			return;
		}
	}
	failed(attempt, -err);
}

/* Answers hold descriptors of ours until they are read: a worker that asks without reading
 * must not use them up. */
static bool overfull(const struct worker *worker)
{
	return worker->connecting >= PENDING_MAX ||
	       worker->mailbox.count - worker->mailbox.promises >= PENDING_MAX;
}

/* FRONT asks for the way to the other half: a stream whose far end the BACK worker gets. */
static void bridge(struct origins *origins, struct worker *front, uint64_t id)
{
	struct worker *back = supervise_partner(origins->sluiced->supervise, front);
	struct proto_stream stream = { 0 };
	int pair[2];
	int err;

	if (!back || overfull(back) || overfull(front)) {
		reply(front, id, EAGAIN, 0, -1);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
		reply(front, id, errno, 0, -1);
		return;
	}
	err = worker_send(back, PROTO_STREAM, 0, &stream, sizeof(stream), &pair[1], 1);
	reply(front, id, err ? EAGAIN : 0, 0, err ? -1 : pair[0]);
	close(pair[0]);
	close(pair[1]);
}

void origins_connect(struct origins *origins, struct worker *worker, uint64_t id,
		     const struct proto_connect *connect)
{
	const struct conf *conf = worker->generation->conf;
	struct attempt *attempt;

	if (connect->service == PROTO_SERVICE_BRIDGE && worker->role == PROTO_ROLE_FRONT) {
		bridge(origins, worker, id);
		return;
	}
	if (worker->role == PROTO_ROLE_FRONT || connect->service >= conf->services_count ||
	    connect->origin >= conf->services[connect->service].origins_count) {
		worker_kill(worker, "asked for a service that does not exist for it");
		return;
	}
	if (overfull(worker)) {
		reply(worker, id, EAGAIN, connect->origin, -1);
		return;
	}
	attempt = calloc(1, sizeof(*attempt));
	if (!attempt) {
		reply(worker, id, ENOMEM, connect->origin, -1);
		return;
	}
	attempt->origins = origins;
	attempt->worker = worker;
	attempt->generation = generation_ref(worker->generation);
	attempt->id = id;
	attempt->service = connect->service;
	attempt->origin = connect->origin;
	attempt->sock = attempt->ready.fd = -1;
	attempt->next = origins->attempts;
	if (attempt->next)
		attempt->next->prev = attempt;
	origins->attempts = attempt;
	worker->connecting++;
	try_next(attempt);
}

unsigned origins_pending(struct origins *origins, const struct worker *worker,
			 struct state_connect *ret, unsigned max)
{
	unsigned count = 0;

	for (const struct attempt *attempt = origins->attempts; attempt && count < max;
	     attempt = attempt->next)
		if (attempt->worker == worker)
			ret[count++] = (struct state_connect){ attempt->id, attempt->service,
							       attempt->origin };
	return count;
}

void origins_forget(struct origins *origins, const struct worker *worker)
{
	struct attempt *next;

	for (struct attempt *attempt = origins->attempts; attempt; attempt = next) {
		next = attempt->next;
		if (!worker || attempt->worker == worker)
			attempt_free(attempt);
	}
}

void origins_free(struct origins *origins)
{
	if (!origins)
		return;
	origins_forget(origins, NULL);
	management_free(&origins->management);
	free(origins);
}
