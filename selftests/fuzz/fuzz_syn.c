/* SPDX-License-Identifier: BSD-2-Clause */
/* A kept SYN: a MAC comes of it when its headers add up to its length, and is its sixth byte on. */
#include "../../user/lib/syn.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t untouched[6] = { 1, 2, 3, 4, 5, 6 };
	uint8_t mac[6] = { 1, 2, 3, 4, 5, 6 };
	char *copy = fuzz_copy(data, size);

	if (syn_mac((const uint8_t *)copy, size, mac))
		assert(size >= 54 && size <= 14 + 60 + 60 && !memcmp(mac, data + 6, 6));
	else
		assert(!memcmp(mac, untouched, sizeof(mac)));
	free(copy);
	return 0;
}
