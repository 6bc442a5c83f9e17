/* SPDX-License-Identifier: BSD-2-Clause */
/* Which route a request takes, what is refused and how, which Host values are ours. */
#include <errno.h>

#include "../../user/lib/http_path.h"
#include "../../user/relay/route.h"
#include "unit.h"

/* The configuration owns its strings, so they are not const. */
#define S(text) ((char *)(text))

static char *get_head[] = { S("GET"), S("HEAD") }, *put_post[] = { S("PUT"), S("POST") },
	    *options[] = { S("OPTIONS"), S("GET"), S("PROPFIND") };
static char *hosts[] = { S("metadata.google.internal"), S("10.1.2.3"), S("fd00::5"),
			 S("[fd00::6]") };

static struct conf_service services[] = { { .name = S("meta") },
					  { .name = S("repo") },
					  { .name = S("root") } };

static struct conf_route routes[] = {
	{ S("/"), S("root"), options, 3, NULL },
	{ S("/repo/"), S("repo"), get_head, 2, NULL },
	{ S("/latest"), S("meta"), get_head, 2, S("X-Token") },
	{ S("/latest/api/token"), S("meta"), put_post, 2, NULL },
	{ S("/pool/c++"), S("repo"), get_head, 2, NULL },
};

static const struct conf conf = {
	.listen = { .hosts = hosts, .hosts_count = 4 },
	.services = services,
	.services_count = 3,
	.routes = routes,
	.routes_count = 5,
};

static const struct route_case {
	const char *request; /* method, target and fields */
	unsigned status;
	const char *service; /* or Allow's value with 405 */
} cases[] = {
	{ "GET /", 0, "root" },
	{ "GET /anything/else", 0, "root" },
	{ "GET /repo", 0, "repo" },
	{ "GET /repo/", 0, "repo" },
	{ "GET /repo/dists?x", 0, "repo" },
	{ "HEAD /repo/dists", 0, "repo" },
	{ "GET /repository", 0, "root" },
	{ "GET /%72epo/x", 0, "repo" },
	{ "GET //repo//x", 0, "repo" },
	{ "GET /x/../repo/x", 0, "repo" },
	{ "GET /repo/../x", 0, "root" },
	{ "GET /pool/c%2b%2b/x", 0, "repo" },
	{ "GET /pool/c++/x", 0, "repo" },
	{ "GET /pool/c/x", 0, "root" },
	{ "GET /REPO", 0, "root" },
	{ "POST /repo/x", 405, "GET, HEAD" },
	{ "get /repo/x", 405, "GET, HEAD" },
	{ "GE /repo/x", 405, "GET, HEAD" },
	{ "HEAD /", 405, "OPTIONS, GET, PROPFIND" },
	{ "PROPFIND /", 0, "root" },
	{ "OPTIONS *", 0, "root" },
	{ "PUT /latest/api/token", 0, "meta" },
	{ "GET /latest/api/token", 405, "PUT, POST" },
	{ "GET /latest/x", 403, "" },
	{ "GET /latest/x\r\nX-Token: a", 0, "meta" },
	{ "GET /latest/x\r\nx-token: a", 0, "meta" },
	{ "GET /latest/x\r\nX-Token:", 403, "" },
	{ "GET /latest/x\r\nX-Token:\r\nX-Token: a", 0, "meta" },
	{ "GET /latest/x\r\nX_Token: a", 403, "" },
	{ "POST /latest/x\r\nX-Token: a", 405, "GET, HEAD" },
};

