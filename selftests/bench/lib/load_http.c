/* SPDX-License-Identifier: BSD-2-Clause */
/* The HTTP client under load; see load_http.h. Steps stand in the order of a request's life. */
#include "load_http.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_SIZE   4096
#define BUFFER_SIZE (256u << 10) /* stays in L2 */
#define TURN_READS  4		 /* per event, so that bulk connections cannot starve a probe */
#define EVENTS	    64

enum state {
	STATE_CONNECT, /* awaiting the handshake */
	STATE_HEAD,    /* request sent, awaiting the end of the response head */
	STATE_BODY,    /* awaiting conn.left body bytes */
	STATE_END,     /* body complete, awaiting the server's FIN (fresh connections) */
};

struct conn {
	int fd;
	enum state state;
	struct load_group *group;
	uint64_t begun; /* ns: request sent, or connect started */
	uint64_t left;
	size_t have; /* bytes in head */
	EVP_MD_CTX *digest;
	char head[HEAD_SIZE];
};

struct run {
	const struct load_plan *plan;
	struct load_group *groups;
	unsigned ngroups;
	struct conn *conns;
	unsigned nconns;
	int epoll;
	bool counting;	     /* inside the window */
	unsigned unfinished; /* groups of a counted run that lack requests */
	uint64_t issued[LOAD_GROUPS_MAX];
	char request[LOAD_GROUPS_MAX][1024];
	size_t request_len[LOAD_GROUPS_MAX];
};

static char buffer[BUFFER_SIZE];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void conn_watch(struct run *run, struct conn *conn, int op, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = conn };

	if (epoll_ctl(run->epoll, op, conn->fd, &event))
		err(1, "epoll_ctl");
}

static void conn_send(struct run *run, struct conn *conn)
{
	unsigned group = (unsigned)(conn->group - run->groups);
	ssize_t sent = send(conn->fd, run->request[group], run->request_len[group], MSG_NOSIGNAL);

	/* The send buffer is empty here, so a short send is as good as a dead peer. */
	if (sent != (ssize_t)run->request_len[group])
		err(1, "%s: request not taken", conn->group->path);
	conn->state = STATE_HEAD;
	conn->have = 0;
	if (conn->digest && !EVP_DigestInit_ex(conn->digest, EVP_sha256(), NULL))
		errx(1, "SHA-256 is not available");
}

/* False when the group of a counted run has had all its requests issued. */
static bool conn_may_begin(struct run *run, struct conn *conn)
{
	unsigned group = (unsigned)(conn->group - run->groups);

	if (run->plan->requests && run->issued[group] == run->plan->requests)
		return false;
	run->issued[group]++;
	return true;
}

static void conn_open(struct run *run, struct conn *conn)
{
	const struct sockaddr *to = (const struct sockaddr *)&run->plan->to;
	int one = 1;

	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0)
		err(1, "socket");
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn->begun = now_ns();
	conn->state = STATE_CONNECT;
	if (connect(conn->fd, to, sizeof(run->plan->to)) && errno != EINPROGRESS)
		err(1, "connect");
	conn_watch(run, conn, EPOLL_CTL_ADD, EPOLLOUT);
}

static void conn_shut(struct conn *conn)
{
	close(conn->fd);
	conn->fd = -1;
}

static void conn_connected(struct run *run, struct conn *conn)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		errno = error;
		err(1, "connect");
	}
	if (!run->plan->fresh)
		conn->begun = now_ns();
	conn_watch(run, conn, EPOLL_CTL_MOD, EPOLLIN);
	conn_send(run, conn);
}

static void digest_check(struct conn *conn)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned len = 0;

	if (!EVP_DigestFinal_ex(conn->digest, sum, &len))
		errx(1, "SHA-256 failed");
	for (unsigned i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	if (strcmp(hex, conn->group->sha256))
		errx(1, "%s: body has SHA-256 %s, wanted %s", conn->group->path, hex,
		     conn->group->sha256);
}

