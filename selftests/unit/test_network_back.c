/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network scheme on trial, or one that failed and was not taken back as a whole: when it is, by a
 * journal, files and a clock that are played here.
 */
#include <stdarg.h>
#include <time.h>

static int play_clock(clockid_t clock, struct timespec *ret_now);
#define clock_gettime play_clock
#include "../../user/agent/cluster_network.c"
#include "unit.h"

static struct node node;
static int64_t seconds = 5000;
static bool kept, tried;  /* what the journal holds of a trial */
static const char *state; /* of the item; NULL: it is not known */
static int files_fail, ip_fails, put_fails = -EIO, hold_fails, go_fails, reload_fails;
static bool networkd, older; /* the record is of another boot */
static int forget_fails;
static unsigned reloads;
static bool fills, full;		     /* the disk, while it is taken back */
static unsigned files_back, ip_back, undone; /* undone: a record was, by ip */
static int64_t tries;			     /* as the journal has them */

static int play_clock(clockid_t clock, struct timespec *ret_now)
{
	*ret_now = (struct timespec){ .tv_sec = seconds };
	return 0;
}

bool journal_item(struct node *unused, const char *name, struct journal_item *ret_item)
{
	memset(ret_item, 0, sizeof(*ret_item));
	snprintf(ret_item->state, sizeof(ret_item->state), "%s", state ? state : "");
	return state;
}

int64_t journal_number(struct node *unused, const char *key)
{
	return tries;
}

int journal_set(struct node *unused, const char *key, const char *value)
{
	if (full)
		return -ENOSPC;
	tries = strtoll(value, NULL, 10);
	return 0;
}

bool network_kept(struct node *unused)
{
	return kept;
}

bool network_ip_tried(struct node *unused)
{
	return tried;
}

int network_take_back(struct node *unused)
{
	files_back++;
	full = fills;
	return files_fail;
}

int network_let_go(struct node *unused)
{
	kept &= go_fails != 0;
	return go_fails;
}

int network_ip_forget_older(struct node *unused)
{
	if (!forget_fails)
		tried &= !older;
	return forget_fails;
}

int network_ip_take_back(struct node *unused, struct outcome *outcome)
{
	ip_back++;
	undone += tried;
	tried &= ip_fails != 0;
	return ip_fails;
}

int outcome_fail(struct outcome *outcome, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome->why, sizeof(outcome->why), format, args);
	va_end(args);
	return err;
}

char *exec_output(size_t max, const char *word, ...)
{
	return networkd ? strdup("active\n") : NULL;
}

/* ---- of what comes after the interfaces are found to be there ------------------------------- */

int exec_words(struct outcome *outcome, const char *word, ...)
{
	va_list args;

	va_start(args, word);
	word = va_arg(args, const char *);
	va_end(args);
	reloads += !strcmp(word, "reload");
	return reload_fails;
}

int network_keep(struct node *unused)
{
	kept = true;
	return 0;
}

int network_reaches(const struct node *unused)
{
	return 0;
}

int network_ip_apply(struct work *work, const json_t *links)
{
	tried = true;
	return 0;
}

int network_ip_hold(struct node *unused, const json_t *links)
{
	kept &= hold_fails != 0;
	tried &= hold_fails != 0;
	return hold_fails;
}

int network_ip_remove(struct node *unused, struct outcome *outcome)
{
	return 0;
}

int config_restore(struct node *unused, const char *item, struct outcome *outcome)
{
	return 0;
}

int config_put(struct node *unused, const char *item, const char *path, const char *content,
	       unsigned mode, const char *owner, const char *group, struct outcome *outcome)
{
	return put_fails;
}

const json_t *ip_find(const json_t *links, const char *interface)
{
	return NULL;
}

bool ip_is_parent(const json_t *links, const char *interface)
{
	return false;
}

/* ---- cases ------------------------------------------------------------------------------------
 */

static void test_missing_interface(void)
{
	json_t *desired = json_pack("{s:[{s:s}]}", "links", "interface", "unit-none0");
	struct work *work = calloc(1, sizeof(*work));

	work->node = &node;
	work->desired = desired;
	unit_case = "an interface that is not there";
	CHECK(network_apply(work) == -ENODEV);
	CHECK(!files_back && !ip_back);

	unit_case = "one that is gone after a boot in the middle of a trial";
	kept = true;
	CHECK(network_apply(work) == -ENODEV);
	CHECK(strstr(work->outcome.why, "unit-none0"));
	CHECK(files_back == 1 && ip_back == 1 && !kept && !tries);

	unit_case = "one that is gone, and not all can be taken back";
	kept = tried = true;
	ip_fails = files_fail = -EIO;
	CHECK(network_apply(work) == -ENODEV);
	CHECK(kept && tried && tries == 10);
	free(work);
	json_decref(desired);
}