static const struct host_case {
	const char *host;
	uint16_t port;
	bool allowed;
} host_cases[] = {
	{ "169.254.169.254", 80, true },
	{ "169.254.169.254:80", 80, true },
	{ "169.254.169.254:8080", 8080, true },
	{ "169.254.169.254", 8080, true },
	{ "169.254.169.254:8080", 80, false },
	{ "169.254.169.254:8080", 0, true },
	{ "10.1.2.3", 80, true },
	{ "10.1.2.4", 80, false },
	{ "metadata.google.internal", 80, true },
	{ "Metadata.Google.Internal.", 80, true },
	{ "metadata.google.internal:80", 80, true },
	{ "metadata.google.internal..", 80, false },
	{ "google.internal", 80, false },
	{ "x.metadata.google.internal", 80, false },
	{ "[fe80::a9fe:a9fe]", 80, true },
	{ "[fe80:0::a9fe:a9fe]:80", 80, true },
	{ "[fe80::a9fe:a9fe%25ens3]", 80, true },
	{ "[FE80::A9FE:A9FE%eth0]:80", 80, true },
	{ "[fd00::5]", 80, true },
	{ "[fd00::6]", 80, true },
	{ "[fd00::7]", 80, false },
	{ "[::ffff:169.254.169.254]", 80, false },
	{ "fe80::a9fe:a9fe", 80, false },
	{ "fd00::5", 80, false },
	{ "[fd00::5", 80, false },
	{ "fd00::5]", 80, false },
	{ "[169.254.169.254]", 80, false },
	{ "[fd00::5]x", 80, false },
	{ "[fd00::5]80", 80, false },
	{ "[]", 80, false },
	{ "[", 80, false },
	{ "", 80, false },
	{ ".", 80, false },
	{ ":80", 80, false },
	{ "169.254.169.254:", 80, false },
	{ "169.254.169.254:0", 0, false },
	{ "169.254.169.254:65616", 80, false },
	{ "169.254.169.254:+80", 80, false },
	{ "169.254.169.254:80:80", 80, false },
	{ "169.254.43518", 80, false },
	{ "2852039166", 80, false },
	{ "0xa9fea9fe", 80, false },
	{ "0251.254.169.254", 80, false },
	{ "169.254.169.254%25eth0", 80, false },
	{ "169.254.169.254.evil.example", 80, false },
	{ "localhost", 80, false },
	{ "127.0.0.1", 80, false },
};

static void test_case(const struct route_table *table, const struct route_case *c)
{
	static struct http_head head;
	const struct http_limits limits = { .head_size = 1024, .head_count = 16 };
	struct http_refusal refusal = { .reason = "" };
	size_t scanned = 0, path_len = 1, request_len = strcspn(c->request, "\r");
	char bytes[512], path[512] = "*";
	struct route_verdict verdict;
	const char *why;
	int n;

	unit_case = c->request;
	n = snprintf(bytes, sizeof(bytes), "%.*s HTTP/1.1\r\nHost: h%s\r\n\r\n", (int)request_len,
		     c->request, c->request + request_len);
	if (!CHECK_THAT(http_request_parse(bytes, n, &scanned, &limits, &head, &refusal) == HTTP_OK,
			"%s", refusal.reason))
		return;
	if (!head.asterisk)
		CHECK(http_path_normalise(bytes + head.target.at, head.target.len, path,
					  sizeof(path), &path_len, &why) > 0);
	memset(&verdict, 0xff, sizeof(verdict));
	route_find(table, &head, bytes, unit_guarded(path, path_len), path_len, &verdict);
	CHECK_THAT(verdict.status == c->status, "status %u", verdict.status);
	if (verdict.status == 405)
		CHECK_THAT(!strcmp(verdict.allow, c->service), "allow %s", verdict.allow);
	else if (!verdict.status)
		CHECK_THAT(!strcmp(services[verdict.service].name, c->service) &&
				   !strcmp(routes[verdict.route].service, c->service),
			   "service %s", services[verdict.service].name);
	CHECK(!verdict.status || (verdict.reason && *verdict.reason));
	if (verdict.status == 403)
		CHECK(strstr(verdict.reason, "X-Token"));
}

static void test_bad_tables(void)
{
	struct conf_route bad = { S("/x"), S("nobody"), get_head, 2, NULL };
	struct conf small = {
		.routes = &bad, .routes_count = 1, .services = services, .services_count = 3
	};
	struct route_table *table = NULL;
	static struct http_head head;
	struct route_verdict verdict;

	unit_case = "bad tables";
	CHECK(route_table_new(&small, &table) == -EINVAL && !table);
	bad = (struct conf_route){ S("x"), S("repo"), get_head, 2, NULL };
	CHECK(route_table_new(&small, &table) == -EINVAL && !table);
	small.routes_count = 0;
	CHECK(route_table_new(&small, &table) == 0);
	route_find(table, &head, "", "/", 1, &verdict);
	CHECK(verdict.status == 404 && verdict.reason);
	CHECK(route_host_allowed(table, "169.254.169.254", 15, 80));
	route_table_free(table);
	route_table_free(NULL);
}

int main(void)
{
	struct route_table *table;

	if (!CHECK(route_table_new(&conf, &table) == 0))
		return unit_end();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(table, &cases[i]);
	for (size_t i = 0; i < sizeof(host_cases) / sizeof(host_cases[0]); i++) {
		const struct host_case *c = &host_cases[i];
		size_t len = strlen(c->host);

		unit_case = c->host;
		CHECK_THAT(route_host_allowed(table, unit_guarded(c->host, len), len, c->port) ==
				   c->allowed,
			   "port %u", c->port);
	}
	route_table_free(table);
	test_bad_tables();
	return unit_end();
}
