/* SPDX-License-Identifier: BSD-2-Clause */
#include "origin.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "body.h"

#define HEAD_MAX 65536

struct origin_server {
	int fd;
	uint16_t port;
	pthread_t thread;
	atomic_uint connections, broken;
};

struct peer {
	struct origin_server *origin;
	int fd;
	char in[HEAD_MAX];
	size_t len;
	char head[HEAD_MAX]; /* the current request's, with a NUL */
	bool close;
};

static void sleep_ms(unsigned ms)
{
	struct timespec nap = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&nap, NULL);
}

static bool put(struct peer *peer, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = send(peer->fd, at, len, MSG_NOSIGNAL);

		if (n <= 0) {
			atomic_fetch_add(&peer->origin->broken, 1);
			peer->close = true;
			return false;
		}
		at += n;
		len -= (size_t)n;
	}
	return true;
}

__attribute__((format(printf, 2, 3))) static bool say(struct peer *peer, const char *format, ...)
{
	char text[HEAD_MAX + 256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return put(peer, text, (size_t)n);
}

static bool put_body(struct peer *peer, uint64_t from, uint64_t to)
{
	char piece[65536];

	while (from < to) {
		size_t n = to - from < sizeof(piece) ? (size_t)(to - from) : sizeof(piece);

		body_fill(from, piece, n);
		if (!put(peer, piece, n))
			return false;
		from += n;
	}
	return true;
}

/* Head and body of a small response leave together, as servers do it. */
static void put_length(struct peer *peer, uint64_t len)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
			 (unsigned long long)len);

	if (len <= sizeof(text) - (size_t)n) {
		body_fill(0, text + n, len);
		put(peer, text, (size_t)n + len);
		return;
	}
	put(peer, text, (size_t)n);
	put_body(peer, 0, len);
}

