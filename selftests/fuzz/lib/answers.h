/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libmicrohttpd as a node that answers its peers meets it: a piece is within a piece's size, and
 * what is refused is refused by a status that is documented. For fuzz_swarm.c alone.
 */
#ifndef FUZZ_ANSWERS_H
#define FUZZ_ANSWERS_H

struct MHD_Response {
	size_t size;
	bool piece;
};

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer,
						     enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = calloc(1, sizeof(*response));

	assert(response);
	free(fuzz_copy(buffer, size));
	if (mode == MHD_RESPMEM_MUST_FREE)
		free(buffer);
	response->size = size;
	return response;
}

struct MHD_Response *MHD_create_response_from_fd_at_offset64(uint64_t size, int fd, uint64_t offset)
{
	struct MHD_Response *response = calloc(1, sizeof(*response));

	assert(response && size && size <= SIZE);
	close(fd);
	response->piece = true;
	return response;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name,
					const char *value)
{
	return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status,
				   struct MHD_Response *response)
{
	assert(status == 200 || status == 404 || status == 503);
	assert(status == 200 || !response->piece);
	return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *response)
{
	free(response);
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
							enum MHD_ConnectionInfoType type, ...)
{
	abort();
}

struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback policy,
				    void *policy_arg, MHD_AccessHandlerCallback handler, void *arg,
				    ...)
{
	abort();
}

void MHD_stop_daemon(struct MHD_Daemon *daemon)
{
	abort();
}

const char *peer_certificate(struct MHD_Connection *connection, char *ret_name, size_t size,
			     char *ret_fingerprint)
{
	abort();
}

void peer_address(struct MHD_Connection *connection, char *ret_text, size_t size)
{
	snprintf(ret_text, size, "10.9.0.12");
}

static const char *turn;

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					const char *key)
{
	assert(!strcmp(key, "turn"));
	return turn;
}

#endif
