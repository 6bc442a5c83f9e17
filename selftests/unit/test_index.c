/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects found by hash: many, some of one hash, removed while they are walked. */
#include "../../user/lib/index.h"
#include "unit.h"

#define MANY 5000

struct object {
	unsigned number;
	struct index_node node;
};

static struct object objects[MANY];

static struct object *object_of(struct index_node *node)
{
	return (struct object *)((char *)node - offsetof(struct object, node));
}

static unsigned count_of(const struct index *index, uint64_t hash)
{
	unsigned count = 0;

	for (struct index_node *node = index_first(index, hash); node; node = index_again(node)) {
		CHECK(node->hash == hash);
		count++;
	}
	return count;
}

static void test_many(void)
{
	struct index index = { 0 };

	CHECK(!index_first(&index, 1));
	for (unsigned i = 0; i < MANY; i++) {
		objects[i] = (struct object){ .number = i };
		index_add(&index, &objects[i].node, index_hash_number(i));
	}
	CHECK(index.count == MANY && index.size >= MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct index_node *node = index_first(&index, index_hash_number(i));

		CHECK_THAT(node && object_of(node)->number == i, "object %u", i);
	}
	for (unsigned i = 0; i < MANY; i += 2)
		index_remove(&index, &objects[i].node);
	index_remove(&index, &objects[0].node); /* again: harmless */
	CHECK(index.count == MANY / 2);
	for (unsigned i = 0; i < MANY; i++)
		CHECK_THAT(count_of(&index, index_hash_number(i)) == i % 2, "object %u", i);
	index_free(&index);
	CHECK(!index_first(&index, index_hash_number(1)));
}

static void test_one_hash(void)
{
	struct index index = { 0 };
	struct index_node *node, *next;
	unsigned met = 0;

	for (unsigned i = 0; i < 200; i++) {
		objects[i] = (struct object){ .number = i };
		/* 64 apart: one bucket at first, not one hash. */
		index_add(&index, &objects[i].node, i % 2 ? 7 : 71);
	}
	CHECK(count_of(&index, 7) == 100 && count_of(&index, 71) == 100);
	for (node = index_first(&index, 7); node; node = next) {
		next = index_again(node);
		index_remove(&index, node);
		met++;
	}
	CHECK(met == 100 && count_of(&index, 7) == 0 && count_of(&index, 71) == 100);
	index_free(&index);
}

static void test_hashes(void)
{
	CHECK(index_hash_text("") != index_hash_text("a"));
	CHECK(index_hash_text("ab") != index_hash_text("ba"));
	CHECK(index_hash_text("qrouter-1") == index_hash_text("qrouter-1"));
}

int main(void)
{
	test_many();
	test_one_hash();
	test_hashes();
	return unit_end();
}
