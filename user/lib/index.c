/* SPDX-License-Identifier: BSD-2-Clause */
#include "index.h"

#include <stdlib.h>

#define SIZE_FIRST 64

/* FNV-1a; its low bits are mixed again, since they choose the bucket. */
uint64_t index_hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return index_hash_number(hash);
}

/* The finish of splitmix64. */
uint64_t index_hash_number(uint64_t number)
{
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

static struct index_node **bucket_of(struct index *index, uint64_t hash)
{
	return index->size ? &index->buckets[hash & (index->size - 1)] : &index->lone;
}

static void link_node(struct index_node **bucket, struct index_node *node)
{
	node->next = *bucket;
	node->at = bucket;
	if (node->next)
		node->next->at = &node->next;
	*bucket = node;
}

static void move_all(struct index *to, struct index_node *node)
{
	struct index_node *next;

	for (; node; node = next) {
		next = node->next;
		link_node(bucket_of(to, node->hash), node);
	}
}

static void grow(struct index *index)
{
	struct index old = *index;
	size_t size = old.size ? 2 * old.size : SIZE_FIRST;
	struct index_node **buckets = calloc(size, sizeof(struct index_node *));

	if (!buckets)
		return;
	index->buckets = buckets;
	index->size = size;
	index->lone = NULL;
	move_all(index, old.lone);
	for (size_t i = 0; i < old.size; i++)
		move_all(index, old.buckets[i]);
	free(old.buckets);
}

void index_add(struct index *index, struct index_node *node, uint64_t hash)
{
	if (index->count >= index->size)
		grow(index);
	node->hash = hash;
	link_node(bucket_of(index, hash), node);
	index->count++;
}

void index_remove(struct index *index, struct index_node *node)
{
	if (!node->at)
		return;
	*node->at = node->next;
	if (node->next)
		node->next->at = node->at;
	*node = (struct index_node){ 0 };
	index->count--;
}

static struct index_node *with_hash(struct index_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct index_node *index_first(const struct index *index, uint64_t hash)
{
	return with_hash(index->size ? index->buckets[hash & (index->size - 1)] : index->lone,
			 hash);
}

struct index_node *index_again(const struct index_node *node)
{
	return with_hash(node->next, node->hash);
}

void index_free(struct index *index)
{
	free(index->buckets);
	*index = (struct index){ 0 };
}
