/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is at the other end of a connection of libmicrohttpd's: it only requests a client
 * certificate, so whoever serves checks it, in every handler.
 */
#ifndef SLUICE_PEER_H
#define SLUICE_PEER_H

#include <microhttpd.h>
#include <stddef.h>

#include "name.h"

/* The client's address as text; empty when it has none. */
void peer_address(struct MHD_Connection *connection, char *ret_text, size_t size);
/*
 * The name in a certificate for clients that the server's CA signed, and the fingerprint of its
 * key. NULL, or why not, a constant.
 */
const char *peer_certificate(struct MHD_Connection *connection, char *ret_name, size_t size,
			     char ret_fingerprint[NAME_DIGEST_LEN + 1]);

#endif