/* A minute later: is it taken back once more? */
static bool settles(void)
{
	unsigned before = files_back + ip_back;

	seconds += 61;
	network_settle(&node);
	return files_back + ip_back > before;
}

/* Before all others: an agent that has not told networkd anything. */
static void test_start(void)
{
	json_t *desired = json_pack("{s:[{s:s}]}", "links", "interface", "unit-none0");
	struct work *work = calloc(1, sizeof(*work));

	unit_case = "an agent that begins";
	networkd = true;
	state = "healthy";
	tries = 10;
	CHECK(!settles());
	state = "failed";
	tries = 0;
	CHECK(!settles());
	work->node = &node;
	work->desired = desired;
	CHECK(network_apply(work) == -ENODEV && !files_back && !reloads);

	unit_case = "the one before it did not get networkd to reload";
	tries = 7;
	reload_fails = -EIO;
	CHECK(settles() && reloads == 1 && tries == 6);
	CHECK(network_apply(work) == -ENODEV && reloads == 1);
	reload_fails = 0;
	CHECK(settles() && reloads == 2 && !tries);
	CHECK(!settles());
	networkd = false;
	state = NULL;
	files_back = ip_back = 0;
	free(work);
	json_decref(desired);
}

static void test_settle(void)
{
	unit_case = "a trial that is gone on with";
	ip_fails = files_fail = 0;
	state = "installing";
	CHECK(!settles());

	unit_case = "nothing known of a scheme";
	state = NULL;
	CHECK(!settles());

	unit_case = "a file cannot be written";
	state = "failed";
	files_fail = -ENOSPC;
	CHECK(settles());
	CHECK(kept && !tried);

	unit_case = "still not";
	CHECK(settles());
	network_settle(&node);
	CHECK_THAT(files_back == 4, "%u times", files_back);

	unit_case = "there is room, and ip fails";
	files_fail = 0;
	tried = true;
	ip_fails = -EIO;
	CHECK(settles());
	CHECK(!kept && tried);

	unit_case = "all is well";
	ip_fails = 0;
	CHECK(settles());
	CHECK(!kept && !tried);
	CHECK(!settles());
}

static void test_end(void)
{
	unsigned n = 0;

	unit_case = "it can never be put back";
	state = "failed";
	tried = true;
	tries = 10;
	ip_fails = -EIO;
	while (settles() && n < 100)
		n++;
	CHECK_THAT(n == 10, "%u times", n);
	CHECK(tried);

	unit_case = "what an agent before this one left";
	tries = 0;
	kept = true;
	CHECK(!settles());
	CHECK(kept && tried);
}

static void test_trial(void)
{
	json_t *desired = json_pack("{s:[{s:s}]}", "links", "interface", "lo");
	struct work *work = calloc(1, sizeof(*work));
	unsigned before = files_back;

	work->node = &node;
	work->desired = desired;
	unit_case = "the disk is full by the time it is taken back";
	kept = tried = false;
	tries = 0;
	fills = true;
	files_fail = ip_fails = -ENOSPC;
	CHECK(network_apply(work) == -EIO);
	CHECK_THAT(kept && tries == 10 && files_back == before + 1, "%d, %u times", (int)tries,
		   files_back - before);
	fills = full = false;
	files_fail = ip_fails = 0;
	state = "failed";
	CHECK(settles() && !kept && !tried);

	unit_case = "it cannot be kept that it holds";
	put_fails = 0;
	hold_fails = -ENOSPC;
	before = ip_back;
	CHECK(network_apply(work) == -ENOSPC);
	CHECK(ip_back == before + 1 && !kept && !tried);

	unit_case = "it holds, in one commit";
	hold_fails = 0;
	go_fails = -ENOSPC;
	CHECK(!network_apply(work));
	CHECK(ip_back == before + 1 && !kept && !tried);

	unit_case = "by networkd, it cannot be kept that it holds";
	networkd = true;
	before = files_back;
	CHECK(network_apply(work) == -ENOSPC);
	CHECK(files_back == before + 1 && kept && tries == 10);
	go_fails = 0;
	CHECK(settles() && !kept);

	unit_case = "networkd does not reload: its files are back once";
	kept = true;
	reload_fails = -EIO;
	tries = 10;
	before = reloads;
	CHECK(settles() && !kept);
	CHECK(settles() && reloads == before + 2);
	reload_fails = 0;
	CHECK(settles() && reloads == before + 3 && !tries);
	CHECK(!settles() && reloads == before + 3);

	unit_case = "a record of another boot";
	networkd = false;
	older = tried = true;
	tries = 10;
	before = undone;
	forget_fails = -ENOSPC;
	CHECK(!settles() && tried);
	forget_fails = 0;
	CHECK(settles() && !tried && undone == before);
	CHECK(!settles());
	free(work);
	json_decref(desired);
}

int main(void)
{
	test_start();
	test_missing_interface();
	test_settle();
	test_end();
	test_trial();
	return unit_end();
}
