/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first message that a socket does not take starts the queue; from then on everything
 * queues, so that the order holds, until mailbox_flush() has emptied it.
 */
#include "mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/msg.h"

/* Every listener of thousands of tenants may wait at once; a worker that reads nothing is
 * killed for its missing pulse after half a minute. */
#define MAIL_MAX 131072

struct mail {
	struct mail *next;
	uint16_t type;
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

static int queue(struct mailbox *box, uint16_t type, uint64_t id, const void *body, size_t len,
		 const int *fds, size_t nfds)
{
	struct mail *mail;

	if (box->count >= MAIL_MAX)
		return -ENOBUFS;
	mail = calloc(1, sizeof(*mail) + len);
	if (!mail)
		return -ENOMEM;
	mail->type = type;
	mail->id = id;
	mail->len = len;
	if (len)
		memcpy(mail->body, body, len);
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
	if (box->last)
		box->last->next = mail;
	else
		box->first = mail;
	box->last = mail;
	box->count++;
	return 1;
}

int mailbox_send(struct mailbox *box, int sock, uint16_t type, uint64_t id, const void *body,
		 size_t len, const int *fds, size_t nfds)
{
	int err;

	if (!box->first) {
		err = msg_send(sock, type, id, body, len, fds, nfds);
		if (err != -EAGAIN)
			return err;
	}
	return queue(box, type, id, body, len, fds, nfds);
}

static void drop_first(struct mailbox *box)
{
	struct mail *mail = box->first;

	box->first = mail->next;
	if (!box->first)
		box->last = NULL;
	box->count--;
	free_mail(mail);
}

int mailbox_flush(struct mailbox *box, int sock)
{
	while (box->first) {
		struct mail *mail = box->first;
		int err = msg_send(sock, mail->type, mail->id, mail->body, mail->len, mail->fds,
				   mail->nfds);

		if (err == -EAGAIN)
			return 1;
		if (err)
			return err;
		drop_first(box);
	}
	return 0;
}

void mailbox_clear(struct mailbox *box)
{
	while (box->first)
		drop_first(box);
}
