/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a configuration: refused with a reason, or a tree that survives the way to
 * a worker unchanged.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../user/lib/conf.h"

static void compare(int a, int b)
{
	struct stat st_a, st_b;
	void *map_a, *map_b;

	assert(!fstat(a, &st_a) && !fstat(b, &st_b) && st_a.st_size == st_b.st_size);
	map_a = mmap(NULL, (size_t)st_a.st_size, PROT_READ, MAP_PRIVATE, a, 0);
	map_b = mmap(NULL, (size_t)st_b.st_size, PROT_READ, MAP_PRIVATE, b, 0);
	assert(map_a != MAP_FAILED && map_b != MAP_FAILED);
	assert(!memcmp(map_a, map_b, (size_t)st_a.st_size));
	munmap(map_a, (size_t)st_a.st_size);
	munmap(map_b, (size_t)st_b.st_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *conf = NULL, *copy = NULL;
	char *why = NULL;
	int err, fd, again;

	err = conf_parse("f", data, size, &conf, &why);
	if (err) {
		assert(why && !strncmp(why, "f:", 2) && !conf);
		free(why);
		return 0;
	}
	assert(conf && !why);
	fd = conf_send(conf);
	assert(fd >= 0 && !conf_recv(fd, &copy));
	again = conf_send(copy);
	assert(again >= 0);
	compare(fd, again);
	close(again);
	close(fd);
	conf_free(copy);
	conf_free(conf);
	return 0;
}
