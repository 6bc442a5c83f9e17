/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is sent on: requests toward origins, responses and trailers toward clients, and
 * the relay's own answers. Written right before a guard page, with exactly the room
 * needed, and with less, which must be -E2BIG.
 */
#include <errno.h>

#include "../../user/lib/http_message.h"
#include "unit.h"

static const struct http_limits limits = { .head_size = 4096, .head_count = 64 };
static struct http_head head;

#define GET  "GET /x HTTP/1.1\r\nHost: h\r\n"
#define POST "POST /x HTTP/1.1\r\nHost: h\r\n"
#define OUR  "X-Sluice-Tenant: blue\r\n"

static const struct request_case {
	const char *name, *in, *out;
} requests[] = {
	{ "plain", GET "\r\n", GET OUR "\r\n" },
	{ "order, case and doubles are kept",
	  "GET /x HTTP/1.1\r\nuser-AGENT: a\r\nhost: h\r\nAccept: b\r\nCookie: "
	  "c\r\naccept:d\r\n\r\n",
	  "GET /x HTTP/1.1\r\nuser-AGENT: a\r\nhost: h\r\nAccept: b\r\nCookie: c\r\naccept: "
	  "d\r\n" OUR "\r\n" },
	{ "hop-by-hop fields end here",
	  GET "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: h2c\r\n"
	      "HTTP2-Settings: AAMA\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\n"
	      "Proxy-Authenticate: z\r\nTrailer: a\r\n\r\n",
	  GET OUR "\r\n" },
	{ "named in Connection", GET "Connection: x-a, close\r\nX-A: 1\r\nX-AB: 2\r\n\r\n",
	  GET "X-AB: 2\r\n" OUR "\r\n" },
	{ "Connection cannot remove Host", GET "Connection: host\r\n\r\n", GET OUR "\r\n" },
	{ "Connection cannot remove the framing",
	  POST "Connection: content-length\r\nContent-Length: 3\r\n\r\n",
	  POST "Content-Length: 3\r\n" OUR "\r\n" },
	{ "Connection cannot remove the coding",
	  POST "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n",
	  POST "Transfer-Encoding: chunked\r\n" OUR "\r\n" },
	{ "Connection cannot remove our identity", GET "Connection: X-Sluice-Tenant\r\n\r\n",
	  GET OUR "\r\n" },
	{ "identity in any spelling",
	  GET "X-Forwarded-For: 1\r\nx-forwarded-for: 2\r\nX_Forwarded_For: 3\r\nX-Forwarded_Host: "
	      "4\r\n"
	      "X-FORWARDED: 5\r\nForwarded: 6\r\nX-Real-IP: 7\r\nX-Instance-ID: 8\r\n"
	      "X-Instance-ID-Signature: 9\r\nx_instance_id: 10\r\nX-Tenant-ID: 11\r\n"
	      "X-Neutron-Network-ID: 12\r\nX.Neutron.Router.ID: 13\r\nX-OVN-Network-ID: 14\r\n"
	      "X-Metadata-Provider: 15\r\nX-Metadata-Provider-Signature: 16\r\n"
	      "X-Sluice-Tenant: red\r\nx-sluice_SIGNATURE: 17\r\nTrue-Client-IP: 18\r\n\r\n",
	  GET OUR "\r\n" },
	{ "overrides of method and path",
	  POST "Proxy: http://evil\r\nX-HTTP-Method-Override: DELETE\r\nX-Original-URL: "
	       "/admin\r\nX-Rewrite-Url: /a\r\n\r\n",
	  POST OUR "\r\n" },
	{ "names that only look alike",
	  GET "X-Forward: 1\r\nX-Tenant: 2\r\nX-aws-ec2-metadata-token: 3\r\n"
	      "Metadata: true\r\nMetadata-Flavor: Google\r\n\r\n",
	  GET "X-Forward: 1\r\nX-Tenant: 2\r\nX-aws-ec2-metadata-token: 3\r\nMetadata: true\r\n"
	      "Metadata-Flavor: Google\r\n" OUR "\r\n" },
	{ "length is told as understood", POST "CONTENT-length: 007\r\n\r\n",
	  POST "CONTENT-length: 7\r\n" OUR "\r\n" },
	{ "chunked with trailers", POST "Trailer: X-Sum\r\nTransfer-Encoding: Chunked\r\n\r\n",
	  POST "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n" OUR "\r\n" },
	{ "Expect is passed on", POST "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n",
	  POST "Content-Length: 1\r\nExpect: 100-continue\r\n" OUR "\r\n" },
	{ "but not from HTTP/1.0",
	  "POST /x HTTP/1.0\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
	  POST "Content-Length: 1\r\n" OUR "\r\n" },
	{ "HTTP/1.0 without Host", "GET /x HTTP/1.0\r\nAccept: a\r\n\r\n",
	  "GET /x HTTP/1.1\r\nHost: 169.254.169.254\r\nAccept: a\r\n" OUR "\r\n" },
	{ "HTTP/1.0 with an empty Host", "GET /x HTTP/1.0\r\nHost:\r\nAccept: a\r\n\r\n",
	  "GET /x HTTP/1.1\r\nHost: 169.254.169.254\r\nAccept: a\r\n" OUR "\r\n" },
	{ "HTTP/1.0 with a URL", "GET http://n/x HTTP/1.0\r\n\r\n",
	  "GET /x HTTP/1.1\r\nHost: n\r\n" OUR "\r\n" },
	{ "what stays, what goes and what is written anew, in turn",
	  "GET /x HTTP/1.1\r\nA: 1\r\nB:2\r\nTE: x\r\nC: 3\r\nHost: h\r\nX-Sluice-A: 4\r\n"
	  "D:\t5\r\nE: 6 \r\nF:\r\nG: \r\nUpgrade: y\r\nH: 7\r\n\r\n",
	  "GET /x HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\nHost: h\r\nD: 5\r\nE: 6\r\nF: \r\nG: \r\n"
	  "H: 7\r\n" OUR "\r\n" },
	{ "Via is left alone", GET "Via: 1.1 p\r\n\r\n", GET "Via: 1.1 p\r\n" OUR "\r\n" },
};