/* The body is complete: account for it, then begin the next request. */
static void conn_finish(struct run *run, struct conn *conn)
{
	uint64_t now = now_ns();

	if (conn->digest)
		digest_check(conn);
	if (run->counting) {
		conn->group->requests++;
		hist_add(&conn->group->latency, now - conn->begun);
		if (conn->group->requests == run->plan->requests)
			run->unfinished--;
	}
	if (run->plan->fresh) {
		conn->state = STATE_END;
		return;
	}
	if (!conn_may_begin(run, conn)) {
		conn_shut(conn);
		return;
	}
	conn->begun = now;
	conn_send(run, conn);
}

static void conn_take(struct run *run, struct conn *conn, const char *data, size_t len)
{
	conn->left -= len;
	if (run->counting)
		conn->group->bytes += len;
	if (conn->digest && !EVP_DigestUpdate(conn->digest, data, len))
		errx(1, "SHA-256 failed");
}

/* Whether text up to the end of its line is that number and nothing else. */
static bool length_is(const char *text, uint64_t size)
{
	char *end;

	text += strspn(text, " ");
	if (*text < '0' || *text > '9')
		return false;
	return strtoull(text, &end, 10) == size && end[0] == '\r';
}

/* Length of the head in head[0..have), 0 when it is not complete; exits on a wrong one. */
static size_t head_check(const struct conn *conn)
{
	static const char status[] = "HTTP/1.1 200 ";
	const struct load_group *group = conn->group;
	const char *end = memmem(conn->head, conn->have, "\r\n\r\n", 4);
	const char *line, *eol;
	bool sized = false;

	if (!end) {
		if (conn->have == HEAD_SIZE)
			errx(1, "%s: response head over %d bytes", group->path, HEAD_SIZE);
		return 0;
	}
	if ((size_t)(end - conn->head) < sizeof(status) - 1 ||
	    memcmp(conn->head, status, sizeof(status) - 1))
		errx(1, "%s: status is '%.*s'", group->path, (int)strcspn(conn->head, "\r"),
		     conn->head);
	for (line = (char *)memchr(conn->head, '\n', conn->have) + 1; line < end + 2;
	     line = eol + 1) {
		eol = memchr(line, '\n', (size_t)(end + 2 - line));
		if (!eol)
			errx(1, "%s: malformed head", group->path);
		if (!strncasecmp(line, "Content-Length:", 15)) {
			if (sized || !length_is(line + 15, group->size))
				errx(1, "%s: Content-Length repeated or not %llu", group->path,
				     (unsigned long long)group->size);
			sized = true;
		}
		if (!strncasecmp(line, "Transfer-Encoding:", 18))
			errx(1, "%s: unexpected Transfer-Encoding", group->path);
	}
	if (!sized)
		errx(1, "%s: no Content-Length", group->path);
	return (size_t)(end + 4 - conn->head);
}

/* Each conn_read_*() returns false when there is nothing more to read now. */
static bool conn_read_head(struct run *run, struct conn *conn)
{
	ssize_t got = recv(conn->fd, conn->head + conn->have, HEAD_SIZE - conn->have, 0);
	size_t head, extra;

	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0)
		errx(1, "%s: connection %s after %zu bytes of the head", conn->group->path,
		     got ? strerror(errno) : "closed", conn->have);
	conn->have += (size_t)got;
	head = head_check(conn);
	if (!head)
		return true;
	extra = conn->have - head;
	if (extra > conn->group->size)
		errx(1, "%s: %llu bytes after the body", conn->group->path,
		     (unsigned long long)(extra - conn->group->size));
	conn->left = conn->group->size;
	conn->state = STATE_BODY;
	conn_take(run, conn, conn->head + head, extra);
	if (conn->left)
		return true;
	conn_finish(run, conn);
	return conn->fd >= 0 && conn->state == STATE_END;
}

static bool conn_read_body(struct run *run, struct conn *conn)
{
	size_t want = conn->left < BUFFER_SIZE ? (size_t)conn->left : BUFFER_SIZE;
	bool discard = run->plan->discard && !conn->digest;
	ssize_t got = recv(conn->fd, buffer, want, discard ? MSG_TRUNC : 0);

	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0)
		errx(1, "%s: connection %s with %llu body bytes missing", conn->group->path,
		     got ? strerror(errno) : "closed", (unsigned long long)conn->left);
	conn_take(run, conn, buffer, (size_t)got);
	if (conn->left)
		return (size_t)got == want;
	conn_finish(run, conn);
	return conn->fd >= 0 && conn->state == STATE_END;
}

