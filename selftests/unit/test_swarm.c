/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mode swarm when the fetching thread itself stands still, and what counts against a peer: one
 * blob, the control machine, one peer and a clock that are played here. As libcurl does, a transfer
 * whose time is over has failed, also when its answer is there.
 */
#include <time.h>

static int play_clock(clockid_t clock, struct timespec *ret_now);
#define clock_gettime play_clock
#define run	      run_transfer
#include "../../user/agent/swarm_source.c"
#undef run
#include "../../user/agent/swarm_begin.c"
#include "../../user/agent/swarm_fetch.c"
/* libcurl, after what calls it: names of its own. */
#include "../fuzz/lib/fake_curl.c"
#include "unit.h"

#define PIECES	 24
#define SIZE	 ((size_t)PIECE_SIZE_LEAST)
#define LIMIT_MS 5000
#define NEVER	 INT64_MAX

static const struct {
	const char *name;
	int64_t control_ms, map_ms, piece_ms; /* until it answers */
	unsigned map_fails;		      /* after the first one, each of so many; 0: none */
	unsigned piece_breaks;		      /* each of so many; 0: none */
	unsigned every;			      /* so many turns this thread stands still, */
	int64_t stands;			      /* for so long */
	bool failed, shunned;		      /* something is held against the peer */
} cases[] = {
	{ "all is well", NEVER, 20, 250, 0, 0, 0, 0, false, false },
	{ "ten seconds, again and again", NEVER, 20, 250, 0, 0, 7, 10000, false, false },
	{ "ten minutes, twice", NEVER, 20, 250, 0, 0, 40, 600000, false, false },
	{ "the peer's maps do not come", NEVER, 20, 4500, 2, 20, 0, 0, true, false },
	{ "the peer's pieces do not come", 250, 20, 250, 0, 1, 0, 0, true, true },
	{ "the peer is gone, and each turn is late", 250, 20, NEVER, 1, 0, 1, 2000, true, false },
};
static size_t at;
static int64_t now;
static unsigned turns, maps, asked, shunned;
static uint8_t truth[PIECES * SIZE];
static struct bundle_blob blob = { .size = sizeof(truth) };
static bool kept[PIECES];
static struct swarm swarm;
static struct node node = { .name = "n1", .server = "https://10.9.0.1:8443" };
volatile sig_atomic_t cluster_signalled;

static int play_clock(clockid_t clock, struct timespec *ret_now)
{
	*ret_now =
		(struct timespec){ .tv_sec = 5000 + now / 1000, .tv_nsec = now % 1000 * 1000000 };
	return 0;
}

/* ---- the rest of the agent ---------------------------------------------------------------- */

int outcome_fail(struct outcome *outcome, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome->why, sizeof(outcome->why), format, args);
	va_end(args);
	return err;
}

void node_http(const struct node *unused, struct http *ret_http, char paths[3][CLUSTER_PATH_MAX])
{
	memset(ret_http, 0, sizeof(*ret_http));
}

void http_options(void *curl, const struct http *http, const char *url, char *error)
{
	*error = '\0';
}

long http_call(const struct http *http, const char *url, const char *body, char **ret_body,
	       char **ret_why)
{
	uint8_t digest[DIGEST_SIZE];

	*ret_why = NULL;
	*ret_body = calloc(PIECES + 1, NAME_DIGEST_LEN);
	for (size_t i = 0; i < PIECES; i++) {
		digest_bytes(truth + i * SIZE, SIZE, digest);
		name_hex(digest, sizeof(digest), *ret_body + i * NAME_DIGEST_LEN);
	}
	return 200;
}

json_t *journal_document(struct node *unused)
{
	return NULL;
}

void swarm_follow(struct swarm *unused, const json_t *document)
{
}

bool swarm_trusts(struct swarm *unused)
{
	return true;
}

bool swarm_peer_same(const struct swarm_peer *a, const struct swarm_peer *b)
{
	return !strcmp(a->name, b->name);
}

bool swarm_shunned(const struct swarm *unused, const char *name)
{
	return shunned;
}

void swarm_shun(struct swarm *unused, const char *name)
{
	shunned++;
}

void swarm_mark(struct swarm *unused, size_t index)
{
	piece_put(swarm.have, index);
}

int store_piece(const struct node *unused, const struct pieces *of, size_t index,
		const uint8_t *data)
{
	kept[index] = true;
	return 0;
}

int store_salvage(const struct node *unused, const struct pieces *of, size_t index,
		  const uint8_t *hashes, void (*told)(size_t index, void *arg), void *arg)
{
	return 0;
}

int store_finish(const struct node *unused, const struct bundle_blob *of)
{
	for (size_t i = 0; i < PIECES; i++)
		CHECK(kept[i]);
	return 0;
}

