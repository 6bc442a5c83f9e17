/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which network schemes are kept: control machines and links that are played here, by a clock that
 * is played, too.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

static int play_clock(clockid_t clock, struct timespec *ret_now);
static unsigned play_sleep(unsigned seconds);
#define clock_gettime play_clock
#define sleep	      play_sleep
#include "../../user/agent/cluster_network_reach.c"
#include "unit.h"

#define NEVER INT64_MAX

static struct node node = { .server = "https://10.9.0.1:8443" };

static const struct {
	const char *name;
	int64_t answers_at; /* ms after the scheme was set */
	int64_t try;	    /* ms that a try in vain takes */
	int64_t stands_at;  /* during the try that is under way then; */
	int64_t stands;	    /* it takes so much longer */
	int reached;
	long status; /* of its answers; 0: 204 */
} cases[] = {
	{ "it answers at once", 0, 0, NEVER, 0, 0, 0 },
	{ "the link is up after a second", 1000, 0, NEVER, 0, 0, 0 },
	{ "spanning tree: refused until then", 30000, 0, NEVER, 0, 0, 0 },
	{ "spanning tree: nothing comes until then", 30000, 10000, NEVER, 0, 0, 0 },
	{ "it is busy for most of a minute", 55000, 10000, NEVER, 0, 0, 0 },
	{ "this machine stands for a minute", 70000, 100, 3000, 60000, 0, 0 },
	{ "it stands for a minute, then the link comes up", 100000, 0, 1000, 60000, 0, 0 },
	{ "no try takes less than a minute", 5 * 60000, 60000, NEVER, 0, 0, 0 },
	{ "refused for ever", NEVER, 0, NEVER, 0, -ENETUNREACH, 0 },
	{ "nothing comes, ever", NEVER, 10000, NEVER, 0, -ENETUNREACH, 0 },
	{ "nothing comes, and it stands for an hour", NEVER, 10000, 20000, 3600000, -ENETUNREACH,
	  0 },
	{ "a control machine that does not know the question", 0, 0, NEVER, 0, 0, 404 },
	{ "it knows no node at this address", 0, 1000, NEVER, 0, -EACCES, 403 },
	{ "it refuses when the link is up at last", 30000, 10000, NEVER, 0, -EACCES, 403 },
	{ "it does not want the certificate", 0, 1000, NEVER, 0, -EACCES, 401 },
	{ "its disk is full: it cannot look up who asks", 0, 1000, NEVER, 0, 0, 503 },
	{ "so it is, and the link is up after half a minute", 30000, 10000, NEVER, 0, 0, 503 },
	{ "it has a fault", 0, 1000, NEVER, 0, 0, 500 },
};
static size_t at;
static int64_t now, silent_from, silent_to; /* although it would answer */
static unsigned tries;

static int play_clock(clockid_t clock, struct timespec *ret_now)
{
	/* No machine has just been started. */
	*ret_now =
		(struct timespec){ .tv_sec = 5000 + now / 1000, .tv_nsec = now % 1000 * 1000000 };
	return 0;
}

static unsigned play_sleep(unsigned seconds)
{
	now += (int64_t)seconds * 1000;
	return 0;
}

void node_http(const struct node *unused, struct http *ret_http, char paths[3][CLUSTER_PATH_MAX])
{
	*ret_http = (struct http){ .timeout = 30 };
}

long http_call(const struct http *http, const char *url, const char *body, char **ret_body,
	       char **ret_why)
{
	bool stands = now >= cases[at].stands_at && now < cases[at].stands_at + cases[at].stands;

	CHECK(!strcmp(url, "https://10.9.0.1:8443/v1/here"));
	tries++;
	*ret_body = *ret_why = NULL;
	if (now >= cases[at].answers_at && (now < silent_from || now >= silent_to))
		return cases[at].status ? cases[at].status : 204;
	now += cases[at].try + (stands ? cases[at].stands : 0);
	return -1;
}

static void test_schemes(void)
{
	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		unit_case = cases[at].name;
		now = 0;
		tries = 0;
		CHECK(network_reaches(&node) == cases[at].reached);
		if (!cases[at].reached)
			continue;
		CHECK_THAT(tries >= 6, "%u tries", tries);
		CHECK_THAT(now - cases[at].stands >= 48000 && now - cases[at].stands <= 80000,
			   "%lld ms", (long long)now);
	}
}

static size_t case_of(long status)
{
	size_t i = 0;

	while (cases[i].status != status)
		i++;
	return i;
}

/* What was heard once is not yet what the scheme carries. */
static void test_silence(void)
{
	static const struct {
		const char *name;
		long status;
		int64_t from, to;
		int reached;
	} silences[] = {
		{ "a fault, by the way of before, then nothing", 503, 1000, NEVER, -ENETUNREACH },
		{ "a fault, and it begins anew at the end", 503, 50000, NEVER, 0 },
		{ "refused, and a word is lost at the end", 403, 59000, NEVER, -EACCES },
		{ "refused, then nothing", 403, 1000, NEVER, -ENETUNREACH },
		{ "a fault, with a gap", 503, 5000, 40000, 0 },
	};

	for (size_t i = 0; i < sizeof(silences) / sizeof(silences[0]); i++) {
		unit_case = silences[i].name;
		at = case_of(silences[i].status);
		silent_from = silences[i].from;
		silent_to = silences[i].to;
		now = 0;
		CHECK(network_reaches(&node) == silences[i].reached);
	}
	silent_from = silent_to = 0;
}

static void test_end(void)
{
	unit_case = "the agent is to end";
	at = 8;
	now = 0;
	tries = 0;
	node.ending = true;
	CHECK(network_reaches(&node));
	CHECK_THAT(tries == 1, "%u tries", tries);
	at = case_of(503);
	now = 0;
	CHECK(network_reaches(&node));
}

int main(void)
{
	test_schemes();
	test_silence();
	test_end();
	return unit_end();
}
