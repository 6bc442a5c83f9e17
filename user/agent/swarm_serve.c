/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What peers ask for, at the address the document gives this node:
 *
 *   GET /v1/have/MANIFEST         two maps: the pieces that are here, those that are wanted
 *   GET /v1/piece/MANIFEST/INDEX  one of them
 *
 * libmicrohttpd with a thread for each connection, for who asks for a piece waits a moment for its
 * turn (lib/turns.h); with ?turn=1, which agents of before that do not say. Only keys that the
 * document names, each from the address named beside it, get an answer. A certificate is verified
 * once in a connection, with the first request; that the document names its key, with each.
 */
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/peer.h"
#include "../lib/piece_listen.h"
#include "swarm.h"

#define CONNECTIONS	   (4 * DESIRED_PEERS_MAX)
#define CONNECTIONS_OF_ONE 8
#define IDLE_SECONDS	   60
#define BACKLOG		   128
#define TURN_MS		   300
#define MEMORY_PER_REQUEST (32 * 1024)
#define TLS_PRIORITIES	   "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define BINARY_TYPE	   "application/octet-stream"

/* Who is at the other end of a connection. */
struct client {
	struct swarm_peer is;
	bool verified;
};

/* A request. */
struct asked {
	struct swarm *swarm;
	struct turn turn;
	bool has_turn;
};

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(why), (void *)why, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = calloc(1, sizeof(struct client));
	} else {
		free(*context);
		*context = NULL;
	}
}

static const char *verify(struct MHD_Connection *connection, struct client *client)
{
	const char *why = peer_certificate(connection, client->is.name, sizeof(client->is.name),
					   client->is.key);

	if (why)
		return why;
	peer_address(connection, client->is.address, sizeof(client->is.address));
	client->verified = true;
	return NULL;
}

/* NULL when it is a peer. */
static const char *identify(struct swarm *swarm, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *client = info ? info->socket_context : NULL;
	const char *why = client ? NULL : "out of memory";
	bool found = false;

	if (client && !client->verified)
		why = verify(connection, client);
	if (why)
		return why;
	pthread_mutex_lock(&swarm->lock);
	for (size_t i = 0; i < swarm->admitted_count && !found; i++)
		found = swarm_peer_same(&swarm->admitted[i], &client->is);
	pthread_mutex_unlock(&swarm->lock);
	if (!found)
		return "no peer of this node, or at another address";
	return swarm_trusts(swarm) ? NULL
				   : "the control machine is silent: no peer is trusted meanwhile";
}

static enum MHD_Result send_maps(struct swarm *swarm, struct MHD_Connection *connection,
				 const char *manifest)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	uint8_t *maps = NULL;
	size_t size = 0;

	pthread_mutex_lock(&swarm->lock);
	if (*swarm->manifest && !strcmp(swarm->manifest, manifest)) {
		size = piece_map_size(swarm->pieces.count);
		maps = malloc(2 * size + 1);
	}
	if (maps) {
		memcpy(maps, swarm->have, size);
		memcpy(maps + size, swarm->want, size);
	}
	pthread_mutex_unlock(&swarm->lock);
	if (!maps)
		return refuse(connection, 404, "another bundle is here");
	response = MHD_create_response_from_buffer(2 * size, maps, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(maps);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, BINARY_TYPE);
	result = MHD_queue_response(connection, 200, response);
	MHD_destroy_response(response);
	return result;
}

/* False: it is not here. */
static bool find_piece(struct swarm *swarm, const char *manifest, size_t index,
		       struct piece *ret_piece, char ret_digest[NAME_DIGEST_LEN + 1])
{
	bool found;

	pthread_mutex_lock(&swarm->lock);
	found = *swarm->manifest && !strcmp(swarm->manifest, manifest) &&
		index < swarm->pieces.count && piece_in(swarm->have, index);
	if (found) {
		*ret_piece = pieces_at(&swarm->pieces, index);
		strcpy(ret_digest, swarm->pieces.blobs[ret_piece->blob].digest);
	}
	pthread_mutex_unlock(&swarm->lock);
	return found;
}

static bool take_turn(struct asked *asked, struct MHD_Connection *connection, uint32_t bytes)
{
	const char *turn = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "turn");
	char address[64];

	if (!turn)
		return true;
	peer_address(connection, address, sizeof(address));
	asked->has_turn = turns_take(&asked->swarm->turns, &asked->turn, address, bytes, TURN_MS);
	return asked->has_turn;
}