#define OK "HTTP/1.1 200 OK\r\n"

/* RELAY_CLOSES: a client of HTTP/1.1 would go on, the relay would not. */
enum client { V11, V11_CLOSE, RELAY_CLOSES, V10, V10_KEEP };

static const struct response_case {
	const char *name;
	enum client client;
	enum http_method method;
	const char *in, *out;
} responses[] = {
	{ "length", V11, HTTP_GET, OK "Content-Length: 5\r\n\r\n", OK "Content-Length: 5\r\n\r\n" },
	{ "order, case, Via and Accept-Ranges are kept", V11, HTTP_GET,
	  OK "server: a\r\nAccept-Ranges: bytes\r\ncontent-length: 5\r\nVIA: b\r\nSet-Cookie: 1\r\n"
	     "Set-Cookie: 2\r\n\r\n",
	  OK "server: a\r\nAccept-Ranges: bytes\r\ncontent-length: 5\r\nVIA: b\r\nSet-Cookie: 1\r\n"
	     "Set-Cookie: 2\r\n\r\n" },
	{ "hop-by-hop fields end here", V11, HTTP_GET,
	  OK "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\nProxy-Connection: y\r\n"
	     "Upgrade: h2\r\nContent-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\n\r\n" },
	{ "what stays, what goes and what is written anew, in turn", V11, HTTP_GET,
	  OK "A: 1\r\nContent-Length: 05\r\nB: 2\r\nConnection: x-c\r\nX-C: 3\r\nD:4\r\nE: 5\r\n"
	     "Keep-Alive: x\r\n\r\n",
	  OK "A: 1\r\nContent-Length: 5\r\nB: 2\r\nD: 4\r\nE: 5\r\n\r\n" },
	{ "status line without a reason", V11, HTTP_GET,
	  "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
	  "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n" },
	{ "client that closes", V11_CLOSE, HTTP_GET, OK "Content-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\nConnection: close\r\n\r\n" },
	{ "relay that closes", RELAY_CLOSES, HTTP_GET, OK "Content-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\nConnection: close\r\n\r\n" },
	{ "HTTP/1.0", V10, HTTP_GET, OK "Content-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\nConnection: close\r\n\r\n" },
	{ "HTTP/1.0 keep-alive", V10_KEEP, HTTP_GET, OK "Content-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\nConnection: keep-alive\r\n\r\n" },
	{ "chunked", V11, HTTP_GET, OK "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
	  OK "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" },
	{ "chunked to HTTP/1.0", V10_KEEP, HTTP_GET,
	  OK "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
	  OK "Connection: close\r\n\r\n" },
	{ "until the end", V11, HTTP_GET, OK "Server: a\r\n\r\n",
	  OK "Server: a\r\nConnection: close\r\n\r\n" },
	{ "origin of HTTP/1.0", V11, HTTP_GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\n\r\n" },
	{ "HEAD keeps the length", V11, HTTP_HEAD, OK "Content-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\n\r\n" },
	{ "HEAD of a chunked body", V11, HTTP_HEAD, OK "Transfer-Encoding: chunked\r\n\r\n",
	  OK "\r\n" },
	{ "HEAD of an endless body does not close", V11, HTTP_HEAD, OK "\r\n", OK "\r\n" },
	{ "304 keeps the length", V11, HTTP_GET,
	  "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n",
	  "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n" },
	{ "204 has none", V11, HTTP_GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
	  "HTTP/1.1 204 No Content\r\n\r\n" },
	{ "100", V11_CLOSE, HTTP_POST, "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
	  "HTTP/1.1 100 Continue\r\n\r\n" },
	{ "103", V11, HTTP_GET, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
	  "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" },
	{ "103 is not for HTTP/1.0", V10, HTTP_GET, "HTTP/1.1 103 Early Hints\r\n\r\n", NULL },
	{ "empty reason", V11, HTTP_GET, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
	  "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n" },
	{ "Connection cannot remove the framing", V11, HTTP_GET,
	  OK "Connection: Content-Length\r\nContent-Length: 5\r\n\r\n",
	  OK "Content-Length: 5\r\n\r\n" },
};

static const struct trailer_case {
	const char *name, *in, *out;
} trailers[] = {
	{ "none", "\r\n", "\r\n" },
	{ "passed", "X-Sum: a\r\nserver-timing: b\r\n\r\n",
	  "X-Sum: a\r\nserver-timing: b\r\n\r\n" },
	{ "framing and routing",
	  "Content-Length: 1\r\nTransfer-Encoding: x\r\nHost: y\r\nHOST: z\r\n"
	  "Content_Length: 3\r\nTrailer: a\r\n\r\n",
	  "\r\n" },
	{ "authentication",
	  "Authorization: a\r\nCookie: b\r\nSet-Cookie: c\r\nX-aws-ec2-metadata-token: d\r\n"
	  "X-Auth-Token: e\r\nMetadata: true\r\n\r\n",
	  "\r\n" },
	{ "identity", "X-Forwarded-For: a\r\nX_Instance_ID: b\r\nX-Sum: c\r\n\r\n",
	  "X-Sum: c\r\n\r\n" },
};

/* Compares what write() yields with expected, given exactly the room and each smaller one. */
static void check_written(int (*write)(const void *in, char *out, size_t size), const void *in,
			  const char *expected)
{
	int len = strlen(expected);
	char *out = unit_guarded(expected, len);
	int n;

	memset(out, '#', len);
	n = write(in, out, len);
	if (n != len || memcmp(out, expected, len)) {
		char *large = unit_guarded(NULL, 0) - 8192;

		n = write(in, large, 8192);
		CHECK_THAT(false, "wrote %d:\n%.*s", n, n > 0 ? n : 0, large);
		return;
	}
	CHECK(n == len);
	for (int size = 0; size < len; size++)
		CHECK(write(in, unit_guarded(NULL, 0) - size, size) == -E2BIG);
}

static int write_request(const void *in, char *out, size_t size)
{
	static const struct http_request_plan plan = {
		.target = "/x",
		.target_len = 2,
		.identity = OUR,
		.identity_len = sizeof(OUR) - 1,
		.host = "169.254.169.254",
	};

	return http_request_write(&head, in, &plan, out, size);
}

static struct http_response_plan response_plan;

static int write_response(const void *in, char *out, size_t size)
{
	return http_response_write(&head, in, &response_plan, out, size);
}

static int write_trailers(const void *in, char *out, size_t size)
{
	return http_trailers_write(&head, in, out, size);
}

static int write_error(const void *in, char *out, size_t size)
{
	return http_error_write(in, out, size);
}

static void test_errors(void)
{
	static const struct {
		const char *name;
		struct http_error error;
		const char *out;
	} errors[] = {
		{ "405",
		  { .status = 405, .allow = "GET, HEAD" },
		  "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\n"
		  "Content-Length: 42\r\nAllow: GET, HEAD\r\n\r\n"
		  "This path takes other methods; see Allow.\n" },
		{ "503",
		  { .status = 503, .reason = "Busy.", .retry_after = 2, .close = true },
		  "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
		  "Content-Length: 6\r\nRetry-After: 2\r\nConnection: close\r\n\r\nBusy.\n" },
		{ "HEAD",
		  { .status = 404, .reason = "No.", .head_request = true, .keep_alive = true },
		  "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
		  "Content-Length: 4\r\nConnection: keep-alive\r\n\r\n" },
	};
	static const uint16_t statuses[] = { 400, 403, 404, 405, 408, 413, 414, 417,
					     431, 500, 501, 502, 503, 504, 505 };
	char out[HTTP_ERROR_MAX];

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		unit_case = errors[i].name;
		check_written(write_error, &errors[i].error, errors[i].out);
	}
	unit_case = "own answers";
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct http_error error = { .status = statuses[i], .close = true };
		struct http_refusal refusal = { 0 };
		size_t scanned = 0;
		int n = http_error_write(&error, out, sizeof(out));

		CHECK(n > 0);
		CHECK_THAT(http_response_parse(out, n, &scanned, &limits, HTTP_GET, &head,
					       &refusal) == HTTP_OK,
			   "%u: %s", statuses[i], refusal.reason);
		CHECK(head.status == statuses[i] && head.reason.len && !head.keep_alive);
		CHECK(head.framing == HTTP_FRAMING_LENGTH && head.len + head.length == (size_t)n);
		CHECK(head.length > 10 && out[n - 1] == '\n');
	}
}

