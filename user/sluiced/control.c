/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of the control socket. Every peer is bounded: a request line, one reply at a
 * time (the next line is read when the last reply has gone), and the time it may idle.
 */
#include "control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/log.h"
#include "control_command.h"
#include "control_reply.h"
#include "tenants.h"

#define LINE_MAX_LEN 65536
#define PEERS_MAX    64
#define READERS_MAX  48 /* of those who may only read: the other places are for administrators */
#define TURN	     8	/* requests of one peer before others get their turn */
#define IDLE_MS	     300000
#define STUCK_MS     10000 /* a peer that reads nothing of its reply */
#define GROUPS_MAX   256
#define PART	     32 /* tenants: some milliseconds, in which nobody else is served */
#define TAIL_MAX     16
#define PAUSE_MS     200 /* after descriptors or memory ran out */

struct peer {
	struct control *control;
	struct peer *prev, *next;
	int sock;
	enum control_access access;
	struct loop_watch watch;
	struct loop_timer timer;
	char *reply; /* being sent: all of it with its newline, or the next part */
	size_t reply_len, reply_sent;
	struct control_rest rest; /* the descriptor goes with the first byte */
	uint32_t slot;		  /* of the next tenant, while rest.tenant is set */
	bool listed;		  /* one of them has been */
	char tail[TAIL_MAX];	  /* what follows the last tenant */
	bool ended;		  /* sends no more; closed after the last reply */
	size_t len;
	char line[LINE_MAX_LEN];
};

struct control {
	struct sluiced *sluiced;
	struct loop_watch watch;
	struct loop_timer pause;
	int sock;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct peer *peers;
	unsigned npeers, nreaders;
};

/* ---- who asks ------------------------------------------------------------------------------ */

static bool in_group(int sock, gid_t primary, const char *name)
{
	const struct group *group = getgrnam(name);
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (!group)
		return false;
	if (primary == group->gr_gid)
		return true;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == group->gr_gid)
			return true;
	return false;
}

static enum control_access access_of(int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return CONTROL_DENIED;
	if (peer.uid == 0 || in_group(sock, peer.gid, "sluice-admin"))
		return CONTROL_ADMIN;
	return in_group(sock, peer.gid, "sluice") ? CONTROL_READ : CONTROL_DENIED;
}

/* ---- one peer ------------------------------------------------------------------------------- */

static void peer_free(struct peer *peer)
{
	struct control *control = peer->control;

	loop_unwatch(&control->sluiced->loop, &peer->watch);
	loop_timer_stop(&control->sluiced->loop, &peer->timer);
	close(peer->sock);
	if (peer->prev)
		peer->prev->next = peer->next;
	else
		control->peers = peer->next;
	if (peer->next)
		peer->next->prev = peer->prev;
	control->npeers--;
	if (peer->access == CONTROL_READ)
		control->nreaders--;
	if (peer->rest.fd >= 0)
		close(peer->rest.fd);
	free(peer->reply);
	free(peer);
}

static void on_peer_timer(struct loop_timer *timer)
{
	peer_free(container_of(timer, struct peer, timer));
}

/* As send(2); the descriptor, if there is one, goes along and is ours no longer. */
static ssize_t send_part(struct peer *peer, char *data, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { data, len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (peer->rest.fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &peer->rest.fd, sizeof(int));
	}
	n = sendmsg(peer->sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0 && peer->rest.fd >= 0) {
		close(peer->rest.fd);
		peer->rest.fd = -1;
	}
	return n;
}

/* The next tenants of the list, or its end; each is as it is now. False: no memory. */
static bool next_part(struct peer *peer)
{
	struct sluiced *sluiced = peer->control->sluiced;
	FILE *out = open_memstream(&peer->reply, &peer->reply_len);
	struct tenant *tenant = NULL;
	bool good = out;

	for (int i = 0; good && i < PART; i++) {
		json_t *one;

		tenant = tenants_from(sluiced->tenants, peer->slot);
		if (!tenant)
			break;
		one = peer->rest.tenant(sluiced, tenant);
		good = one && fputs(peer->listed ? "," : "", out) >= 0 &&
		       !json_dumpf(one, out, JSON_COMPACT);
		json_decref(one);
		peer->listed = true;
		peer->slot = tenant->slot + 1;
	}
	if (good && !tenant) {
		fputs(peer->tail, out);
		peer->rest.tenant = NULL;
	}
	peer->reply_sent = 0;
	return (!out || !fclose(out)) && good;
}

