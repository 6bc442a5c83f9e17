/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The head parser. The first byte of the input chooses what the rest is: a request, a
 * response to some method, or a trailer section. Whatever the split, the verdict and
 * what was understood are the same; every offset lies within the head.
 */
#include "../../user/lib/http_head.h"
#include "fuzz.h"

enum kind { REQUEST, RESPONSE, RESPONSE_TO_HEAD, TRAILERS, NKINDS };

static const struct http_limits limits = { .head_size = 4096, .head_count = 24 };

static enum http_verdict parse(enum kind kind, const char *buf, size_t len, size_t *scanned,
			       struct http_head *head, struct http_refusal *refusal)
{
	switch (kind) {
	case REQUEST:
		return http_request_parse(buf, len, scanned, &limits, head, refusal);
	case RESPONSE:
		return http_response_parse(buf, len, scanned, &limits, HTTP_GET, head, refusal);
	case RESPONSE_TO_HEAD:
		return http_response_parse(buf, len, scanned, &limits, HTTP_HEAD, head, refusal);
	default:
		return http_trailers_parse(buf, len, scanned, &limits, head, refusal);
	}
}

static void check_span(const struct http_head *head, struct http_span span)
{
	assert(span.at <= head->len && span.len <= head->len - span.at);
}

static void check_field(const struct http_head *head, const char *buf,
			const struct http_field *field)
{
	check_span(head, field->name);
	check_span(head, field->value);
	assert(field->name.len);
	for (uint32_t i = 0; i < field->name.len; i++)
		assert(http_is_tchar(buf[field->name.at + i]));
	for (uint32_t i = 0; i < field->value.len; i++) {
		unsigned char c = buf[field->value.at + i];

		assert((c >= 0x20 || c == '\t') && c != 0x7f);
	}
}

static void check_head(enum kind kind, const struct http_head *head, const char *buf, size_t len)
{
	assert(head->len <= len && head->len <= limits.head_size && head->len >= 2);
	assert(!memcmp(buf + head->len - 2, "\r\n", 2));
	assert(head->nfields <= limits.head_count);
	assert(head->nconnection <= HTTP_CONNECTION_MAX);
	check_span(head, head->method_at);
	check_span(head, head->target);
	check_span(head, head->host);
	check_span(head, head->reason);
	for (uint32_t i = 0; i < head->nfields; i++)
		check_field(head, buf, &head->fields[i]);
	for (uint32_t i = 0; i < head->nconnection; i++)
		check_span(head, head->connection[i]);
	if (kind == REQUEST) {
		assert(head->framing != HTTP_FRAMING_EOF && head->method_at.len);
		assert(head->minor == 0 || head->has_host);
		assert(head->framing != HTTP_FRAMING_CHUNKED || head->minor == 1);
	} else if (kind != TRAILERS) {
		assert(head->status >= 100 && head->status <= 599 && head->status != 101);
		assert(head->framing != HTTP_FRAMING_EOF || !head->keep_alive);
	}
	assert(head->framing != HTTP_FRAMING_LENGTH || head->has_length);
	assert(head->framing != HTTP_FRAMING_CHUNKED || !head->has_length);
	assert(head->length <= HTTP_LENGTH_MAX);
}

struct result {
	enum http_verdict verdict;
	struct http_refusal refusal;
	struct http_head *head;
};

/* Feeds buf[0..len) in steps, each from a buffer of exactly that size. */
static void run(enum kind kind, const uint8_t *data, size_t len, size_t first, size_t step,
		struct result *ret)
{
	size_t scanned = 0, fed = first;

	for (;;) {
		char *buf = fuzz_copy(data, fed);

		ret->verdict = parse(kind, buf, fed, &scanned, ret->head, &ret->refusal);
		if (ret->verdict == HTTP_OK)
			check_head(kind, ret->head, buf, fed);
		free(buf);
		if (ret->verdict != HTTP_MORE || fed == len)
			return;
		fed = fed + step < len ? fed + step : len;
	}
}

static void check_equal(const struct result *a, const struct result *b)
{
	assert(a->verdict == b->verdict);
	if (a->verdict == HTTP_REFUSED)
		assert(a->refusal.status == b->refusal.status &&
		       a->refusal.reason == b->refusal.reason);
	if (a->verdict == HTTP_OK)
		assert(!memcmp(a->head, b->head,
			       offsetof(struct http_head, fields) +
				       a->head->nfields * sizeof(a->head->fields[0])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head heads[2];
	struct result whole = { .head = &heads[0] }, split = { .head = &heads[1] };
	enum kind kind;

	if (!size)
		return 0;
	kind = data[0] % NKINDS;
	data++;
	size--;
	memset(heads, 0, sizeof(heads));
	run(kind, data, size, size, 1, &whole);
	run(kind, data, size, fuzz_pick(data, size, 1, size + 1), size + 1, &split);
	check_equal(&whole, &split);
	run(kind, data, size, 0, 1 + size / 32 + fuzz_pick(data, size, 2, 3), &split);
	check_equal(&whole, &split);
	/* Complete stays complete without what follows, and is not complete any earlier. */
	if (whole.verdict == HTTP_OK) {
		run(kind, data, whole.head->len, whole.head->len, 1, &split);
		check_equal(&whole, &split);
		run(kind, data, whole.head->len - 1, whole.head->len - 1, 1, &split);
		assert(split.verdict == HTTP_MORE);
	}
	return 0;
}
