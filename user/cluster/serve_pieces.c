/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lists by which nodes check what they get from each other. A list is made when the first node
 * asks, from the bundle's bytes, and kept only if these are the blob's: what a list allows is what
 * the signed manifest allows.
 */
#include "serve_pieces.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/digest.h"
#include "../lib/log.h"
#include "../lib/piece.h"

#define KEPT_MAX (64 * 1024 * 1024)

struct list {
	struct list *next;
	char digest[NAME_DIGEST_LEN + 1];
	uint32_t size;
	char *text;
};

/* One list is made at a time: the others who ask find it then. */
static struct {
	pthread_mutex_t lock;
	struct list *first;
	size_t bytes;
} lists = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void forget(void)
{
	struct list *list;

	while ((list = lists.first)) {
		lists.first = list->next;
		free(list->text);
		free(list);
	}
	lists.bytes = 0;
}

void serve_pieces_free(void)
{
	pthread_mutex_lock(&lists.lock);
	forget();
	pthread_mutex_unlock(&lists.lock);
}

/* A whole piece, however the container is read. */
static int read_piece(struct serve *serve, const char *digest, uint8_t *buffer, size_t len,
		      uint64_t offset)
{
	ssize_t n = 1;

	for (size_t done = 0; done < len; done += (size_t)n) {
		n = serve_bundle_read(serve, digest, buffer + done, len - done, offset + done);
		if (n <= 0)
			return n ? (int)n : -EBADMSG;
	}
	return 0;
}

static int hash_pieces(struct serve *serve, struct list *list, uint64_t size, EVP_MD_CTX *whole,
		       uint8_t *buffer)
{
	uint8_t digest[DIGEST_SIZE];
	char *at = list->text, hex[NAME_DIGEST_LEN + 1];
	int err = 0;

	for (uint64_t offset = 0; offset < size && !err; offset += list->size) {
		size_t len = size - offset < list->size ? (size_t)(size - offset) : list->size;

		err = read_piece(serve, list->digest, buffer, len, offset);
		if (!err)
			err = digest_bytes(buffer, len, digest);
		if (!err && EVP_DigestUpdate(whole, buffer, len) != 1)
			err = -EIO;
		if (!err)
			name_hex(digest, sizeof(digest), at);
		at += NAME_DIGEST_LEN;
	}
	if (!err && EVP_DigestFinal_ex(whole, digest, NULL) != 1)
		err = -EIO;
	if (err)
		return err;
	name_hex(digest, sizeof(digest), hex);
	return strcmp(hex, list->digest) ? -EBADMSG : 0;
}

static struct list *make(struct serve *serve, const char *digest, uint64_t size, uint32_t piece)
{
	size_t count = (size_t)(size / piece + (size % piece != 0));
	struct list *list = calloc(1, sizeof(*list));
	EVP_MD_CTX *whole = EVP_MD_CTX_new();
	uint8_t *buffer = malloc(piece);
	int err = -ENOMEM;

	if (list) {
		strcpy(list->digest, digest);
		list->size = piece;
		list->text = calloc(count * NAME_DIGEST_LEN + 1, 1);
	}
	if (list && list->text && buffer && whole &&
	    EVP_DigestInit_ex(whole, EVP_sha256(), NULL) == 1)
		err = hash_pieces(serve, list, size, whole, buffer);
	EVP_MD_CTX_free(whole);
	free(buffer);
	if (!err) {
		if (lists.bytes > KEPT_MAX)
			forget();
		list->next = lists.first;
		lists.first = list;
		lists.bytes += count * NAME_DIGEST_LEN;
		return list;
	}
	log_error("blob %s: %s", digest,
		  err == -EBADMSG ? "the bundle is damaged" : strerror(-err));
	if (list)
		free(list->text);
	free(list);
	return NULL;
}

static bool size_valid(uint64_t size)
{
	return size >= PIECE_SIZE_LEAST && size <= PIECE_SIZE_MOST && !(size & (size - 1));
}

enum MHD_Result serve_pieces(struct request *request, const char *digest, uint64_t size)
{
	enum MHD_Result result;
	struct list *list;
	uint64_t piece;

	if (name_number(serve_argument(request, "size"), PIECE_SIZE_MOST, &piece) ||
	    !size_valid(piece))
		return serve_problem(request, 400, "no piece is of this size");
	pthread_mutex_lock(&lists.lock);
	for (list = lists.first; list; list = list->next)
		if (list->size == piece && !strcmp(list->digest, digest))
			break;
	if (!list)
		list = make(request->serve, digest, size, (uint32_t)piece);
	result = list ? serve_reply(request, 200, "text/plain", list->text)
		      : serve_problem(request, 503, "the bundle's blob cannot be read");
	pthread_mutex_unlock(&lists.lock);
	return result;
}