static bool conn_read_end(struct run *run, struct conn *conn)
{
	ssize_t got = recv(conn->fd, buffer, 1, 0);

	if (got < 0 && errno == EAGAIN)
		return false;
	if (got)
		errx(1, "%s: %s after the body", conn->group->path,
		     got > 0 ? "data" : strerror(errno));
	conn_shut(conn);
	if (conn_may_begin(run, conn))
		conn_open(run, conn);
	return false;
}

static void conn_event(struct run *run, struct conn *conn)
{
	bool more = true;

	if (conn->state == STATE_CONNECT) {
		conn_connected(run, conn);
		return;
	}
	for (unsigned reads = 0; more && reads < TURN_READS; reads++) {
		switch (conn->state) {
		case STATE_HEAD:
			more = conn_read_head(run, conn);
			break;
		case STATE_BODY:
			more = conn_read_body(run, conn);
			break;
		case STATE_END:
			more = conn_read_end(run, conn);
			break;
		case STATE_CONNECT:
			return;
		}
	}
}

/* Handles what is ready until the time comes, or until a counted run is complete. */
static void run_until(struct run *run, uint64_t until)
{
	struct epoll_event events[EVENTS];
	uint64_t now = now_ns();
	int n;

	while (now < until && (!run->plan->requests || run->unfinished)) {
		n = epoll_wait(run->epoll, events, EVENTS, (int)((until - now) / 1000000 + 1));
		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++)
			conn_event(run, events[i].data.ptr);
		now = now_ns();
	}
}

static void run_prepare(struct run *run)
{
	const struct load_plan *plan = run->plan;
	struct conn *conn;
	unsigned total = 0;

	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run->epoll < 0)
		err(1, "epoll_create1");
	for (unsigned i = 0; i < run->ngroups; i++) {
		struct load_group *group = &run->groups[i];
		int len = snprintf(
			run->request[i], sizeof(run->request[i]),
			"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n",
			group->path, plan->host, plan->fresh ? "Connection: close\r\n" : "");

		if (len >= (int)sizeof(run->request[i]))
			errx(1, "%s: path too long", group->path);
		run->request_len[i] = (size_t)len;
		total += group->connections;
	}
	if (total > LOAD_CONNS_MAX)
		errx(1, "more than %d connections", LOAD_CONNS_MAX);
	run->conns = calloc(total, sizeof(*run->conns));
	if (!run->conns)
		err(1, "%u connections", total);
	for (unsigned i = 0; i < run->ngroups; i++) {
		for (unsigned j = 0; j < run->groups[i].connections; j++) {
			conn = &run->conns[run->nconns++];
			conn->fd = -1;
			conn->group = &run->groups[i];
			if (conn->group->sha256)
				conn->digest = EVP_MD_CTX_new();
			if (conn_may_begin(run, conn))
				conn_open(run, conn);
		}
	}
}

static void run_free(struct run *run)
{
	for (unsigned i = 0; i < run->nconns; i++) {
		if (run->conns[i].fd >= 0)
			close(run->conns[i].fd);
		EVP_MD_CTX_free(run->conns[i].digest);
	}
	free(run->conns);
	close(run->epoll);
}

double load_http_run(const struct load_plan *plan, struct load_group *groups, unsigned ngroups,
		     struct cpu *cpu)
{
	struct run run = { .plan = plan, .groups = groups, .ngroups = ngroups };
	uint64_t begin, end;

	run.unfinished = ngroups;
	run_prepare(&run);
	if (!plan->requests)
		run_until(&run, now_ns() + (uint64_t)(plan->warmup * 1e9));
	run.counting = true;
	cpu_begin(cpu);
	begin = now_ns();
	run_until(&run,
		  begin + (uint64_t)((plan->requests ? plan->deadline : plan->seconds) * 1e9));
	end = now_ns();
	cpu_end(cpu);
	if (plan->requests && run.unfinished)
		errx(1, "not complete after %.0f s", plan->deadline);
	for (unsigned i = 0; i < ngroups; i++)
		if (!groups[i].bytes && groups[i].size)
			errx(1, "%s: not a byte of a body in the window", groups[i].path);
	run_free(&run);
	return (double)(end - begin) / 1e9;
}
