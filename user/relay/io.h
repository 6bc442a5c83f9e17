/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls that move bytes, all non-blocking, and the socket options that shape how
 * they travel. Kept apart so that a test can link its own versions (short counts,
 * errors at chosen moments) under an unchanged state machine.
 *
 * Counts are bytes; failures are -errno, -EAGAIN when the call would wait.
 */
#ifndef SLUICE_RELAY_IO_H
#define SLUICE_RELAY_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t io_recv(int fd, void *data, size_t len);
/* What io_recv() of one byte would return; the byte stays. */
ssize_t io_peek(int fd);
/* more: the caller sends again on this socket at once, so the kernel may wait for it. */
ssize_t io_send(int fd, const struct iovec *parts, size_t count, bool more);
ssize_t io_splice(int from, int to, size_t len);
/* Sends FIN. */
void io_shutdown(int fd);
/* Sends RST and drops what is unsent. Only for TCP; the socket is of no more use. */
void io_reset(int fd);
void io_nodelay(int fd);
void io_quickack(int fd);
int io_peer_address(int fd, struct sockaddr_storage *ret_address);
bool io_is_tcp(int fd);
/* The headers of the SYN that opened it, if the listener kept them (TCP_SAVE_SYN): 0: none. */
ssize_t io_saved_syn(int fd, void *data, size_t len);
/* TCP: neither side has closed, and the peer's kernel has all that was sent. */
bool io_is_settled(int fd);
/* Connections that wait to be accepted, or -errno. (net/ipv4/tcp.c, tcp_get_info) */
int io_accept_queue(int fd);

#endif
