/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mode swarm among nodes that lie, hang and answer noise: the agent's swarm*.c over transfers, a
 * disk and a clock that are played here.
 *
 * Asserted: only a piece's own bytes reach the disk; with a control machine that answers, whatever
 * peers do, every blob is whole in the end and in bounded time; a failure has its reason; and what
 * peers ask for in any words is answered with a piece that is here, or not at all.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/agent/swarm_serve.c"
#include "../../user/lib/file.h"
#include "fuzz.h"
#include "lib/fake_curl.h"

#define BLOBS	  5
#define SIZE	  256 /* of a piece */
#define COUNT	  11
#define PEERS	  4
#define TRANSFERS (2 * (DESIRED_PEERS_MAX + 1))
#define TURNS_MAX 20000
#define HANG_MS	  5000
#define SERVER	  "https://control"

static const struct {
	size_t size, pieces;
} shapes[BLOBS] = { { 200, 1 }, { 700, 3 }, { 0, 0 }, { SIZE, 1 }, { 6 * SIZE - 1, 6 } };

static struct fuzz_input input;
static struct bundle_blob blobs[BLOBS];
static uint8_t truth[BLOBS][8 * SIZE];
static bool on_disk[COUNT], whole[BLOBS], flaky, lying;
static struct pieces pieces;
static struct swarm *swarm;
static int64_t now_ms;
static unsigned turns;
static json_t *documents[2];
volatile sig_atomic_t cluster_signalled;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	*ret = (struct timespec){ .tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000 };
	return 0;
}

/* ---- the rest of the agent ------------------------------------------------------------------- */

int outcome_fail(struct outcome *outcome, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome->why, sizeof(outcome->why), format, args);
	va_end(args);
	return err;
}

void node_path(const struct node *node, const char *name, char *ret_path)
{
	snprintf(ret_path, CLUSTER_PATH_MAX, "/nonexistent/%s", name);
}

void node_http(const struct node *node, struct http *ret_http, char paths[3][CLUSTER_PATH_MAX])
{
	memset(ret_http, 0, sizeof(*ret_http));
}

int node_bundle(struct node *node, const json_t *document, struct bundle **ret_bundle,
		struct outcome *outcome)
{
	abort();
}

/* The second document trusts peers for as long as the control machine is heard of. */
json_t *journal_document(struct node *node)
{
	uint8_t what = fuzz_next(&input);

	if (what & 2)
		swarm_heard(swarm, swarm_clock());
	return json_incref(documents[what & 1]);
}

void http_options(void *curl, const struct http *http, const char *url, char *error)
{
	*error = '\0';
}

/* The list of a blob's pieces. */
long http_call(const struct http *http, const char *url, const char *body, char **ret_body,
	       char **ret_why)
{
	size_t blob = BLOBS, first;
	uint8_t digest[DIGEST_SIZE];
	char *list;

	for (size_t i = 0; i < BLOBS; i++)
		if (strstr(url, blobs[i].digest))
			blob = i;
	assert(blob < BLOBS && strstr(url, "?size=256"));
	*ret_why = NULL;
	if (flaky && fuzz_next(&input) % 4 == 1) {
		*ret_body = NULL;
		return -1;
	}
	list = calloc(pieces.count + 1, NAME_DIGEST_LEN);
	assert(list);
	first = pieces.first[blob];
	for (size_t i = first; i < pieces.first[blob + 1]; i++) {
		struct piece piece = pieces_at(&pieces, i);

		assert(!digest_bytes(truth[blob] + piece.offset, piece.len, digest));
		name_hex(digest, sizeof(digest), list + (i - first) * NAME_DIGEST_LEN);
	}
	if (lying && fuzz_next(&input) & 1)
		list[fuzz_next(&input) % (strlen(list) + 1)] = (char)fuzz_next(&input);
	*ret_body = list;
	return 200;
}

/* ---- the disk ----------------------------------------------------------------------------------
 */

int store_piece(const struct node *node, const struct pieces *of, size_t index, const uint8_t *data)
{
	struct piece piece = pieces_at(&pieces, index);

	/* A list that lies may let other bytes in: store_finish() sees those. */
	assert(lying || !memcmp(data, truth[piece.blob] + piece.offset, piece.len));
	on_disk[index] = true;
	return flaky && fuzz_next(&input) == 255 ? -ENOSPC : 0;
}

