/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first message that a socket does not take, or for which the kernel has no memory, starts the
 * queue; from then on everything queues, so that the order holds, until mailbox_flush() has emptied
 * it.
 */
#include "mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/msg.h"

/* Beside promises; a worker that reads nothing is killed for its missing pulse after half a minute.
 */
#define MAIL_MAX 131072

struct mail {
	struct mail *next;
	uint16_t type;
	bool promise; /* body is its key */
	uint64_t id;
	size_t len, nfds;
	int *fds;
	uint8_t body[];
};

static void free_mail(struct mail *mail)
{
	for (size_t i = 0; i < mail->nfds; i++)
		close(mail->fds[i]);
	free(mail->fds);
	free(mail);
}

static struct mail *new_mail(uint16_t type, uint64_t id, const void *body, size_t len)
{
	struct mail *mail = calloc(1, sizeof(*mail) + len);

	if (!mail)
		return NULL;
	mail->type = type;
	mail->id = id;
	mail->len = len;
	if (len)
		memcpy(mail->body, body, len);
	return mail;
}

static void append(struct mailbox *box, struct mail *mail)
{
	if (box->last)
		box->last->next = mail;
	else
		box->first = mail;
	box->last = mail;
	box->count++;
	box->promises += mail->promise;
}

static int queue(struct mailbox *box, uint16_t type, uint64_t id, const void *body, size_t len,
		 const int *fds, size_t nfds)
{
	struct mail *mail;

	if (box->count - box->promises >= MAIL_MAX)
		return -EOVERFLOW;
	mail = new_mail(type, id, body, len);
	if (!mail)
		return -ENOMEM;
	if (nfds) {
		mail->fds = calloc(nfds, sizeof(*mail->fds));
		if (!mail->fds) {
			free_mail(mail);
			return -ENOMEM;
		}
	}
	for (; mail->nfds < nfds; mail->nfds++) {
		int copy = fcntl(fds[mail->nfds], F_DUPFD_CLOEXEC, 3);

		if (copy < 0) {
			int err = -errno;

			free_mail(mail);
			return err;
		}
		mail->fds[mail->nfds] = copy;
	}
	append(box, mail);
	return 1;
}

/* The worker has to read first, or somebody to give memory back: later. */
static bool is_later(struct mailbox *box, int err)
{
	box->starved = err == -ENOBUFS || err == -ENOMEM || err == -ETOOMANYREFS;
	return err == -EAGAIN || box->starved;
}

int mailbox_send(struct mailbox *box, int sock, uint16_t type, uint64_t id, const void *body,
		 size_t len, const int *fds, size_t nfds)
{
	int err;

	if (!box->first) {
		err = msg_send(sock, type, id, body, len, fds, nfds);
		if (!is_later(box, err))
			return err;
	}
	return queue(box, type, id, body, len, fds, nfds);
}

/* 0 sent, or not needed any more; -errno. */
static int keep_promise(struct mailbox *box, int sock, uint16_t type, const void *key)
{
	_Alignas(8) uint8_t body[MSG_BODY_MAX];
	int fd = -1, len = box->make(box, type, key, body, &fd);

	if (len < 0)
		return 0;
	return msg_send(sock, type, 0, body, (size_t)len, &fd, fd >= 0 ? 1 : 0);
}

int mailbox_promise(struct mailbox *box, uint16_t type, const void *key, size_t len)
{
	struct mail *mail = new_mail(type, 0, key, len);

	if (!mail)
		return -ENOMEM;
	mail->promise = true;
	append(box, mail);
	return 1;
}

int mailbox_send_made(struct mailbox *box, int sock, uint16_t type, const void *key, size_t len)
{
	int err;

	if (!box->first) {
		err = keep_promise(box, sock, type, key);
		if (!is_later(box, err))
			return err;
	}
	return mailbox_promise(box, type, key, len);
}

static void drop_first(struct mailbox *box)
{
	struct mail *mail = box->first;

	box->first = mail->next;
	if (!box->first)
		box->last = NULL;
	box->count--;
	box->promises -= mail->promise;
	free_mail(mail);
}

int mailbox_flush(struct mailbox *box, int sock)
{
	while (box->first) {
		struct mail *mail = box->first;
		int err = mail->promise ? keep_promise(box, sock, mail->type, mail->body)
					: msg_send(sock, mail->type, mail->id, mail->body,
						   mail->len, mail->fds, mail->nfds);

		if (is_later(box, err))
			return 1;
		if (err)
			return err;
		drop_first(box);
	}
	return 0;
}

void mailbox_join(struct mailbox *box, struct mailbox *other)
{
	if (!other->first)
		return;
	if (box->last)
		box->last->next = other->first;
	else
		box->first = other->first;
	box->last = other->last;
	box->count += other->count;
	box->promises += other->promises;
	other->first = other->last = NULL;
	other->count = other->promises = 0;
}

void mailbox_clear(struct mailbox *box)
{
	while (box->first)
		drop_first(box);
}
