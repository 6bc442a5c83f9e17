/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Back to the network of before, with a journal and an "ip" that are played here, and fail where
 * they are told to.
 */
#include <stdarg.h>

#define if_nametoindex play_index
#include "../../user/agent/cluster_network_ip.c"
#include "../../user/agent/cluster_network_record.c"
#include "unit.h"

static const char *fails;   /* within a command */
static char said[8192];	    /* commands, a line each */
static bool full;	    /* the journal's disk */
static bool mute;	    /* "ip" of interfaces */
static unsigned mute_at;    /* the how manyth question only; 0: none */
static bool reaches;	    /* the default route of before is there */
static unsigned step_fails; /* of a transaction, the same */
static const char *boot = "b1";

void boot_id(char *ret, size_t size)
{
	snprintf(ret, size, "%s", boot);
}

static struct store {
	char tried[4096], held[4096]; /* "network-try", "network" */
	bool kept;		      /* files */
} store, before;		      /* a transaction */

static char *value_of(const char *key)
{
	return strcmp(key, TRY) ? store.held : store.tried;
}

char *journal_get(struct node *node, const char *key)
{
	return strdup(value_of(key));
}

int journal_set(struct node *node, const char *key, const char *value)
{
	if (full)
		return -ENOSPC;
	snprintf(value_of(key), sizeof(store.tried), "%s", value);
	return 0;
}

int journal_run(struct node *node, char **ret, const char *sql, unsigned count, ...)
{
	static unsigned step;
	const char *key;
	va_list args;

	if (!strncmp(sql, "BEGIN", 5)) {
		before = store;
		step = 0;
	}
	if (!strcmp(sql, "ROLLBACK"))
		store = before;
	else if (++step == step_fails)
		return -ENOSPC;
	store.kept &= strncmp(sql, "DELETE FROM added", 17) != 0;
	va_start(args, count);
	key = strstr(sql, " meta ") ? va_arg(args, const char *) : NULL;
	if (key)
		snprintf(value_of(key), sizeof(store.tried), "%s", va_arg(args, const char *));
	va_end(args);
	return 0;
}

int outcome_fail(struct outcome *outcome, int err, const char *format, ...)
{
	return err;
}

unsigned play_index(const char *interface)
{
	return strcmp(interface, "gone0") != 0;
}

char *exec_output(size_t max, const char *word, ...)
{
	static unsigned asked;
	bool routes = false;
	va_list args;

	va_start(args, word);
	for (; word; word = va_arg(args, const char *))
		routes |= !strcmp(word, "route");
	va_end(args);
	asked = mute_at ? asked + !routes : 0;
	if (!routes && (mute || (mute_at && asked == mute_at)))
		return NULL;
	return strdup(routes ? "[]"
			     : "[{\"ifname\": \"eth0\", \"mtu\": 1500, \"flags\": [\"UP\"],"
			       " \"addr_info\": []}]");
}

int exec_words(struct outcome *outcome, const char *word, ...)
{
	char line[512] = "";
	va_list args;

	va_start(args, word);
	for (; word; word = va_arg(args, const char *))
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s ", word);
	va_end(args);
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", line);
	/* With a link's last address its routes go. */
	if (strstr(line, "address delete"))
		reaches = false;
	if (strstr(line, "route replace 0.0.0.0/0 via 10.9.0.1 "))
		reaches = true;
	return fails && strstr(line, fails) ? -EIO : 0;
}

static const char record_text[] =
	"{\"links\": {\"eth0\": {\"was\": {\"mtu\": 1400, \"up\": false, \"addresses\":"
	" [\"10.9.0.11/24\", \"10.8.0.11/24\"]}, \"sets\": [{\"interface\": \"eth0\", "
	"\"addresses\":"
	" [\"10.5.0.11/24\"], \"routes\": [{\"to\": \"10.66.0.0/16\", \"via\": \"10.5.0.9\"}]}]},"
	" \"v7\": {\"sets\": []}},"
	" \"routes\": [{\"dst\": \"10.77.0.0/16\", \"via\": \"10.9.0.7\", \"dev\": \"eth0\","
	" \"metric\": 0}, {\"dst\": \"0.0.0.0/0\", \"via\": \"10.9.0.1\", \"dev\": \"eth0\","
	" \"metric\": 0}, {\"dst\": \"10.66.0.0/16\", \"via\": \"10.4.0.9\", \"dev\": \"gone0\","
	" \"metric\": 0}]}";

