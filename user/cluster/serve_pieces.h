/* SPDX-License-Identifier: BSD-2-Clause */
/* GET /v1/pieces/DIGEST?size=BYTES: the SHA-256 of each piece of a blob, in hex, one after another.
 */
#ifndef CLUSTER_SERVE_PIECES_H
#define CLUSTER_SERVE_PIECES_H

#include "serve.h"

/* The blob is in the bundle, and of this size. */
enum MHD_Result serve_pieces(struct request *request, const char *digest, uint64_t size);
/* Forgets the lists that were made. */
void serve_pieces_free(void);

#endif
