/* SPDX-License-Identifier: BSD-2-Clause */
/* When blobs of bundles before this one go: a bundle, its lock and a clock that are played here. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int play_clock(clockid_t clock, struct timespec *ret_now);
#define clock_gettime play_clock
#include "../../user/agent/cluster_tidy.c"
#include "unit.h"

#define MANIFEST "0000000000000000000000000000000000000000000000000000000000000000"
#define NAMED	 "1111111111111111111111111111111111111111111111111111111111111111"
#define OLD	 "2222222222222222222222222222222222222222222222222222222222222222"
#define BLOBS	 "bundle/blobs/sha256/"

static char directory[] = "/tmp/sluice-tidy-XXXXXX";
static struct node node = { .directory = directory };
static json_t *document;
static const char *state = "healthy";
static int64_t seconds = 5000;
static int opens; /* what opening the bundle says */
static unsigned opened;
static bool held, unlocked;

static int play_clock(clockid_t clock, struct timespec *ret_now)
{
	*ret_now = (struct timespec){ .tv_sec = seconds };
	return 0;
}

bool journal_item(struct node *unused, const char *name, struct journal_item *ret_item)
{
	*ret_item = (struct journal_item){ .id = "i", .run = "r" };
	snprintf(ret_item->state, sizeof(ret_item->state), "%s", state);
	return true;
}

void node_path(const struct node *unused, const char *name, char *ret_path)
{
	/* Nothing is looked at while the next bundle may come. */
	unlocked |= !held;
	snprintf(ret_path, CLUSTER_PATH_MAX, "%s/%s", directory, name);
}

int node_hold_bundle(struct node *unused, const json_t *wanted, struct bundle **ret_bundle,
		     struct outcome *outcome)
{
	opened++;
	held = !opens;
	return opens;
}

void node_let_bundle_go(struct bundle *bundle)
{
	held = false;
}

const struct bundle_manifest *bundle_manifest(const struct bundle *bundle)
{
	static struct bundle_blob blob = { .digest = NAMED };
	static const struct bundle_manifest manifest = { .blobs = &blob, .blobs_count = 1 };

	return &manifest;
}

const char *bundle_manifest_json(const struct bundle *bundle, struct bundle_blob *ret_blob)
{
	*ret_blob = (struct bundle_blob){ .digest = MANIFEST };
	return "{}";
}

static const char *path_of(const char *name)
{
	static char path[CLUSTER_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void put(const char *name, int64_t at)
{
	const struct timespec times[2] = { { .tv_sec = at }, { .tv_sec = at } };
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && !futimens(fd, times));
	close(fd);
}

static bool is_there(const char *name)
{
	return !access(path_of(name), F_OK);
}

static bool tidies(void)
{
	opened = 0;
	return node_tidy(&node, document);
}

int main(void)
{
	static const char *const names[] = { BLOBS MANIFEST, BLOBS NAMED, BLOBS NAMED ".pieces",
					     "tree-0000000000000000" };
	static const char *const old[] = { BLOBS OLD, BLOBS OLD ".partial",
					   "tree-2222222222222222" };

	CHECK(mkdtemp(directory));
	mkdir(path_of("bundle"), 0700);
	mkdir(path_of("bundle/blobs"), 0700);
	mkdir(path_of("bundle/blobs/sha256"), 0700);
	for (size_t i = 0; i < 4; i++)
		put(names[i], 1000);
	/* The clock went back since. */
	for (size_t i = 0; i < 3; i++)
		put(old[i], 1LL << 33);
	document = json_pack("{s:[{s:s, s:s, s:s, s:s}]}", "items", "name", "app", "action",
			     "install", "id", "i", "run", "r");

	unit_case = "an item is not yet as it should be";
	state = "installing";
	CHECK(!tidies() && !opened);
	state = "healthy";

	unit_case = "another bundle is here";
	opens = -ESTALE;
	CHECK(tidies() && is_there(old[0]) && is_there(old[2]));

	unit_case = "the bundle cannot be read";
	opens = -EBADMSG;
	CHECK(!tidies() && opened == 1 && is_there(old[0]));
	unit_case = "nor is it asked for all the time";
	seconds += 59;
	CHECK(!tidies() && !opened);

	unit_case = "it can be read, a minute later";
	opens = 0;
	seconds += 2;
	CHECK(tidies() && opened == 1 && !held && !unlocked);
	for (size_t i = 0; i < 3; i++)
		CHECK_THAT(!is_there(old[i]), "%s", old[i]);
	for (size_t i = 0; i < 4; i++)
		CHECK_THAT(is_there(names[i]), "%s", names[i]);

	for (size_t i = 0; i < 4; i++)
		unlink(path_of(names[i]));
	rmdir(path_of("bundle/blobs/sha256"));
	rmdir(path_of("bundle/blobs"));
	rmdir(path_of("bundle"));
	CHECK(!rmdir(directory));
	json_decref(document);
	return unit_end();
}
