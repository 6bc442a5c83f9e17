/* SPDX-License-Identifier: BSD-2-Clause */
/* Namespaces that are known: found by name and id, looked at in the order they were marked. */
#include "../../user/sluiced/spaces.h"
#include "unit.h"

#define MANY 1000

static void learn(struct spaces *spaces, const char *name, bool listed)
{
	CHECK(!spaces_learn(spaces, name, listed));
}

/* The marked ones, in their order. */
static void check_marked(struct spaces *spaces, const char *const *names, size_t count)
{
	CHECK(spaces->ndirty == count);
	for (size_t i = 0; i < count && spaces->dirty; i++) {
		struct space *space = spaces_take(spaces);

		CHECK_THAT(!strcmp(space->name, names[i]), "%s instead of %s", space->name,
			   names[i]);
	}
	CHECK(!spaces->dirty && !spaces->ndirty);
}

static void test_order(void)
{
	struct spaces spaces = { 0 };

	check_marked(&spaces, NULL, 0);
	learn(&spaces, "a", true);
	learn(&spaces, "b", true);
	learn(&spaces, "a", true); /* keeps its place */
	learn(&spaces, "c", true);
	check_marked(&spaces, (const char *[]){ "a", "b", "c" }, 3);
	spaces_mark(&spaces, spaces_find(&spaces, "b"));
	spaces_mark(&spaces, spaces_find(&spaces, "a"));
	spaces_mark(&spaces, spaces_take(&spaces)); /* behind those that wait */
	check_marked(&spaces, (const char *[]){ "a", "b" }, 2);
	CHECK(spaces.count == 3);
	spaces_free(&spaces);
}

static void test_learn(void)
{
	struct spaces spaces = { 0 };
	struct space *space;

	CHECK(!spaces_find(&spaces, "a"));
	learn(&spaces, "a", false);
	space = spaces_find(&spaces, "a");
	CHECK(space && !space->listed && space->dirty);
	space->retries = 7;
	learn(&spaces, "a", true);
	CHECK(spaces.count == 1 && space->listed && !space->retries);
	/* A tenant's word takes nothing back. */
	learn(&spaces, "a", false);
	CHECK(space->listed);
	spaces_free(&spaces);
}

static unsigned count_with(const struct spaces *spaces, int32_t nsid)
{
	struct space *space = NULL;
	unsigned count = 0;

	while ((space = spaces_next_with(spaces, nsid, space)))
		count++;
	return count;
}

static void test_many(void)
{
	struct spaces spaces = { 0 };
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		learn(&spaces, name, true);
		CHECK(!strcmp(spaces_take(&spaces)->name, name));
	}
	/* Two names a namespace, and one that was never looked into. */
	for (int i = 0; i < MANY; i++) {
		struct space *space = spaces.list[i];

		spaces_set_nsid(&spaces, space, i / 2);
		spaces_set_nsid(&spaces, space, i / 2);
	}
	learn(&spaces, "new", true);
	spaces_take(&spaces);
	CHECK(!count_with(&spaces, -1) && !count_with(&spaces, MANY));
	for (int i = 0; i < MANY / 2; i++)
		CHECK_THAT(count_with(&spaces, i) == 2, "id %d", i);
	/* The kernel gives an id away again. */
	spaces_set_nsid(&spaces, spaces_find(&spaces, "n0"), 5);
	CHECK(count_with(&spaces, 0) == 1 && count_with(&spaces, 5) == 3);
	for (int i = 0; i < MANY; i += 2) {
		snprintf(name, sizeof(name), "n%d", i);
		spaces_forget(&spaces, spaces_find(&spaces, name));
	}
	CHECK(spaces.count == MANY / 2 + 1 && !count_with(&spaces, -1));
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		CHECK_THAT(!spaces_find(&spaces, name) == !(i % 2), "%s", name);
	}
	for (size_t i = 0; i < spaces.count; i++)
		CHECK(spaces.list[i]->at == i);
	spaces_free(&spaces);
}

int main(void)
{
	test_order();
	test_learn();
	test_many();
	return unit_end();
}
