/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker process: "sluiced --worker", with the parent's SEQPACKET socket on fd 3
 * (proto.h). worker_main() enters the sandbox as soon as it is configured, serves until
 * it is drained, and returns the process's exit status.
 */
#ifndef SLUICE_RELAY_WORKER_H
#define SLUICE_RELAY_WORKER_H

int worker_main(void);

#endif