void store_drop(const struct node *unused, const char *digest)
{
}

/* ---- transfers ---------------------------------------------------------------------------- */

/* When a transfer that has just begun will be answered: ms; -1: it breaks off. */
static int64_t answers_in(const struct fake_transfer *transfer)
{
	if (strstr(transfer->url, "/v1/blob/"))
		return cases[at].control_ms;
	if (strstr(transfer->url, "/v1/have/"))
		return cases[at].map_fails && maps % cases[at].map_fails == 0 && maps
			       ? NEVER
			       : cases[at].map_ms;
	return cases[at].piece_breaks && asked % cases[at].piece_breaks == 0 ? -1
									     : cases[at].piece_ms;
}

static void deliver(struct fake_transfer *transfer)
{
	static uint8_t map[2 * (PIECES / 8)];
	const char *slash = strrchr(transfer->url, '/');
	unsigned long long from = 0;

	transfer->status = 200;
	if (strstr(transfer->url, "/v1/have/")) {
		memset(map, 0xff, sizeof(map) / 2); /* it has all, and wants nothing */
		transfer->write((char *)map, 1, sizeof(map), transfer->arg);
		return;
	}
	if (strstr(transfer->url, "/v1/blob/"))
		sscanf(transfer->range, "%llu-", &from);
	else
		from = strtoul(slash + 1, NULL, 10) * SIZE;
	transfer->write((char *)truth + from, 1, SIZE, transfer->arg);
}

void fake_curl_move(struct fake_transfer *transfer)
{
	int64_t begun = transfer->begun - 5000000, in = answers_in(transfer);
	bool control = strstr(transfer->url, "/v1/blob/");
	CURLcode result = CURLE_OK;

	if (in < 0)
		result = CURLE_RECV_ERROR;
	else if (now - begun > (control ? 60000 : LIMIT_MS))
		result = CURLE_OPERATION_TIMEDOUT;
	else if (now - begun < in)
		return;
	else
		deliver(transfer);
	maps += !!strstr(transfer->url, "/v1/have/");
	asked += !!strstr(transfer->url, "/v1/piece/");
	fake_curl_end(transfer, result);
}

void fake_curl_wait(int milliseconds)
{
	now += milliseconds;
	if (cases[at].every && ++turns % cases[at].every == 0)
		now += cases[at].stands;
}

/* ---- one item ----------------------------------------------------------------------------- */

static int arrived(uint64_t bytes, void *arg)
{
	return 0;
}

static int64_t held_against(const char *name)
{
	int64_t failed = 0;
	json_t *row;
	size_t i;

	json_array_foreach (swarm.rest, i, row)
		if (!strcmp(json_string_value(json_object_get(row, "peer")), name))
			failed += json_integer_value(json_object_get(row, "failed"));
	return failed;
}

static void test_case(void)
{
	static struct outcome outcome;
	bool missing = true;
	int64_t failed;
	int err;

	now = 0;
	turns = maps = shunned = 0;
	asked = 1;
	memset(kept, 0, sizeof(kept));
	swarm = (struct swarm){ .node = &node, .port = 8444, .peers_count = 1 };
	pthread_mutex_init(&swarm.lock, NULL);
	strcpy(swarm.manifest, "ffff");
	strcpy(swarm.peers[0].name, "n2");
	strcpy(swarm.peers[0].address, "10.9.0.12");
	memset(swarm.peers[0].key, 'a', NAME_DIGEST_LEN);
	CHECK(!pieces_make(&blob, 1, &swarm.pieces) && swarm.pieces.count == PIECES);
	swarm.have = calloc(1, piece_map_size(PIECES) + 1);
	swarm.want = calloc(1, piece_map_size(PIECES) + 1);
	err = swarm_fetch(&swarm, &blob, 1, &missing, arrived, NULL, &outcome);
	CHECK_THAT(!err && !missing, "%s", outcome.why);
	failed = held_against("n2");
	CHECK_THAT(!!failed == cases[at].failed, "%lld failures", (long long)failed);
	CHECK(!!shunned == cases[at].shunned);
	json_decref(swarm.rest);
	pieces_free(&swarm.pieces);
	free(swarm.have);
	free(swarm.want);
}

int main(void)
{
	uint8_t digest[DIGEST_SIZE];

	for (size_t i = 0; i < sizeof(truth); i++)
		truth[i] = (uint8_t)(i * 7 + i / SIZE);
	digest_bytes(truth, sizeof(truth), digest);
	name_hex(digest, sizeof(digest), blob.digest);
	log_init("test_swarm", LOG_ERROR);
	fake_curl_begin(8);
	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		unit_case = cases[at].name;
		test_case();
	}
	return unit_end();
}