static const char guarded_text[] =
	"{\"links\": {\"eth0\": {\"was\": {\"mtu\": 1500, \"up\": true, \"addresses\": []},"
	" \"sets\": [{\"interface\": \"eth0\", \"addresses\": [\"10.5.0.11/24\"], \"routes\":"
	" [{\"to\": \"10.66.0.0/16\", \"via\": \"10.5.0.9\"}]}]}}, \"routes\": [{\"dst\":"
	" \"10.66.0.0/16\", \"via\": \"10.5.0.9\", \"dev\": \"eth0\", \"metric\": 0}]}";

static const char two_text[] =
	"{\"links\": {\"eth0\": {\"was\": {\"mtu\": 1500, \"up\": true, \"addresses\": []},"
	" \"sets\": [{\"interface\": \"eth0\", \"addresses\": [\"10.5.0.11/24\"]}]},"
	" \"eth1\": {\"was\": {\"mtu\": 1500, \"up\": true, \"addresses\": []},"
	" \"sets\": [{\"interface\": \"eth1\", \"addresses\": [\"10.6.0.11/24\"]}]}},"
	" \"routes\": [{\"dst\": \"0.0.0.0/0\", \"via\": \"10.9.0.1\", \"dev\": \"eth1\","
	" \"metric\": 0}, {\"dst\": \"10.77.0.0/16\", \"via\": \"10.9.0.7\", \"dev\": \"eth0\","
	" \"metric\": 0}]}";