static enum MHD_Result send_piece(struct asked *asked, struct MHD_Connection *connection,
				  const char *manifest, const char *number)
{
	struct swarm *swarm = asked->swarm;
	char digest[NAME_DIGEST_LEN + 1];
	struct MHD_Response *response;
	enum MHD_Result result;
	struct piece piece;
	uint64_t index;
	int fd;

	if (name_number(number, SIZE_MAX, &index) ||
	    !find_piece(swarm, manifest, (size_t)index, &piece, digest))
		return refuse(connection, 404, "this piece is not here");
	if (!take_turn(asked, connection, piece.len))
		return refuse(connection, 503, "others are served first");
	fd = store_open(swarm->node, digest);
	if (fd < 0)
		return refuse(connection, 404, "this piece is not here any more");
	response = MHD_create_response_from_fd_at_offset64(piece.len, fd, piece.offset);
	if (!response) {
		close(fd);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, BINARY_TYPE);
	result = MHD_queue_response(connection, 200, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result route(struct asked *asked, struct MHD_Connection *connection,
			     const char *path)
{
	char manifest[NAME_DIGEST_LEN + 1];

	if (!strncmp(path, "/v1/have/", 9))
		return send_maps(asked->swarm, connection, path + 9);
	if (!strncmp(path, "/v1/piece/", 10) && strlen(path) > 11 + NAME_DIGEST_LEN &&
	    path[10 + NAME_DIGEST_LEN] == '/') {
		snprintf(manifest, sizeof(manifest), "%s", path + 10);
		return send_piece(asked, connection, manifest, path + 11 + NAME_DIGEST_LEN);
	}
	return refuse(connection, 404, "there is nothing here");
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **context)
{
	static struct log_limit limit = LOG_LIMIT(60000, 5);
	struct asked *asked = *context;
	struct swarm *swarm = arg;
	char address[64];
	uint32_t left_out;
	const char *why;
	bool told;

	/* The first call only has the head: an answer to a body that is on its way would cut it
	 * off. */
	if (!asked) {
		asked = calloc(1, sizeof(*asked));
		if (asked)
			asked->swarm = swarm;
		*context = asked;
		return asked ? MHD_YES : MHD_NO;
	}
	*size = 0;
	if (strcmp(method, "GET") != 0)
		return refuse(connection, 405, "only GET");
	why = identify(swarm, connection);
	if (!why)
		return route(asked, connection, url);
	peer_address(connection, address, sizeof(address));
	pthread_mutex_lock(&swarm->lock);
	told = log_allowed(&limit, &left_out);
	pthread_mutex_unlock(&swarm->lock);
	if (told)
		log_warn("swarm: %s is refused: %s", address, why);
	return refuse(connection, 403, why);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct asked *asked = *context;

	if (asked && asked->has_turn)
		turns_leave(&asked->swarm->turns, &asked->turn,
			    code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	free(asked);
	*context = NULL;
}

static void on_library_log(void *arg, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	log_debug("swarm: %s", text);
}

static int read_keys(struct swarm *swarm)
{
	struct {
		const char *name;
		char **text;
	} const files[] = { { "keys/ca.pem", &swarm->ca },
			    { "keys/node.pem", &swarm->certificate },
			    { "keys/node.key", &swarm->key } };
	char path[CLUSTER_PATH_MAX];
	int err = 0;

	for (size_t i = 0; i < 3 && !err; i++) {
		node_path(swarm->node, files[i].name, path);
		free(*files[i].text);
		*files[i].text = NULL;
		err = file_read(path, CLUSTER_PEM_MAX, files[i].text, NULL);
	}
	return err;
}

int swarm_listen(struct swarm *swarm)
{
	int fd, err = read_keys(swarm);

	if (err)
		return err;
	fd = piece_listen(swarm->address, swarm->port, BACKLOG);
	if (fd < 0)
		return fd;
	swarm->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			MHD_USE_TLS | MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, swarm, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS_OF_ONE, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_REQUEST,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
		MHD_OPTION_HTTPS_MEM_CERT, swarm->certificate, MHD_OPTION_HTTPS_MEM_KEY, swarm->key,
		MHD_OPTION_HTTPS_MEM_TRUST, swarm->ca, MHD_OPTION_END);
	if (swarm->daemon)
		return 0;
	close(fd);
	return -EIO;
}

void swarm_deafen(struct swarm *swarm)
{
	if (swarm->daemon)
		MHD_stop_daemon(swarm->daemon);
	swarm->daemon = NULL;
}