/* Sends what it can; false when the peer is lost. A list's next part is another turn's. */
static bool send_reply(struct peer *peer)
{
	while (peer->reply) {
		ssize_t n = send_part(peer, peer->reply + peer->reply_sent,
				      peer->reply_len - peer->reply_sent);

		if (n < 0)
			return errno == EAGAIN;
		peer->reply_sent += (size_t)n;
		if (peer->reply_sent < peer->reply_len)
			continue;
		free(peer->reply);
		peer->reply = NULL;
		if (peer->rest.tenant)
			return next_part(peer);
	}
	return true;
}

/* Cuts the reply within its last list, which is empty. */
static bool begin_list(struct peer *peer)
{
	char *list = strrchr(peer->reply, '[');

	if (!list || list[1] != ']' || strlen(list + 1) >= sizeof(peer->tail))
		return false;
	strcpy(peer->tail, list + 1);
	peer->reply_len = (size_t)(list + 1 - peer->reply);
	peer->slot = 0;
	peer->listed = false;
	return true;
}

static bool set_reply(struct peer *peer, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(reply);
	if (!text)
		return false;
	peer->reply = realloc(text, len + 2);
	if (!peer->reply) {
		free(text);
		return false;
	}
	memcpy(peer->reply + len, "\n", 2);
	peer->reply_len = len + 1;
	peer->reply_sent = 0;
	return !peer->rest.tenant || begin_list(peer);
}

/* A whole line waits to be answered. */
static bool has_line(const struct peer *peer)
{
	return memchr(peer->line, '\n', peer->len) != NULL;
}

/* Answers lines that are complete, one after the other. */
static bool answer(struct peer *peer)
{
	for (int i = 0; i < TURN && !peer->reply; i++) {
		char *end = memchr(peer->line, '\n', peer->len);
		size_t used;

		if (!end)
			return peer->len < sizeof(peer->line);
		used = (size_t)(end - peer->line) + 1;
		if (!set_reply(peer, control_command(peer->control->sluiced, peer->access,
						     peer->line, used - 1, &peer->rest)))
			return false;
		memmove(peer->line, peer->line + used, peer->len - used);
		peer->len -= used;
		if (!send_reply(peer))
			return false;
	}
	return true;
}

