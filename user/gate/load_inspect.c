/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pins of an instance for somebody who only looks: nothing is loaded, made or changed. What
 * is missing or of another layout is said in words.
 */
#include "load_priv.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

bool gate_load_bpffs_mounted(void)
{
	struct statfs fs;

	return !statfs("/sys/fs/bpf", &fs) && fs.f_type == BPF_FS_MAGIC;
}

static void look_at_kernel(struct gate_load_features *features)
{
	struct utsname name;

	if (uname(&name) ||
	    sscanf(name.release, "%u.%u", &features->kernel_major, &features->kernel_minor) != 2)
		return;
	features->kernel_floor = features->kernel_major > 6 ||
				 (features->kernel_major == 6 && features->kernel_minor >= 1);
	features->reuseport_assign = features->kernel_major > 6 ||
				     (features->kernel_major == 6 && features->kernel_minor >= 6);
}

static int open_pins(struct gate_load *load, const char *below, const char *const *names,
		     unsigned count, int *ret_fds, char **ret_why)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", load->dir, below, names[i]);
		ret_fds[i] = bpf_obj_get(path);
		if (ret_fds[i] < 0)
			return load_fail(ret_why, ret_fds[i], "%s: %s", path,
					 strerror(-ret_fds[i]));
	}
	return 0;
}

static int check_abi(struct gate_load *load, char **ret_why)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), key = 0;
	struct sl_abi abi = { 0 };
	int err = bpf_obj_get_info_by_fd(load->map[LOAD_ABI], &info, &len);

	if (!err && (info.value_size != sizeof(abi) || info.key_size != sizeof(key)))
		err = -EPROTO;
	if (!err)
		err = bpf_map_lookup_elem(load->map[LOAD_ABI], &key, &abi);
	if (!err && abi.version != SL_ABI_VERSION)
		err = -EPROTO;
	if (err)
		return load_fail(ret_why, err, "the maps are of layout %u, this program's is %u",
				 abi.version, SL_ABI_VERSION);
	len = sizeof(info);
	err = bpf_obj_get_info_by_fd(load->map[LOAD_IFACES], &info, &len);
	if (err)
		return load_fail(ret_why, err, "map ifaces: %s", strerror(-err));
	load->ifaces_id = info.id;
	return 0;
}

static int forget(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

int gate_load_inspect(const char *instance, struct gate_load **ret, char **ret_why)
{
	struct gate_load *load = calloc(1, sizeof(*load));
	int err;

	*ret_why = NULL;
	if (!load)
		return -ENOMEM;
	libbpf_set_print(forget);
	snprintf(load->dir, sizeof(load->dir), LOAD_PINS "/%s", instance);
	for (int i = 0; i < LOAD_MAPS; i++)
		load->map[i] = -1;
	for (int i = 0; i < LOAD_PROGS; i++)
		load->prog[i] = -1;
	load->inspected = true;
	look_at_kernel(&load->features);
	load->cpus = libbpf_num_possible_cpus();
	err = load->cpus < 0 ? load->cpus : 0;
	if (!err && access(load->dir, F_OK))
		err = load_fail(ret_why, -ENOENT, "there is no %s", load->dir);
	if (!err)
		err = open_pins(load, "maps", load_map_names, LOAD_MAPS, load->map, ret_why);
	if (!err)
		err = check_abi(load, ret_why);
	if (!err)
		err = open_pins(load, "progs", load_prog_names, LOAD_PROGS, load->prog, ret_why);
	if (err) {
		gate_load_close(load);
		return err;
	}
	*ret = load;
	return 0;
}

void load_inspect_close(struct gate_load *load)
{
	for (int i = 0; load->inspected && i < LOAD_MAPS; i++)
		if (load->map[i] >= 0)
			close(load->map[i]);
	for (int i = 0; load->inspected && i < LOAD_PROGS; i++)
		if (load->prog[i] >= 0)
			close(load->prog[i]);
}
