/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "../lib/peer.h"
#include "serve.h"

void serve_address(struct request *request)
{
	peer_address(request->connection, request->address, sizeof(request->address));
}

const char *serve_identify(struct request *request, unsigned *ret_status)
{
	char name[STATE_NODE_MAX + 1], fingerprint[NAME_DIGEST_LEN + 1];
	struct serve *serve = request->serve;
	const char *why;
	int err;

	*ret_status = 403;
	why = peer_certificate(request->connection, name, sizeof(name), fingerprint);
	if (why)
		return why;
	pthread_mutex_lock(&serve->lock);
	err = state_run(&serve->cluster->state, NULL,
			"UPDATE nodes SET seen = ? WHERE name = ? AND fingerprint = ? AND"
			" address = ?",
			"isss", state_now(), name, fingerprint, request->address);
	if (!err && sqlite3_changes(serve->cluster->state.db) != 1)
		err = -EACCES;
	pthread_mutex_unlock(&serve->lock);
	if (err && err != -EACCES) {
		*ret_status = 503;
		return "the database cannot be written";
	}
	if (err)
		return "a certificate of a node that is not enrolled, or at another address";
	strcpy(request->node, name);
	return NULL;
}
