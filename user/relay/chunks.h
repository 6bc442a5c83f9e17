/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chunked body on its way through a buffer: framing is checked as it comes and sent
 * on as it was, or taken out for a receiver that cannot read it; trailers are rewritten.
 */
#ifndef SLUICE_RELAY_CHUNKS_H
#define SLUICE_RELAY_CHUNKS_H

#include "pump.h"

/*
 * Clears what is in the source's buffer, none of which is cleared yet, for sending.
 * PUMP_AGAIN: something was cleared, or the body has ended. PUMP_READ: more bytes are
 * needed, through the buffer or, when flow->chunk.left says so, past it.
 */
enum pump_result chunks_step(struct relay *relay, struct conn *conn, enum side from);

#endif
