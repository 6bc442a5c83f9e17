/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chunked coding: the data passed does not depend on how the bytes were split, and
 * what the encoder makes of the data decodes to the same.
 */
#include "../../user/lib/http_chunk.h"
#include "../../user/lib/http_head.h"
#include "fuzz.h"

struct result {
	enum http_chunk_verdict verdict;
	size_t eaten; /* bytes, data included */
	size_t ndata;
	const char *reason;
	uint8_t *data;	  /* as large as the input */
	uint8_t *encoded; /* what we would send, with room for twenty-one times as much */
	size_t nencoded;
};

static void append(struct result *ret, const char *bytes, size_t len)
{
	memcpy(ret->encoded + ret->nencoded, bytes, len);
	ret->nencoded += len;
}

/* Decodes and encodes again, chunk by chunk as moved. */
static void run(const uint8_t *data, size_t size, size_t step, struct result *ret)
{
	struct http_chunk chunk = { 0 };
	char head[HTTP_CHUNK_HEAD_MAX];
	size_t there = 0, used;

	ret->eaten = ret->ndata = ret->nencoded = 0;
	for (;;) {
		char *buf = fuzz_copy(data + ret->eaten, there - ret->eaten);
		size_t n = 0;

		ret->verdict = http_chunk_next(&chunk, buf, there - ret->eaten, &used);
		assert(used <= there - ret->eaten);
		ret->eaten += used;
		if (ret->verdict == HTTP_CHUNK_DATA) {
			assert(chunk.left && chunk.left <= HTTP_LENGTH_MAX);
			n = there - ret->eaten < chunk.left ? there - ret->eaten : chunk.left;
		}
		if (n) {
			append(ret, head, http_chunk_write_head(head, n, !ret->ndata));
			append(ret, buf + used, n);
			memcpy(ret->data + ret->ndata, buf + used, n);
			ret->ndata += n;
			ret->eaten += n;
			http_chunk_passed(&chunk, n);
		}
		free(buf);
		if (ret->verdict >= HTTP_CHUNK_TRAILERS)
			break;
		if (n)
			continue;
		assert(ret->eaten == there);
		if (there == size)
			break;
		there = there + step < size ? there + step : size;
	}
	if (ret->verdict == HTTP_CHUNK_TRAILERS)
		append(ret, head, http_chunk_write_last(head, !ret->ndata));
	ret->reason = chunk.reason;
	assert(!chunk.reason == (ret->verdict != HTTP_CHUNK_REFUSED));
}

static struct result result_new(size_t size)
{
	struct result result = { .data = malloc(size + 1), .encoded = malloc(21 * size + 64) };

	assert(result.data && result.encoded);
	return result;
}

static void result_free(struct result *result)
{
	free(result->data);
	free(result->encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole = result_new(size), split = result_new(size);
	struct result again = result_new(21 * size + 64);

	run(data, size, size, &whole);
	run(data, size, 1 + size / 64 + fuzz_pick(data, size, 1, 5), &split);
	assert(whole.verdict == split.verdict || whole.verdict + split.verdict == HTTP_CHUNK_DATA);
	assert(whole.eaten == split.eaten && whole.ndata == split.ndata);
	assert(whole.reason == split.reason);
	assert(!memcmp(whole.data, split.data, whole.ndata));
	if (whole.verdict == HTTP_CHUNK_TRAILERS) {
		run(split.encoded, split.nencoded, split.nencoded, &again);
		assert(again.verdict == HTTP_CHUNK_TRAILERS && again.eaten == split.nencoded);
		assert(again.ndata == whole.ndata && !memcmp(again.data, whole.data, again.ndata));
	}
	result_free(&whole);
	result_free(&split);
	result_free(&again);
	return 0;
}
