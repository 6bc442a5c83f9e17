/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writers. The first byte of the input chooses the kind and the client. Whatever the
 * parser accepts, the rewritten head parses again, is one head and nothing more, has
 * the framing that was planned, and carries of the identity names only ours.
 */
#include <errno.h>

#include "../../user/lib/http_message.h"
#include "../../user/lib/http_path.h"
#include "fuzz.h"

#define OUR	   "X-Sluice-Tenant: blue\r\nX-Sluice-Client: 10.0.0.5\r\n"
#define OUR_FIELDS 2

static const struct http_limits limits = { .head_size = 65536, .head_count = 100 };
static const struct http_limits wider = { .head_size = 1 << 20, .head_count = 256 };
static struct http_head head, out_head;
static char out[1 << 18];

static bool is_id(const struct http_field *field, const char *buf, const char *name)
{
	return field->name.len == strlen(name) &&
	       http_case_equal(buf + field->name.at, name, field->name.len);
}

/* In what goes on: no hop-by-hop field but the allowed ones, identity only in the last lines. */
static void check_fields(const char *buf, bool request)
{
	uint32_t ours = request ? OUR_FIELDS : 0, hosts = 0;

	assert(out_head.nfields >= ours);
	for (uint32_t i = 0; i < out_head.nfields; i++) {
		const struct http_field *field = &out_head.fields[i];

		hosts += field->id == HTTP_NAME_HOST;
		assert(field->id != HTTP_NAME_UPGRADE && field->id != HTTP_NAME_TE &&
		       field->id != HTTP_NAME_KEEP_ALIVE && field->id != HTTP_NAME_HTTP2_SETTINGS &&
		       field->id != HTTP_NAME_PROXY_CONNECTION);
		if (!request)
			continue;
		assert(field->id != HTTP_NAME_CONNECTION);
		if (i < out_head.nfields - ours)
			assert(!http_name_is_identity(buf + field->name.at, field->name.len));
	}
	if (request) {
		assert(hosts == 1);
		assert(is_id(&out_head.fields[out_head.nfields - 2], buf, "x-sluice-tenant"));
		assert(is_id(&out_head.fields[out_head.nfields - 1], buf, "x-sluice-client"));
	}
}

/* Too little room is said; AddressSanitizer watches the end. */
static void check_small(int n, int again, size_t size)
{
	assert(again == (size < (size_t)n ? -E2BIG : n));
}

static void fuzz_request(const char *buf, size_t len, const uint8_t *data, size_t size)
{
	static char target[3 * 65536 + 1];
	struct http_request_plan plan = { .target = target,
					  .identity = OUR,
					  .identity_len = sizeof(OUR) - 1,
					  .host = "169.254.169.254" };
	struct http_refusal refusal;
	size_t scanned = 0, path_len, room;
	const char *why;
	char *small;
	int n;

	if (http_request_parse(buf, len, &scanned, &limits, &head, &refusal) != HTTP_OK)
		return;
	n = head.asterisk ? 1
			  : http_path_normalise(buf + head.target.at, head.target.len, target,
						sizeof(target), &path_len, &why);
	if (head.asterisk)
		target[0] = '*';
	if (n < 0)
		return;
	plan.target_len = n;
	n = http_request_write(&head, buf, &plan, out, sizeof(out));
	assert(n > 0);
	room = fuzz_pick(data, size, 1, n + 1);
	small = malloc(room + 1);
	check_small(n, http_request_write(&head, buf, &plan, small, room), room);
	free(small);

	scanned = 0;
	assert(http_request_parse(out, n, &scanned, &wider, &out_head, &refusal) == HTTP_OK);
	assert(out_head.len == (uint32_t)n && out_head.minor == 1);
	assert(out_head.framing == head.framing && out_head.length == head.length);
	assert(out_head.has_length == head.has_length && out_head.method == head.method);
	assert(!out_head.expect_continue || head.expect_continue);
	assert(out_head.target.len == plan.target_len &&
	       !memcmp(out + out_head.target.at, target, plan.target_len));
	assert(out_head.keep_alive);
	check_fields(out, true);
}

static void fuzz_response(const char *buf, size_t len, const uint8_t *data, size_t size,
			  unsigned choice)
{
	enum http_method method = choice & 1 ? HTTP_HEAD : HTTP_GET;
	uint8_t minor = choice >> 1 & 1;
	bool keep_alive = choice >> 2 & 1, closing = choice >> 3 & 1;
	struct http_response_plan plan;
	struct http_refusal refusal;
	size_t scanned = 0, room;
	char *small;
	int n;

	if (http_response_parse(buf, len, &scanned, &limits, method, &head, &refusal) != HTTP_OK)
		return;
	http_response_plan(&head, minor, keep_alive, closing, &plan);
	assert(plan.framing != HTTP_FRAMING_CHUNKED || minor == 1);
	assert(plan.framing != HTTP_FRAMING_EOF || plan.close);
	n = http_response_write(&head, buf, &plan, out, sizeof(out));
	assert(n > 0);
	room = fuzz_pick(data, size, 1, n + 1);
	small = malloc(room + 1);
	check_small(n, http_response_write(&head, buf, &plan, small, room), room);
	free(small);

	scanned = 0;
	assert(http_response_parse(out, n, &scanned, &wider, method, &out_head, &refusal) ==
	       HTTP_OK);
	assert(out_head.len == (uint32_t)n && out_head.status == head.status);
	assert(out_head.framing == plan.framing);
	assert(out_head.framing != HTTP_FRAMING_LENGTH || out_head.length == head.length);
	assert(head.status < 200 || out_head.keep_alive == !plan.close);
	check_fields(out, false);
}

static void fuzz_trailers(const char *buf, size_t len)
{
	struct http_refusal refusal;
	size_t scanned = 0;
	int n;

	if (http_trailers_parse(buf, len, &scanned, &limits, &head, &refusal) != HTTP_OK)
		return;
	n = http_trailers_write(&head, buf, out, sizeof(out));
	assert(n >= 2);
	scanned = 0;
	assert(http_trailers_parse(out, n, &scanned, &wider, &out_head, &refusal) == HTTP_OK);
	assert(out_head.len == (uint32_t)n && out_head.nfields <= head.nfields);
	for (uint32_t i = 0; i < out_head.nfields; i++) {
		const struct http_field *field = &out_head.fields[i];

		assert(field->id == HTTP_NAME_OTHER);
		assert(!http_name_is_identity(out + field->name.at, field->name.len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *buf;

	if (!size || size > 32768)
		return 0;
	buf = fuzz_copy(data + 1, size - 1);
	if (data[0] < 'P')
		fuzz_trailers(buf, size - 1);
	else if (data[0] < 'a')
		fuzz_response(buf, size - 1, data, size, data[0] - 'P');
	else
		fuzz_request(buf, size - 1, data, size);
	free(buf);
	return 0;
}
