/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is given up, and when: the schedule of a run over reports that are invented here, by a clock
 * that is set here. Nodes that wait for their turn or for others have failed nothing.
 */
#include <stdarg.h>

#include "../../user/cluster/schedule.c"
#include "unit.h"

/* ---- the database, the documents and the clock -------------------------------------------- */

static struct {
	const char *node, *item, *state;
	int64_t percent;
} reports[16];
static size_t reports_count;
static int64_t now, seen[2];

int64_t state_ticks(void)
{
	return now;
}

int64_t state_now(void)
{
	return now;
}

int state_run(struct state *state, json_t **ret_rows, const char *sql, const char *format, ...)
{
	const char *node;
	va_list args;

	va_start(args, format);
	node = va_arg(args, const char *);
	va_end(args);
	*ret_rows = json_array();
	for (size_t i = 0; i < reports_count; i++)
		if (!strcmp(reports[i].node, node))
			json_array_append_new(*ret_rows,
					      json_pack("{s:s, s:s, s:I, s:i, s:i, s:s}", "name",
							reports[i].item, "state", reports[i].state,
							"percent", (json_int_t)reports[i].percent,
							"bytes", 0, "rate", 0, "message", ""));
	return 0;
}

int state_number(struct state *state, int64_t *ret_value, const char *sql, const char *format, ...)
{
	const char *node;
	va_list args;

	va_start(args, format);
	node = va_arg(args, const char *);
	va_end(args);
	*ret_value = seen[node[1] - '1'];
	return 0;
}

char *documents_refusal(struct state *state, const char *node)
{
	return NULL;
}

int documents_write(struct schedule *schedule, struct member *member)
{
	member->told = true;
	return 0;
}

char *cluster_read(const struct cluster *cluster, const char *name)
{
	return strdup("key");
}

int cluster_run_id(char ret_id[DESIRED_RUN_LEN + 1])
{
	strcpy(ret_id, "0123456789abcdef");
	return 0;
}

/* ---- a run of two nodes ------------------------------------------------------------------- */

#define DEADLINE      20
#define STEP_DEADLINE 10

static struct cluster cluster;
static struct config config = {
	.parallel = 5, .max_failed = 1, .deadline = DEADLINE, .step_deadline = STEP_DEADLINE
};
static struct schedule run;
static json_t *plan;

static void begin(enum config_mode mode)
{
	plan = json_loads("{\"nodes\": ["
			  "{\"name\": \"n1\", \"reachable\": true, \"items\": ["
			  " {\"name\": \"base\", \"action\": \"install\", \"role\": \"component\"},"
			  " {\"name\": \"app\", \"action\": \"install\", \"role\": \"software\"}]},"
			  "{\"name\": \"n2\", \"reachable\": true, \"items\": ["
			  " {\"name\": \"base\", \"action\": \"install\", \"role\": \"component\"},"
			  " {\"name\": \"app\", \"action\": \"install\", \"role\": \"software\"}]}"
			  "]}",
			  0, NULL);
	reports_count = 0;
	now = 1000000;
	seen[0] = seen[1] = 1;
	CHECK(!schedule_begin(&run, &cluster, &config, plan, mode));
	CHECK(!schedule_step(&run));
}

static void end(void)
{
	schedule_end(&run);
	json_decref(plan);
}

static void report(const char *node, const char *item, const char *state, int64_t percent)
{
	size_t i = 0;

	while (i < reports_count &&
	       (strcmp(reports[i].node, node) != 0 || strcmp(reports[i].item, item) != 0))
		i++;
	reports_count += i == reports_count;
	reports[i].node = node;
	reports[i].item = item;
	reports[i].state = state;
	reports[i].percent = percent;
}

/* So many seconds pass; these nodes are heard of meanwhile. */
static void pass(unsigned seconds, bool first, bool second)
{
	for (unsigned i = 0; i < seconds; i++) {
		now += 1000;
		seen[0] += first;
		seen[1] += second;
		CHECK(!schedule_step(&run));
	}
}