static const struct {
	const char *step;
	char part; /* of which the rest is done once more when this fails */
} steps[] = {
	{ "link delete v7", 'v' },
	{ "link set eth0 mtu 1400", 'e' },
	{ "address replace 10.9.0.11/24", 'e' },
	{ "address replace 10.8.0.11/24", 'e' },
	{ "link set eth0 down", 'e' },
	{ "route replace 10.77.0.0/16 via 10.9.0.7", 'n' },
	{ "route replace 0.0.0.0/0 via 10.9.0.1", 'd' },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static int back(json_t *record)
{
	struct outcome outcome = { 0 };

	*said = '\0';
	return ip_put_all_back(record, &outcome);
}

/* Whichever fails, all others are done, and it is said that one was not. What is done once is not
 * done again: by then it is the operator's. */
static void test_back(void)
{
	for (size_t i = 0; i <= STEPS; i++) {
		json_t *record = json_loads(record_text, 0, NULL);
		char part = i < STEPS ? steps[i].part : 0;

		fails = i < STEPS ? steps[i].step : NULL;
		unit_case = fails ? fails : "nothing fails";
		CHECK(back(record) == (fails ? -EIO : 0));
		for (size_t k = 0; k < STEPS; k++)
			CHECK_THAT(strstr(said, steps[k].step), "no \"%s\" in:\n%s", steps[k].step,
				   said);
		CHECK(strstr(said, "address delete 10.5.0.11/24"));
		CHECK(strstr(said, "route delete 10.66.0.0/16"));
		CHECK_THAT(!strstr(said, "gone0"), "%s", said);

		for (unsigned again = 0; again < 3; again++) {
			fails = again || i == STEPS ? NULL : steps[i].step;
			CHECK(back(record) == (fails ? -EIO : 0));
			for (size_t k = 0; k < STEPS; k++)
				CHECK_THAT(!strstr(said, steps[k].step) ==
						   (again > 1 || steps[k].part != part),
					   "\"%s\", tried %u times again:\n%s", steps[k].step,
					   again, said);
			CHECK_THAT(!strstr(said, "address delete") && !strstr(said, "route delete"),
				   "%s", said);
		}
		json_decref(record);
	}
}

/* What could not be put back of one scheme is still known when the next one is taken back. */
static void test_record(void)
{
	struct work *work = calloc(1, sizeof(*work));
	json_t *links =
		json_loads("[{\"interface\": \"eth0\", \"gateway\": \"10.9.0.3\"}]", 0, NULL);
	struct outcome outcome = { 0 };

	unit_case = "a route cannot be put back";
	fails = "route replace 0.0.0.0/0 via 10.9.0.1";
	journal_set(NULL, TRY, record_text);
	CHECK(network_ip_take_back(NULL, &outcome) == -EIO && network_ip_tried(NULL));

	unit_case = "nor before the next scheme is tried";
	*said = '\0';
	CHECK(network_ip_take_back(NULL, &outcome) == -EIO && network_ip_tried(NULL));
	CHECK_THAT(!strcmp(said, "ip route replace 0.0.0.0/0 via 10.9.0.1 dev eth0 \n"), "%s",
		   said);
	CHECK(!network_ip_apply(work, links));

	unit_case = "it can, when that one is taken back";
	fails = NULL;
	*said = '\0';
	CHECK(!network_ip_take_back(NULL, &outcome) && !network_ip_tried(NULL));
	CHECK_THAT(strstr(said, "route delete 0.0.0.0/0 via 10.9.0.3"), "%s", said);
	CHECK_THAT(strstr(said, "route replace 0.0.0.0/0 via 10.9.0.1"), "%s", said);
	CHECK_THAT(!strstr(said, "10.77.0.0/16"), "%s", said);
	json_decref(links);
	free(work);
}

static void take(const char *record, int err)
{
	struct outcome outcome = { 0 };

	if (record)
		snprintf(store.tried, sizeof(store.tried), "%s", record);
	*said = '\0';
	CHECK(network_ip_take_back(NULL, &outcome) == err);
	CHECK(network_ip_tried(NULL) == (err != 0));
}

static void test_not_yet(void)
{
	struct work *work = calloc(1, sizeof(*work));
	json_t *links =
		json_loads("[{\"interface\": \"eth0\", \"gateway\": \"10.9.0.3\"}]", 0, NULL);

	unit_case = "ip cannot be asked";
	fails = NULL;
	mute = true;
	take(record_text, -EIO);
	CHECK_THAT(!strstr(said, "route replace"), "before its link:\n%s", said);
	mute = false;
	take(NULL, 0);
	CHECK_THAT(strstr(said, "address replace 10.9.0.11/24"), "%s", said);
	CHECK_THAT(strstr(said, "link delete v7"), "%s", said);
	CHECK_THAT(strstr(said, "address delete 10.5.0.11/24"), "%s", said);
	CHECK_THAT(strstr(said, "route delete 10.66.0.0/16"), "%s", said);
	CHECK_THAT(strstr(said, "route replace 10.77.0.0/16 via 10.9.0.7"), "%s", said);
	CHECK_THAT(reaches, "cut off:\n%s", said);

	unit_case = "ip cannot be asked of one of two";
	mute_at = 4; /* eth0 three times, eth1 */
	take(two_text, -EIO);
	CHECK_THAT(strstr(said, "route replace 10.77.0.0/16 via 10.9.0.7"), "%s", said);
	CHECK_THAT(!strstr(said, "route replace 0.0.0.0/0"), "%s", said);
	mute_at = 0;
	take(NULL, 0);
	CHECK_THAT(strstr(said, "address delete 10.6.0.11/24 dev eth1") && reaches, "%s", said);
	CHECK_THAT(!strstr(said, "10.77.0.0/16"), "put back twice:\n%s", said);

	unit_case = "nor again, with the route of before in force";
	mute = true;
	take(guarded_text, -EIO);
	take(NULL, -EIO);
	mute = false;
	take(NULL, 0);
	CHECK_THAT(strstr(said, "address delete 10.5.0.11/24"), "%s", said);
	CHECK_THAT(!strstr(said, "route delete"), "%s", said);

	unit_case = "nor before the next scheme is tried";
	mute = true;
	take(record_text, -EIO);
	mute = false;
	CHECK(!network_ip_apply(work, links));
	take(NULL, 0);
	CHECK_THAT(strstr(said, "address delete 10.5.0.11/24"), "%s", said);
	CHECK_THAT(strstr(said, "route delete 0.0.0.0/0 via 10.9.0.3"), "%s", said);
	CHECK_THAT(strstr(said, "route replace 0.0.0.0/0 via 10.9.0.1"), "%s", said);

	unit_case = "ip cannot be asked of the MTU";
	mute_at = 3; /* v7, eth0, and eth0 again */
	take(record_text, -EIO);
	CHECK_THAT(!strstr(said, "mtu 1400"), "%s", said);
	mute_at = 0;
	take(NULL, 0);
	CHECK_THAT(strstr(said, "mtu 1400"), "%s", said);
	CHECK_THAT(!strstr(said, "address delete") && !strstr(said, "route"), "%s", said);

	unit_case = "the journal's disk is full: it is taken back once";
	full = true;
	take(record_text, -ENOSPC);
	CHECK_THAT(strstr(said, "address delete 10.5.0.11/24"), "%s", said);
	take(NULL, -ENOSPC);
	CHECK_THAT(!*said, "%s", said);
	full = false;
	take(NULL, 0);
	CHECK_THAT(!*said, "%s", said);

	unit_case = "the same, and not all can be";
	full = true;
	fails = "10.77.0.0/16";
	take(record_text, -EIO);
	full = false;
	take(NULL, -EIO);
	CHECK_THAT(!strcmp(said, "ip route replace 10.77.0.0/16 via 10.9.0.7 dev eth0 \n"), "%s",
		   said);

	unit_case = "a boot later";
	fails = NULL;
	boot = "b2";
	take(NULL, 0);
	CHECK_THAT(!*said, "%s", said);

	unit_case = "a trial that a boot cut short";
	take(record_text, 0);
	CHECK_THAT(strstr(said, "address replace 10.9.0.11/24"), "%s", said);
	json_decref(links);
	free(work);
}

/* A scheme's end: all of it is written, or nothing. */
static void test_hold(void)
{
	struct work *work = calloc(1, sizeof(*work));
	json_t *links = json_loads("[{\"interface\": \"eth0\"}]", 0, NULL);
	struct node *node = calloc(1, sizeof(*node));
	struct store trial;

	unit_case = "a scheme's end";
	memset(&store, 0, sizeof(store));
	CHECK(!network_ip_apply(work, links));
	store.kept = true;
	trial = store;
	CHECK(*trial.tried);
	for (step_fails = 1; step_fails < 10 && network_ip_hold(node, links); step_fails++)
		CHECK_THAT(!strcmp(store.tried, trial.tried) && !*store.held && store.kept,
			   "step %u: %s, %s, %d", step_fails, store.tried, store.held, store.kept);
	CHECK_THAT(step_fails == 6, "%u", step_fails);
	step_fails = 0;
	CHECK_THAT(!*store.tried && strstr(store.held, "eth0") && !store.kept, "%s, %s, %d",
		   store.tried, store.held, store.kept);
	json_decref(links);
	free(node);
	free(work);
}

/* Of a scheme that failed on a disk that was full: it is undone, and the record does not say so. */
static void test_older(void)
{
	struct work *work = calloc(1, sizeof(*work));
	json_t *links = json_loads("[{\"interface\": \"eth0\"}]", 0, NULL);

	unit_case = "a record of this boot";
	memset(&store, 0, sizeof(store));
	boot = "b3";
	CHECK(!network_ip_apply(work, links));
	CHECK(!network_ip_forget_older(NULL) && network_ip_tried(NULL));

	unit_case = "one of another boot";
	boot = "b4";
	full = true;
	CHECK(network_ip_forget_older(NULL) == -ENOSPC && network_ip_tried(NULL));
	full = false;
	CHECK(!network_ip_forget_older(NULL) && !network_ip_tried(NULL));

	unit_case = "one that is gone on with after a boot";
	boot = "b3";
	CHECK(!network_ip_apply(work, links));
	boot = "b4";
	CHECK(!network_ip_apply(work, links));
	CHECK(!network_ip_forget_older(NULL) && network_ip_tried(NULL));
	json_decref(links);
	free(work);
}

int main(void)
{
	test_back();
	test_record();
	test_not_yet();
	test_hold();
	test_older();
	return unit_end();
}
