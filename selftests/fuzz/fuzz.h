/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fuzz targets share. A target is one file: LLVMFuzzerTestOneInput() runs a module
 * on the input and asserts what must hold for every input.
 */
#ifndef SELFTESTS_FUZZ_H
#define SELFTESTS_FUZZ_H

#undef NDEBUG
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly these bytes, so that AddressSanitizer sees a read behind them. */
static inline char *fuzz_copy(const void *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert(copy);
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

/* The input's bytes one after the other; zeroes when there are no more. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t fuzz_next(struct fuzz_input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

/* A number below n (above 0) that depends on the input and on salt alone. */
static inline size_t fuzz_pick(const uint8_t *data, size_t size, unsigned salt, size_t n)
{
	uint32_t hash = 2166136261u ^ salt;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return (hash ^ hash >> 15) % n;
}

#endif
