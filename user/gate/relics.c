/* SPDX-License-Identifier: BSD-2-Clause */
#include "relics.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load_priv.h"

#define ENTRY_MAX 512 /* bytes of a key or value, more than any version's */

/* What keys and values of map "ifaces" begin with in every version (abi.h). */
struct key_start {
	uint64_t netns_cookie;
	uint32_t ifindex;
} __attribute__((packed));

struct value_start {
	uint32_t tenant, l3_ifindex;
};

static int open_pin(const char *dir, enum load_map map, struct bpf_map_info *ret_info)
{
	__u32 len = sizeof(*ret_info);
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/maps/%s", dir, load_map_names[map]);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	*ret_info = (struct bpf_map_info){ 0 };
	err = bpf_obj_get_info_by_fd(fd, ret_info, &len);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* 0 when there is none that can be read: gate_load_open() says what is wrong with that. */
static uint32_t layout_of(const char *dir)
{
	struct bpf_map_info info;
	struct sl_abi abi = { 0 };
	const __u32 zero = 0;
	int fd = open_pin(dir, LOAD_ABI, &info);

	if (fd < 0)
		return 0;
	if (info.key_size != sizeof(zero) || info.value_size != sizeof(abi) ||
	    bpf_map_lookup_elem(fd, &zero, &abi))
		abi.version = 0;
	close(fd);
	return abi.version;
}

static int add(struct relics *relics, const void *key, const void *value)
{
	const struct key_start *start = key;
	struct value_start of;
	struct relic *grown = reallocarray(relics->list, relics->count + 1, sizeof(*relics->list));

	if (!grown)
		return -ENOMEM;
	memcpy(&of, value, sizeof(of));
	relics->list = grown;
	relics->list[relics->count++] = (struct relic){
		.netns_cookie = start->netns_cookie,
		.ifindex = start->ifindex,
		.l3_ifindex = of.l3_ifindex,
	};
	return 0;
}

static int read_interfaces(const char *dir, struct relics *relics)
{
	_Alignas(8) char key[ENTRY_MAX], next[ENTRY_MAX], value[ENTRY_MAX];
	struct bpf_map_info info;
	const void *at = NULL;
	int fd = open_pin(dir, LOAD_IFACES, &info), err = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (info.key_size < sizeof(struct key_start) || info.key_size > ENTRY_MAX ||
	    info.value_size < sizeof(struct value_start) || info.value_size > ENTRY_MAX)
		err = -EPROTO;
	while (!err && !(err = bpf_map_get_next_key(fd, at, next))) {
		memcpy(key, next, info.key_size);
		at = key;
		if (!bpf_map_lookup_elem(fd, key, value))
			err = add(relics, key, value);
	}
	close(fd);
	return err == -ENOENT ? 0 : err;
}

int relics_take(const char *instance, struct relics *ret)
{
	char dir[PATH_MAX];
	uint32_t layout;
	int err;

	*ret = (struct relics){ 0 };
	snprintf(dir, sizeof(dir), LOAD_PINS "/%s", instance);
	layout = layout_of(dir);
	if (!layout || layout == SL_ABI_VERSION)
		return 0;
	err = read_interfaces(dir, ret);
	if (!err)
		err = load_unpin(dir);
	if (!err)
		ret->layout = layout;
	return err;
}

void relics_free(struct relics *relics)
{
	free(relics->list);
	*relics = (struct relics){ 0 };
}