int store_open(const struct node *node, const char *digest)
{
	int fd = memfd_create("blob", MFD_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

int store_salvage(const struct node *node, const struct pieces *of, size_t blob,
		  const uint8_t *hashes, void (*told)(size_t index, void *arg), void *arg)
{
	for (size_t i = pieces.first[blob]; i < pieces.first[blob + 1]; i++)
		if (fuzz_next(&input) % 4 == 1) {
			on_disk[i] = true;
			told(i, arg);
		}
	return 0;
}

int store_finish(const struct node *node, const struct bundle_blob *blob)
{
	size_t index = pieces_blob(&pieces, blob->digest);

	if (lying && fuzz_next(&input) & 1)
		return -EBADMSG;
	for (size_t i = pieces.first[index]; i < pieces.first[index + 1]; i++)
		assert(on_disk[i]);
	assert(!whole[index]);
	whole[index] = true;
	return 0;
}

void store_drop(const struct node *node, const char *digest)
{
	assert(lying);
}

/* ---- transfers ---------------------------------------------------------------------------------
 */

/* The right bytes of a piece, the input's bytes as a map; with wrong, something else. */
static CURLcode deliver(struct fake_transfer *transfer, bool wrong)
{
	unsigned long long from = 0, to = 0;
	uint8_t bytes[2 * SIZE] = { 0 };
	const char *slash = strrchr(transfer->url, '/');
	size_t len = 2 * piece_map_size(COUNT), blob = 0;

	if (strstr(transfer->url, "/v1/blob/")) {
		blob = pieces_blob(&pieces, slash + 1);
		assert(blob < BLOBS && sscanf(transfer->range, "%llu-%llu", &from, &to) == 2);
		assert(from <= to && to < blobs[blob].size && to - from < SIZE);
		len = (size_t)(to - from + 1);
		memcpy(bytes, truth[blob] + from, len);
	} else if (strstr(transfer->url, "/v1/piece/")) {
		struct piece piece = pieces_at(&pieces, strtoul(slash + 1, NULL, 10));

		len = piece.len;
		memcpy(bytes, truth[piece.blob] + piece.offset, len);
	} else {
		assert(strstr(transfer->url, "/v1/have/"));
		for (size_t i = 0; i < len; i++)
			bytes[i] = fuzz_next(&input);
	}
	if (wrong) {
		bytes[fuzz_next(&input)] ^= 0x80;
		len = fuzz_next(&input) & 1 ? sizeof(bytes) : len + fuzz_next(&input) % 3 - 1;
	}
	return transfer->write((char *)bytes, 1, len, transfer->arg) == len ? CURLE_OK
									    : CURLE_WRITE_ERROR;
}

void fake_curl_move(struct fake_transfer *transfer)
{
	bool control = !strncmp(transfer->url, SERVER "/", strlen(SERVER) + 1);
	unsigned what = (control && !flaky && !lying) || !input.left ? 0 : fuzz_next(&input) % 8;

	/* At the end of the input peers are silent. */
	if (!control && !input.left)
		what = 3;
	if (what < 3) {
		transfer->status = control ? 206 : 200;
		fake_curl_end(transfer, deliver(transfer, false));
	} else if (what == 3) {
		if (now_ms - transfer->begun > HANG_MS)
			fake_curl_end(transfer, CURLE_OPERATION_TIMEDOUT);
	} else if (what == 4) {
		fake_curl_end(transfer, CURLE_COULDNT_CONNECT);
	} else if (what == 5) {
		transfer->status = fuzz_next(&input) & 1 ? 404 : 503;
		fake_curl_end(transfer, CURLE_OK);
	} else if (what == 6 || !control) {
		transfer->status = 200;
		fake_curl_end(transfer, deliver(transfer, !control || lying));
	} else {
		fake_curl_end(transfer, CURLE_SSL_PINNEDPUBKEYNOTMATCH);
	}
}

void fake_curl_wait(int milliseconds)
{
	assert(++turns < TURNS_MAX);
	now_ms += milliseconds;
}

/* ---- what peers ask for -----------------------------------------------------------------------
 */

#include "lib/answers.h"

static void ask_anything(void)
{
	struct asked *asked;
	char path[200];
	size_t at = 0, len;

	switch (fuzz_next(&input) % 4) {
	case 0:
		at = (size_t)sprintf(path, "/v1/have/");
		break;
	case 1:
		at = (size_t)sprintf(path, "/v1/piece/%s/", swarm->manifest);
		break;
	case 2:
		at = (size_t)sprintf(path, "/v1/piece/%s/%u", swarm->manifest,
				     fuzz_next(&input) % (COUNT + 2));
		break;
	}
	len = fuzz_next(&input) % 80;
	for (size_t i = 0; i < len; i++) {
		char c = (char)fuzz_next(&input);

		path[at++] = c ? c : '0';
	}
	path[at] = '\0';
	asked = calloc(1, sizeof(*asked));
	assert(asked);
	asked->swarm = swarm;
	turn = fuzz_next(&input) & 1 ? "1" : NULL;
	assert(route(asked, NULL, path) == MHD_YES);
	assert(!asked->has_turn || turn);
	on_completed(NULL, NULL, (void **)&asked, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

/* ---- one input ---------------------------------------------------------------------------------
 */

static json_t *make_document(int generation, unsigned from, unsigned count)
{
	json_t *peers = json_array();
	char name[8], address[16], key[NAME_DIGEST_LEN + 1];

	for (unsigned i = from; i < from + count; i++) {
		snprintf(name, sizeof(name), "n%u", i + 2);
		snprintf(address, sizeof(address), "10.9.0.%u", 12 + i);
		memset(key, (int)('a' + i), NAME_DIGEST_LEN);
		key[NAME_DIGEST_LEN] = '\0';
		json_array_append_new(peers, json_pack("{s:s, s:s, s:s}", "name", name, "address",
						       address, "key", key));
	}
	return json_pack("{s:i, s:s, s:{s:s, s:i, s:o}}", "generation", generation, "run", "r",
			 "swarm", "address", "10.9.0.11", "port", 8444, "peers", peers);
}

static void begin_once(void)
{
	uint64_t size;

	if (documents[0])
		return;
	log_init("fuzz_swarm", (enum log_level)0);
	fake_curl_begin(TRANSFERS);
	for (size_t i = 0; i < BLOBS; i++) {
		uint8_t digest[DIGEST_SIZE];

		size = blobs[i].size = shapes[i].size;
		for (size_t k = 0; k < size; k++)
			truth[i][k] = (uint8_t)(k * 7 + k / SIZE + i);
		assert(!digest_bytes(truth[i], size, digest));
		name_hex(digest, sizeof(digest), blobs[i].digest);
	}
	documents[0] = make_document(1, 0, PEERS);
	documents[1] = make_document(2, 1, 2);
	json_object_set_new(json_object_get(documents[1], "swarm"), "trust", json_integer(10));
}

/* As swarm_load() makes it, but for pieces that a fuzzer can fill. */
static void load(void)
{
	size_t count = 0;

	assert(!pieces_make(blobs, BLOBS, &swarm->pieces));
	swarm->pieces.size = SIZE;
	for (size_t i = 0; i < BLOBS; i++) {
		swarm->pieces.first[i] = count;
		count += shapes[i].pieces;
	}
	assert(count == COUNT);
	swarm->pieces.first[BLOBS] = swarm->pieces.count = count;
	swarm->have = calloc(1, piece_map_size(count) + 1);
	swarm->want = calloc(1, piece_map_size(count) + 1);
	memset(swarm->manifest, 'f', NAME_DIGEST_LEN);
	assert(swarm->have && swarm->want);
	pieces = swarm->pieces;
}

static int arrived(uint64_t bytes, void *arg)
{
	*(uint64_t *)arg += bytes;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome outcome;
	struct node node = { .name = "n1", .server = SERVER };
	bool missing[BLOBS];
	uint64_t bytes = 0;
	uint8_t what;
	int err;

	begin_once();
	input = (struct fuzz_input){ data, size };
	what = fuzz_next(&input);
	flaky = what & 1;
	lying = (what & 6) == 6;
	memset(on_disk, 0, sizeof(on_disk));
	memset(whole, 0, sizeof(whole));
	memset(&outcome, 0, sizeof(outcome));
	now_ms = 1000000;
	turns = 0;
	swarm = swarm_new(&node);
	assert(swarm);
	swarm_follow(swarm, documents[0]);
	swarm_heard(swarm, swarm_clock());
	load();
	for (size_t i = 0; i < BLOBS; i++)
		missing[i] = shapes[i].size && !(what >> (3 + i) & 1);
	err = swarm_fetch(swarm, blobs, BLOBS, missing, arrived, &bytes, &outcome);
	assert(!err || (outcome.why[0] && (flaky || lying)));
	for (size_t i = 0; i < BLOBS && !err && !lying; i++)
		assert(!missing[i]);
	for (unsigned i = 0; i < 8 && input.left; i++)
		ask_anything();
	swarm_free(swarm);
	return 0;
}