static bool receive(struct peer *peer)
{
	ssize_t n = recv(peer->sock, peer->line + peer->len, sizeof(peer->line) - peer->len,
			 MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		peer->ended = true;
	peer->len += (size_t)n;
	return true;
}

static void on_peer(struct loop_watch *watch, uint32_t events)
{
	struct peer *peer = container_of(watch, struct peer, watch);
	struct loop *loop = &peer->control->sluiced->loop;
	bool good = !(events & EPOLLERR), busy;

	if (good && peer->reply)
		good = send_reply(peer);
	else if (good && !has_line(peer))
		good = receive(peer);
	if (good)
		good = answer(peer);
	busy = peer->reply || has_line(peer);
	if (!good || (peer->ended && !busy)) {
		peer_free(peer);
		return;
	}
	loop_rewatch(loop, watch, busy ? EPOLLOUT : EPOLLIN);
	loop_timer_start(loop, &peer->timer, busy ? STUCK_MS : IDLE_MS, on_peer_timer);
}

/* ---- the socket ------------------------------------------------------------------------------ */

/* One answer at once, whatever they want: they must not take places from others. */
static void turn_away(struct peer *peer, json_t *reply)
{
	if (set_reply(peer, reply))
		send_reply(peer);
	peer_free(peer);
}

static void on_connection(struct loop_watch *watch, uint32_t events);

static void on_pause(struct loop_timer *timer)
{
	struct control *control = container_of(timer, struct control, pause);
	struct loop *loop = &control->sluiced->loop;

	if (loop_watch(loop, &control->watch, control->sock, EPOLLIN, on_connection))
		loop_timer_start(loop, timer, PAUSE_MS, on_pause);
}

/* Whoever waits goes on waiting; epoll would tell of it again and again. */
static void pause_accepting(struct control *control, int error)
{
	static struct log_limit limit = LOG_LIMIT(10000, 1);
	struct loop *loop = &control->sluiced->loop;
	uint32_t left_out;

	if (log_allowed(&limit, &left_out))
		log_error("control socket: %s; whoever asks something waits (%u lines left out)",
			  strerror(error), left_out);
	loop_unwatch(loop, &control->watch);
	loop_timer_start(loop, &control->pause, PAUSE_MS, on_pause);
}

static void on_connection(struct loop_watch *watch, uint32_t events)
{
	struct control *control = container_of(watch, struct control, watch);
	int sock = accept4(control->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer;

	if (sock < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED)
			pause_accepting(control, errno);
		return;
	}
	peer = control->npeers < PEERS_MAX ? calloc(1, sizeof(*peer)) : NULL;
	if (!peer) {
		close(sock);
		return;
	}
	peer->control = control;
	peer->sock = sock;
	peer->watch.fd = peer->rest.fd = -1;
	peer->access = access_of(sock);
	peer->next = control->peers;
	if (peer->next)
		peer->next->prev = peer;
	control->peers = peer;
	control->npeers++;
	if (peer->access == CONTROL_READ)
		control->nreaders++;
	if (peer->access == CONTROL_DENIED)
		turn_away(peer,
			  control_command(control->sluiced, CONTROL_DENIED, "", 0, &peer->rest));
	else if (control->nreaders > READERS_MAX)
		turn_away(peer, control_error("busy", "close some, or try again later",
					      "%d others read already", READERS_MAX));
	else if (loop_watch(&control->sluiced->loop, &peer->watch, sock, EPOLLIN, on_peer))
		peer_free(peer);
	else
		loop_timer_start(&control->sluiced->loop, &peer->timer, IDLE_MS, on_peer_timer);
}

static int open_socket(struct control *control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* Members of the groups may connect; what they may do is decided by who they are. */
	bool groups = getgrnam("sluice") || getgrnam("sluice-admin");
	mode_t mask;
	int err;

	control->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->sock < 0)
		return -errno;
	strcpy(address.sun_path, control->path);
	/* The instance's lock is ours, so a socket here is a crashed daemon's. */
	unlink(control->path);
	mask = umask(groups ? 0111 : 0177);
	err = bind(control->sock, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(mask);
	if (!err && listen(control->sock, PEERS_MAX))
		err = -errno;
	return err;
}

int control_new(struct sluiced *sluiced, int sock, struct control **ret)
{
	struct control *control = calloc(1, sizeof(*control));
	int err = 0;

	if (!control)
		return -ENOMEM;
	control->sluiced = sluiced;
	control->sock = control->watch.fd = -1;
	snprintf(control->path, sizeof(control->path), "%s/control.sock", sluiced->run_dir);
	if (sock >= 0)
		control->sock = sock;
	else
		err = open_socket(control);
	if (!err)
		err = loop_watch(&sluiced->loop, &control->watch, control->sock, EPOLLIN,
				 on_connection);
	if (err) {
		control_free(control);
		return err;
	}
	*ret = control;
	return 0;
}

int control_fd(const struct control *control)
{
	return control->sock;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	while (control->peers)
		peer_free(control->peers);
	loop_timer_stop(&control->sluiced->loop, &control->pause);
	loop_unwatch(&control->sluiced->loop, &control->watch);
	if (control->sock >= 0)
		close(control->sock);
	unlink(control->path);
	free(control);
}