/* A complete response and, in the same call, one that nobody asked for. */
static void put_extra(struct peer *peer, uint64_t len, unsigned delay_ms)
{
	static const char foreign[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign";
	char *text = malloc(256 + len + sizeof(foreign));
	int n = sprintf(text, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
			(unsigned long long)len);

	body_fill(0, text + n, len);
	memcpy(text + n + len, foreign, sizeof(foreign) - 1);
	sleep_ms(delay_ms);
	put(peer, text, (size_t)n + len + sizeof(foreign) - 1);
	free(text);
}

static void put_chunks(struct peer *peer, uint64_t upto, uint64_t chunk)
{
	for (uint64_t at = 0; at < upto; at += chunk) {
		uint64_t n = upto - at < chunk ? upto - at : chunk;

		if (!say(peer, "%llx\r\n", (unsigned long long)n) || !put_body(peer, at, at + n) ||
		    !put(peer, "\r\n", 2))
			return;
	}
}

static void reset(struct peer *peer)
{
	static const struct linger now = { 1, 0 };

	/* What was sent should arrive before the reset throws it away. */
	sleep_ms(50);
	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	peer->close = true;
}

/* Reads at least one byte more. */
static bool more(struct peer *peer)
{
	ssize_t n = recv(peer->fd, peer->in + peer->len, sizeof(peer->in) - peer->len, 0);

	if (n <= 0)
		return false;
	peer->len += (size_t)n;
	return true;
}

static void drop(struct peer *peer, size_t n)
{
	memmove(peer->in, peer->in + n, peer->len - n);
	peer->len -= n;
}

static bool read_bytes(struct peer *peer, uint64_t len, struct body_hash *hash)
{
	while (len) {
		size_t n;

		if (peer->len == 0 && !more(peer))
			return false;
		n = peer->len < len ? peer->len : (size_t)len;
		body_hash_add(hash, peer->in, n);
		drop(peer, n);
		len -= n;
	}
	return true;
}

static bool read_line(struct peer *peer, char *line, size_t size)
{
	char *end;

	while (!(end = memmem(peer->in, peer->len, "\r\n", 2)))
		if (!more(peer))
			return false;
	snprintf(line, size, "%.*s", (int)(end - peer->in), peer->in);
	drop(peer, (size_t)(end - peer->in) + 2);
	return true;
}

static void answer_upload(struct peer *peer)
{
	const char *length = strcasestr(peer->head, "\r\nContent-Length:");
	uint8_t sum[BODY_HASH_LEN];
	struct body_hash hash;
	uint64_t total = 0;
	char line[256], hex[2 * BODY_HASH_LEN + 1];
	bool good = true;

	if (strcasestr(peer->head, "\r\nExpect: 100-continue"))
		say(peer, "HTTP/1.1 100 Continue\r\n\r\n");
	body_hash_init(&hash);
	if (length) {
		total = strtoull(length + 17, NULL, 10);
		good = read_bytes(peer, total, &hash);
	} else if (strcasestr(peer->head, "\r\nTransfer-Encoding: chunked")) {
		uint64_t n;

		while (good && (good = read_line(peer, line, sizeof(line))) &&
		       (n = strtoull(line, NULL, 16)) > 0) {
			good = read_bytes(peer, n, &hash) && read_line(peer, line, sizeof(line));
			total += n;
		}
		while (good && (good = read_line(peer, line, sizeof(line))) && line[0])
			;
	}
	body_hash_end(&hash, sum);
	for (unsigned i = 0; i < BODY_HASH_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	if (!good) {
		peer->close = true;
		return;
	}
	say(peer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%020llu %s",
	    (size_t)20 + 1 + 2 * BODY_HASH_LEN, (unsigned long long)total, hex);
}

static void answer_odd(struct peer *peer, const char *path, unsigned long long n)
{
	if (strncmp(path, "/garbage", 8) == 0) {
		say(peer, "SSH-2.0-OpenSSH_9\r\n\r\n");
	} else if (strncmp(path, "/switch", 7) == 0) {
		say(peer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
	} else if (strncmp(path, "/storm", 6) == 0) {
		for (int i = 0; i < 1000 && say(peer, "HTTP/1.1 103 Early Hints\r\n\r\n"); i++)
			;
		peer->close = true;
	} else if (strncmp(path, "/interim/", 9) == 0) {
		for (unsigned long long i = 0; i < n; i++) {
			say(peer, "HTTP/1.1 103 Early Hints\r\nLink: <%llu>\r\n\r\n", i);
			sleep_ms(20);
		}
		put_length(peer, 100);
	} else if (strncmp(path, "/no-content", 11) == 0) {
		say(peer, "HTTP/1.1 204 No Content\r\n\r\n");
	} else if (strncmp(path, "/not-modified", 13) == 0) {
		say(peer, "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n");
	} else if (strncmp(path, "/early", 6) == 0) {
		put_length(peer, 100);
		sleep_ms(100);
		peer->close = true;
	} else if (strncmp(path, "/stall", 6) == 0) {
		more(peer); /* until the relay gives up */
		peer->close = true;
	} else if (strncmp(path, "/echo", 5) == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(peer->head),
		    peer->head);
	} else {
		say(peer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	}
}

static void answer(struct peer *peer)
{
	unsigned long long n = 0, m = 0;
	char word[32] = "";
	char *path = strchr(peer->head, ' ') + 1;

	sscanf(path, "/%31[a-z-]/%llu/%llu", word, &n, &m);
	if (strncmp(peer->head, "HEAD ", 5) == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", n);
	} else if (strcmp(word, "length") == 0) {
		put_length(peer, n);
	} else if (strcmp(word, "chunked") == 0 || strcmp(word, "trailers") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		put_chunks(peer, n, m ? m : 1000);
		say(peer, "0\r\n%s\r\n", word[0] == 't' ? "Checksum: 1\r\nHost: evil\r\n" : "");
	} else if (strcmp(word, "eof") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\n\r\n");
		put_body(peer, 0, n);
		peer->close = true;
	} else if (strcmp(word, "pause") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", n);
		sleep_ms(200);
		put_body(peer, 0, n);
	} else if (strcmp(word, "cut-length") == 0 || strcmp(word, "reset-length") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", n);
		put_body(peer, 0, m);
		peer->close = true;
		if (word[0] == 'r')
			reset(peer);
	} else if (strcmp(word, "cut-chunked") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%llx\r\n", n);
		put_body(peer, 0, m);
		peer->close = true;
	} else if (strcmp(word, "reset-eof") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\n\r\n");
		put_body(peer, 0, m);
		reset(peer);
	} else if (strcmp(word, "bad-chunk") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		put_chunks(peer, n, 1000);
		say(peer, "xyz\r\n");
		peer->close = true;
	} else if (strcmp(word, "slow") == 0) {
		sleep_ms((unsigned)n);
		put_length(peer, 100);
	} else if (strcmp(word, "extra") == 0) {
		put_extra(peer, n, (unsigned)m);
	} else if (strcmp(word, "once") == 0) {
		put_length(peer, 100);
		/* The next request is already on its way when it closes. */
		more(peer);
		peer->close = true;
	} else if (strcmp(word, "vanish") == 0) {
		peer->close = true;
	} else if (strcmp(word, "upload") == 0) {
		answer_upload(peer);
	} else {
		answer_odd(peer, path, n);
	}
}

static void *serve_peer(void *context)
{
	struct peer *peer = context;

	while (!peer->close) {
		char *end;

		while (!(end = memmem(peer->in, peer->len, "\r\n\r\n", 4)))
			if (!more(peer))
				goto out;
		memcpy(peer->head, peer->in, (size_t)(end - peer->in) + 4);
		peer->head[end - peer->in + 4] = '\0';
		drop(peer, (size_t)(end - peer->in) + 4);
		answer(peer);
	}
out:
	close(peer->fd);
	free(peer);
	return NULL;
}

static void *serve(void *context)
{
	struct origin_server *origin = context;
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (;;) {
		struct peer *peer;
		pthread_t thread;
		int fd = accept4(origin->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return NULL;
		atomic_fetch_add(&origin->connections, 1);
		peer = calloc(1, sizeof(*peer));
		peer->origin = origin;
		peer->fd = fd;
		if (pthread_create(&thread, &attributes, serve_peer, peer) != 0) {
			close(fd);
			free(peer);
		}
	}
}

struct origin_server *origin_start(const char *unix_path)
{
	struct origin_server *origin = calloc(1, sizeof(*origin));
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int rc;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	origin->fd = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (unix_path) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", unix_path);
		unlink(unix_path);
		rc = bind(origin->fd, (void *)&un, sizeof(un));
	} else {
		rc = bind(origin->fd, (void *)&in, sizeof(in));
	}
	if (rc < 0 || listen(origin->fd, 4096) < 0) {
		perror("origin");
		exit(1);
	}
	if (!unix_path) {
		getsockname(origin->fd, (void *)&in, &len);
		origin->port = ntohs(in.sin_port);
	}
	if (pthread_create(&origin->thread, NULL, serve, origin) != 0)
		exit(1);
	return origin;
}

uint16_t origin_port(const struct origin_server *origin)
{
	return origin->port;
}

unsigned origin_connections(const struct origin_server *origin)
{
	return atomic_load(&origin->connections);
}

unsigned origin_broken(const struct origin_server *origin)
{
	return atomic_load(&origin->broken);
}

void origin_stop(struct origin_server *origin)
{
	shutdown(origin->fd, SHUT_RDWR);
	pthread_join(origin->thread, NULL);
	close(origin->fd);
	free(origin);
}
