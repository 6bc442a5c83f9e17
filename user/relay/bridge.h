/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two halves of a stream bridge tell each other in message heads. FRONT tells
 * BACK who asks, with every request; BACK tells FRONT that a body in chunks would have
 * ended with the connection, so that a cut one can be told from a complete one.
 *
 * Clients cannot send the field: X-Sluice-* is theirs nowhere. BACK trusts it because
 * it takes streams from the parent only.
 */
#ifndef SLUICE_RELAY_BRIDGE_H
#define SLUICE_RELAY_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/http_head.h"

struct conn;
struct relay;

/* FRONT: the request's line, with CRLF. Its length, or -E2BIG. */
int bridge_write(const struct relay *relay, const struct conn *conn, char *out, size_t size);
/* BACK: sets who the client is. -EBADMSG when the line is missing or malformed. */
int bridge_read(struct relay *relay, struct conn *conn, const struct http_head *head,
		const char *bytes);

/* BACK: adds the response's mark to a written head of len bytes. New length, or -E2BIG. */
int bridge_mark(char *head, size_t len, size_t size);
/* True when the mark was there; it is taken out in any case. */
bool bridge_unmark(struct http_head *head, const char *bytes);

#endif
