/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What nodes, and who would be one, send to the control machine: requests in a row, as cluster/
 * serve.c hands them to the routes, on a real database with real keys.
 *
 * The input is a list of requests: a byte for the route, two for the arguments, the body up to a
 * record separator. Asserted: each is answered once, with a status of those that are documented; no
 * body of an enrolled node makes the database refuse it; and what is stored of all that can be
 * shown by status, plan and report.
 */
#include <sys/stat.h>

#include "../../user/cluster/cluster.h"
#include "../../user/cluster/serve.h"
#include "../../user/lib/log.h"
#include "../../user/lib/signed.h"
#include "fuzz.h"
#include "lib/place.h"

#define REQUESTS_MAX 16
#define SEPARATOR    0x1e

int cluster_program(int argc, char **argv);

static const struct {
	const char *method, *path;
	bool open, stores;
} routes[] = {
	{ "POST", "/v1/events", false, true },	 { "POST", "/v1/facts", false, true },
	{ "POST", "/v1/refused", false, true },	 { "POST", "/v1/renew", false, false },
	{ "POST", "/v1/enrol", true, false },	 { "GET", "/v1/desired", false, false },
	{ "GET", "/v1/ca", true, false },	 { "GET", "/v1/index", false, false },
	{ "GET", "/v1/pieces/0", false, false }, { "GET", "/v1/blob/", false, false },
	{ "PUT", "/v1/events", false, false },
};

static const char *const arguments[] = { "",
					 "0",
					 "1",
					 "-1",
					 "9223372036854775807",
					 "99999999999999999999",
					 "x",
					 "16",
					 "262144",
					 "abcdef0123456789" };

static struct cluster cluster;
static struct serve serve = { .cluster = &cluster,
			      .lock = PTHREAD_MUTEX_INITIALIZER,
			      .ending = true };
static const char *argument[2];
static unsigned answers, status;

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					const char *key)
{
	return argument[*key & 1];
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned code,
				   struct MHD_Response *response)
{
	answers++;
	status = code;
	return MHD_YES;
}

/* ---- the cluster ----------------------------------------------------------------------------- */

/* One of the program's other commands; a and b may be NULL. */
static void say(const char *command, const char *a, const char *b)
{
	char *words[] = { (char *)"sluice-cluster",
			  (char *)command,
			  (char *)"--state",
			  place,
			  (char *)a,
			  (char *)b,
			  NULL };
	int count = b ? 6 : a ? 5 : 4, done;

	done = cluster_program(count, words);
	assert(done >= CLUSTER_DONE && done <= CLUSTER_REFUSED && done != CLUSTER_USAGE);
}

static void begin_once(void)
{
	char *secret, *public, keys[128], file[128], *words[8];

	if (cluster.directory)
		return;
	log_init("fuzz_serve", (enum log_level)0);
	assert(freopen("/dev/null", "we", stdout));
	place_make();
	assert(!signed_key_make(&secret, &public));
	place_write("ops.pub", public);
	place_write("file.yaml", "cluster: blue\ncontrol:\n  address: 10.9.0.1\nnodes:\n"
				 "  - name: n1\n    address: 10.9.0.11\n"
				 "  - name: n2\n    address: 10.9.0.12\n");
	snprintf(keys, sizeof(keys), "%s/ops.pub", place);
	snprintf(file, sizeof(file), "%s/file.yaml", place);
	words[0] = (char *)"sluice-cluster";
	words[1] = (char *)"init";
	words[2] = (char *)"--state";
	words[3] = place;
	words[4] = (char *)"--keys";
	words[5] = keys;
	words[6] = file;
	words[7] = NULL;
	assert(cluster_program(7, words) == CLUSTER_DONE);
	free(secret);
	free(public);
	cluster.directory = place;
	assert(!state_open(place, false, &cluster.state));
	serve.config = cluster_config(&cluster, NULL);
	serve.publishers = cluster_read(&cluster, "publishers.pub");
	serve.control_pub = cluster_read(&cluster, "control.pub");
	serve.ca = cluster_read(&cluster, "ca.pem");
	assert(serve.config && serve.publishers && serve.control_pub && serve.ca);
	pthread_cond_init(&serve.changed, NULL);
	turns_init(&serve.turns, SERVE_AT_ONCE);
}

/* As it was after init, and the two enrolled. */
static void reset(void)
{
	static const char sql[] =
		"PRAGMA synchronous = OFF; BEGIN; DELETE FROM tokens; DELETE FROM pending; DELETE "
		"FROM nodes; DELETE FROM runs;"
		"DELETE FROM items; DELETE FROM events; DELETE FROM agents; DELETE FROM sources;"
		"INSERT INTO runs VALUES ('0123456789abcdef', 'apply', 'overlap', '', 1, 0, "
		"'running');"
		"INSERT INTO nodes VALUES ('n1', '10.9.0.11', '', '', 1, 1, 1, '{}', 0, '{}', 0, "
		"0, 0),"
		" ('n2', '10.9.0.12', '', '', 1, 1, 1, '{}', 0, '{}', 0, 0, 0); COMMIT;";

	assert(!sqlite3_exec(cluster.state.db, sql, NULL, NULL, NULL));
	memset(serve.told, 0, sizeof(serve.told));
	memset(serve.asked, 0, sizeof(serve.asked));
	serve.told_next = 0;
}

/* ---- one input --------------------------------------------------------------------------------
 */

static void ask(struct fuzz_input *input)
{
	struct request request = { .serve = &serve };
	unsigned what = fuzz_next(input), which = what % (sizeof(routes) / sizeof(routes[0]));
	const uint8_t *end;

	for (int i = 0; i < 2; i++)
		argument[i] =
			arguments[fuzz_next(input) % (sizeof(arguments) / sizeof(arguments[0]))];
	end = memchr(input->at, SEPARATOR, input->left);
	request.body_len = end ? (size_t)(end - input->at) : input->left;
	request.body = malloc(request.body_len + 1);
	assert(request.body);
	memcpy(request.body, input->at, request.body_len);
	request.body[request.body_len] = '\0';
	input->at += request.body_len;
	input->left -= request.body_len;
	fuzz_next(input);
	strcpy(request.address, "10.9.0.11");
	if (!routes[which].open)
		strcpy(request.node, "n1");
	answers = 0;
	assert(serve_is_open(routes[which].method, routes[which].path) == routes[which].open);
	assert(serve_route(&request, routes[which].method, routes[which].path) == MHD_YES);
	assert(answers == 1 && status >= 200 && status <= 503);
	assert(!routes[which].stores || status == 204 || status == 400);
	if (request.has_turn)
		turns_leave(&serve.turns, &request.turn, true);
	free(request.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	begin_once();
	reset();
	for (unsigned i = 0; i < REQUESTS_MAX && input.left; i++)
		ask(&input);
	say("status", size % 2 ? "--json" : NULL, NULL);
	say("report", "0123456789abcdef", size % 3 ? "--json" : NULL);
	return 0;
}