static void test_stream(void)
{
	unit_case = "the second waits for its turn longer than a step may take";
	begin(CONFIG_STREAM);
	for (int64_t percent = 0; percent <= 90; percent += 10) {
		report("n1", "base", "sending", percent);
		pass(STEP_DEADLINE - 2, true, true);
	}
	CHECK(!run.members[0].failed && !run.members[1].failed);
	CHECK(!run.members[1].entries[0].stage);

	unit_case = "its turn: nothing comes of it";
	report("n1", "base", "verified", 100);
	report("n1", "app", "verified", 100);
	pass(1, true, true);
	CHECK(run.members[1].entries[0].stage);
	report("n1", "base", "healthy", 100);
	pass(STEP_DEADLINE, true, true);
	CHECK(!run.members[1].failed);
	pass(1, true, true);
	CHECK(run.members[1].failed);
	CHECK(strstr(run.members[1].why, "base: not begun at 0 % for 10 s"));
	end();
}

static void test_component(void)
{
	unit_case = "one waits for a component that another takes long to install";
	begin(CONFIG_PARALLEL);
	report("n1", "base", "healthy", 100);
	report("n1", "app", "verified", 100);
	report("n2", "app", "verified", 100);
	for (int64_t percent = 0; percent <= 90; percent += 10) {
		report("n2", "base", "installing", percent);
		pass(STEP_DEADLINE - 2, true, true);
	}
	CHECK(!run.members[0].failed && !run.members[1].failed);
	CHECK(!run.members[0].entries[1].go);

	unit_case = "that other one hangs";
	pass(STEP_DEADLINE + 1, true, true);
	CHECK(run.members[1].failed && !run.members[0].failed);
	CHECK(run.members[0].entries[1].go);
	end();
}

static void test_silence(void)
{
	unit_case = "one is silent";
	begin(CONFIG_PARALLEL);
	report("n1", "base", "healthy", 100);
	report("n2", "base", "healthy", 100);
	report("n1", "app", "healthy", 100);
	report("n2", "app", "sending", 1);
	for (int64_t percent = 2; percent < 6; percent++) {
		report("n2", "app", "sending", percent);
		pass(DEADLINE / 4, true, false);
	}
	CHECK(!run.members[1].failed);
	pass(1, false, false);
	CHECK(run.members[1].failed);
	CHECK(strstr(run.members[1].why, "nothing was heard of it for 20 s"));

	unit_case = "who is done may be silent";
	pass(2 * DEADLINE, false, false);
	CHECK(!run.members[0].failed && schedule_done(&run));
	end();
}

/* So many seconds without a step, for apply and for the server alike: nobody is heard of. */
static void stand(unsigned seconds)
{
	now += (int64_t)seconds * 1000;
	CHECK(!schedule_step(&run));
}

static void test_standstill(void)
{
	unit_case = "a standstill of this machine is not the nodes' silence";
	begin(CONFIG_PARALLEL);
	report("n1", "base", "installing", 10);
	report("n2", "base", "installing", 10);
	pass(1, true, true);
	pass(STEP_DEADLINE - 5, false, false);
	stand(10 * DEADLINE);
	CHECK(!run.failed && !run.aborted);
	pass(1, true, true);
	CHECK(!run.failed);

	unit_case = "what came before and comes after it counts";
	report("n1", "base", "installing", 20);
	pass(1, true, true);
	pass(2, true, false);
	CHECK(run.failed == 1 && run.members[1].failed);
	CHECK(strstr(run.members[1].why, "for 10 s, and no progress"));
	CHECK(!run.members[0].failed);
	end();

	unit_case = "who stays silent is given up also when every look comes late";
	begin(CONFIG_PARALLEL);
	for (unsigned i = 0; i < DEADLINE && !run.members[1].failed; i++)
		stand(5);
	CHECK(run.failed == 2);
	end();
}

int main(void)
{
	test_stream();
	test_component();
	test_silence();
	test_standstill();
	return unit_end();
}