int main(void)
{
	struct http_refusal refusal;
	size_t scanned;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const char *in = requests[i].in;

		unit_case = requests[i].name;
		scanned = 0;
		if (CHECK(http_request_parse(in, strlen(in), &scanned, &limits, &head, &refusal) ==
			  HTTP_OK))
			check_written(write_request, in, requests[i].out);
	}
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
		const struct response_case *c = &responses[i];

		unit_case = c->name;
		scanned = 0;
		if (!CHECK(http_response_parse(c->in, strlen(c->in), &scanned, &limits, c->method,
					       &head, &refusal) == HTTP_OK))
			continue;
		http_response_plan(&head, c->client <= RELAY_CLOSES,
				   c->client != V11_CLOSE && c->client != V10,
				   c->client == RELAY_CLOSES, &response_plan);
		CHECK(response_plan.drop == !c->out);
		if (c->out)
			check_written(write_response, c->in, c->out);
	}
	for (size_t i = 0; i < sizeof(trailers) / sizeof(trailers[0]); i++) {
		const char *in = trailers[i].in;

		unit_case = trailers[i].name;
		scanned = 0;
		if (CHECK(http_trailers_parse(in, strlen(in), &scanned, &limits, &head, &refusal) ==
			  HTTP_OK))
			check_written(write_trailers, in, trailers[i].out);
	}
	test_errors();
	return unit_end();
}
