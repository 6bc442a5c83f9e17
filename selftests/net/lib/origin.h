/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An HTTP origin that behaves as its request's path says, well or badly. One thread a
 * connection.
 *
 *	/length/N            Content-Length, N bytes (body.h)
 *	/chunked/N/C         chunks of C bytes
 *	/trailers/N          chunked with a trailer field
 *	/eof/N               ends with the connection
 *	/pause/N             the body comes 200 ms after the head
 *	/cut-length/N/M      says N, sends M, closes;  /reset-length/N/M: resets
 *	/cut-chunked/N/M     likewise;                 /reset-eof/N/M
 *	/bad-chunk/N         a chunk size that is none, after N bytes
 *	/slow/MS             answers after MS
 *	/once                answers keep-alive and then closes the connection
 *	/extra/N/MS          N bytes after MS, and behind them a response nobody asked for
 *	/vanish              closes without an answer
 *	/garbage /switch /storm /interim/K /no-content /not-modified
 *	/early               answers without reading the body, closes
 *	/stall               never answers
 *	/upload              reads the body, answers its length and SHA-256
 *	/echo                answers the request head as it came
 */
#ifndef SELFTEST_ORIGIN_H
#define SELFTEST_ORIGIN_H

#include <stdint.h>

struct origin_server;

/* On 127.0.0.1, or on an AF_UNIX path when that is given. */
struct origin_server *origin_start(const char *unix_path);
uint16_t origin_port(const struct origin_server *origin);
unsigned origin_connections(const struct origin_server *origin);
/* Connections whose peer was seen to go away while a body was being sent. */
unsigned origin_broken(const struct origin_server *origin);
void origin_stop(struct origin_server *origin);

#endif
