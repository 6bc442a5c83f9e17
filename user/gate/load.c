/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads the BPF programs once for an instance and pins what they need to
 * outlive the daemon. The only file that sees the skeleton: it turns it into
 * descriptors that load_maps.c and load_attach.c work with.
 *
 * Maps are the state: a successor takes the pinned ones, after checking that
 * they are laid out as its own programs believe. Programs are code: always this
 * binary's, replacing the pins of older ones.
 */
#include "load_priv.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sluice.skel.h"

#define INSTANCE_MAX 32
#define SAMPLES	     16 /* of drops, per interface and second */

const char *const load_map_names[] = {
	[LOAD_ABI] = "abi",
	[LOAD_IFACES] = "ifaces",
	[LOAD_BINDINGS] = "bindings",
	[LOAD_LISTENERS] = "listeners",
	[LOAD_SLOTS] = "slots",
	[LOAD_LISTENER_INFO] = "listener_info",
	[LOAD_BUDGET_SOURCE] = "budget_source",
	[LOAD_VERDICTS] = "verdicts",
	[LOAD_TENANTS] = "tenants",
	[LOAD_RELAY] = "relay",
	[LOAD_SAMPLES] = "samples",
};

const char *const load_prog_names[] = {
	[LOAD_GUARD_TC] = "sl_guard_tc",
	[LOAD_STEER] = "sl_steer",
	[LOAD_GUARD_XDP] = "sl_guard_xdp",
	[LOAD_SELECT] = "sl_select",
};

_Static_assert(sizeof(load_map_names) / sizeof(load_map_names[0]) == LOAD_MAPS, "map names");
_Static_assert(sizeof(load_prog_names) / sizeof(load_prog_names[0]) == LOAD_PROGS, "prog names");

/* libbpf explains itself through a print callback only; the last line says most. */
static char complaint[512];

static int keep_complaint(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN) {
		char line[sizeof(complaint)];

		vsnprintf(line, sizeof(line), format, args);
		line[strcspn(line, "\n")] = '\0';
		snprintf(complaint, sizeof(complaint), "%s",
			 strncmp(line, "libbpf: ", 8) ? line : line + 8);
	}
	return 0;
}

const char *load_complaint(void)
{
	return complaint;
}

void load_complaint_clear(void)
{
	complaint[0] = '\0';
}

int load_fail(char **ret_why, int err, const char *format, ...)
{
	va_list args;

	if (!ret_why)
		return err;
	va_start(args, format);
	if (vasprintf(ret_why, format, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return err;
}

static bool instance_valid(const char *instance)
{
	size_t len = strlen(instance);

	return len && len <= INSTANCE_MAX &&
	       strspn(instance,
		      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

static int mount_bpffs(char **ret_why)
{
	struct statfs fs;

	if (!statfs("/sys/fs/bpf", &fs) && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return load_fail(ret_why, -errno, "cannot mount bpffs at /sys/fs/bpf: %m");
	return 0;
}

static int make_dirs(const struct gate_load *load, char **ret_why)
{
	static const char *const below[] = { "", "/maps", "/progs", "/links" };
	char path[PATH_MAX];

	if (mkdir(LOAD_PINS, 0700) < 0 && errno != EEXIST)
		return load_fail(ret_why, -errno, "cannot make " LOAD_PINS ": %m");
	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", load->dir, below[i]);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return load_fail(ret_why, -errno, "cannot make %s: %m", path);
	}
	return 0;
}

static int probe_kernel(struct gate_load_features *features, char **ret_why)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return load_fail(ret_why, -ENOSYS, "cannot tell the kernel's version");
	features->kernel_major = major;
	features->kernel_minor = minor;
	features->kernel_floor = major > 6 || (major == 6 && minor >= 1);
	/* Whether the helper takes such a socket shows only on a packet: go by the version. */
	features->reuseport_assign = major > 6 || (major == 6 && minor >= 6);
	if (!features->kernel_floor)
		return load_fail(ret_why, -ENOSYS, "kernel %u.%u is too old: sluice needs 6.1",
				 major, minor);
	return 0;
}

/* 1: pinned by an earlier daemon and re-used, 0: not there, or -errno. */
static int reuse_map(const struct gate_load *load, struct bpf_map *map, char **ret_why)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/maps/%s", load->dir, bpf_map__name(map));
	fd = bpf_obj_get(path);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return load_fail(ret_why, fd, "cannot open %s: %s", path, strerror(-fd));
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (err) {
		load_fail(ret_why, err, "%s is no map: %s", path, strerror(-err));
		goto out;
	}
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map) ||
	    info.map_flags != bpf_map__map_flags(map)) {
		err = load_fail(ret_why, -EPROTO,
				"%s has another layout (type %u, key %u, value %u, flags %#x; this "
				"version: %u, %u, %u, %#x): detach the tenants with the version "
				"that made it, or use another instance",
				path, info.type, info.key_size, info.value_size, info.map_flags,
				bpf_map__type(map), bpf_map__key_size(map),
				bpf_map__value_size(map), bpf_map__map_flags(map));
		goto out;
	}
	err = bpf_map__reuse_fd(map, fd);
	if (err)
		load_fail(ret_why, err, "cannot re-use %s: %s", path, strerror(-err));
out:
	close(fd);
	return err ? err : 1;
}

/* The version is read before any other map is believed. */
static int check_abi(const struct gate_load *load, char **ret_why)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), key = 0;
	struct sl_abi abi = { 0 };
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/maps/abi", load->dir);
	fd = bpf_obj_get(path);
	if (fd == -ENOENT) {
		/* It is pinned first: others without it are not from any version of us. */
		snprintf(path, sizeof(path), "%s/maps/ifaces", load->dir);
		if (access(path, F_OK) == 0)
			return load_fail(ret_why, -EPROTO,
					 "%s/maps lacks its \"abi\" map: remove %s", load->dir,
					 load->dir);
		return 0;
	}
	if (fd < 0)
		return load_fail(ret_why, fd, "cannot open %s: %s", path, strerror(-fd));
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && (info.value_size != sizeof(abi) || info.key_size != sizeof(key)))
		err = -EPROTO;
	if (!err)
		err = bpf_map_lookup_elem(fd, &key, &abi);
	if (!err && abi.version != SL_ABI_VERSION)
		err = -EPROTO;
	close(fd);
	if (err)
		load_fail(ret_why, err,
			  "pins in %s are of layout %u, this version needs %u: detach the tenants "
			  "with the version that made them, or use another instance",
			  load->dir, abi.version, SL_ABI_VERSION);
	return err;
}

static void size_maps(struct sluice *skeleton, const struct gate_load_settings *settings)
{
	uint32_t interfaces = settings->interfaces ?: 4096;
	uint32_t listeners = interfaces * (settings->listeners ?: 32);
	struct bpf_map *map;

	bpf_map__set_max_entries(skeleton->maps.ifaces, interfaces);
	bpf_map__set_max_entries(skeleton->maps.verdicts, interfaces);
	bpf_map__set_max_entries(skeleton->maps.tenants, interfaces);
	bpf_map__set_max_entries(skeleton->maps.relay, interfaces);
	bpf_map__set_max_entries(skeleton->maps.listeners, listeners);
	bpf_map__set_max_entries(skeleton->maps.listener_info, listeners);
	bpf_map__set_max_entries(skeleton->maps.slots, listeners);
	bpf_map__set_max_entries(skeleton->maps.bindings, settings->bindings ?: 65536);
	bpf_map__set_max_entries(skeleton->maps.budget_source, settings->sources ?: 65536);
	/* libbpf would pin and find them by itself, but check less than reuse_map() does. */
	bpf_object__for_each_map(map, skeleton->obj) bpf_map__set_pin_path(map, NULL);
}

static int pin_maps(const struct gate_load *load, const bool *reused, char **ret_why)
{
	const struct sl_abi abi = { .version = SL_ABI_VERSION };
	const __u32 zero = 0;
	char path[PATH_MAX];
	int err;

	if (!reused[LOAD_ABI]) {
		err = bpf_map_update_elem(load->map[LOAD_ABI], &zero, &abi, BPF_ANY);
		if (err)
			return load_fail(ret_why, err, "cannot write map abi: %s", strerror(-err));
	}
	for (int i = 0; i < LOAD_MAPS; i++) {
		if (reused[i])
			continue;
		snprintf(path, sizeof(path), "%s/maps/%s", load->dir, load_map_names[i]);
		err = bpf_obj_pin(load->map[i], path);
		if (err)
			return load_fail(ret_why, err, "cannot pin %s: %s", path, strerror(-err));
	}
	return 0;
}

/* By rename, so that the pin is never missing. */
static int pin_progs(const struct gate_load *load, char **ret_why)
{
	char fresh[PATH_MAX], path[PATH_MAX];
	int err;

	for (int i = 0; i < LOAD_PROGS; i++) {
		snprintf(path, sizeof(path), "%s/progs/%s", load->dir, load_prog_names[i]);
		snprintf(fresh, sizeof(fresh), "%s/progs/%s_new", load->dir, load_prog_names[i]);
		unlink(fresh);
		err = bpf_obj_pin(load->prog[i], fresh);
		if (err)
			return load_fail(ret_why, err, "cannot pin %s: %s", fresh, strerror(-err));
		if (rename(fresh, path) < 0) {
			err = -errno;
			unlink(fresh);
			return load_fail(ret_why, err, "cannot pin %s: %s", path, strerror(-err));
		}
	}
	return 0;
}

/* What a failed start made: only directories that stayed empty go. */
static void remove_dirs(const struct gate_load *load)
{
	static const char *const below[] = { "/links", "/progs", "/maps", "" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", load->dir, below[i]);
		rmdir(path);
	}
	rmdir(LOAD_PINS);
}

/* With the pins locked: two daemons of one instance must not both make the maps. */
static int load_programs(struct gate_load *load, const struct gate_load_settings *settings,
			 char **ret_why)
{
	bool reused[LOAD_MAPS] = { false };
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	struct bpf_map *map;
	int err;

	err = check_abi(load, ret_why);
	if (err)
		return err;
	load->skeleton = sluice__open();
	if (!load->skeleton)
		return load_fail(ret_why, -errno, "cannot open the BPF object: %s",
				 load_complaint());
	size_maps(load->skeleton, settings);
	load->skeleton->rodata->settings.sample_interval_ns = 1000000000u / SAMPLES;
	load->skeleton->rodata->settings.sample_burst = SAMPLES;
	load->skeleton->rodata->settings.kern_ctx =
		load->features.kernel_major > 6 || load->features.kernel_minor >= 2;
	for (int i = 0; i < LOAD_MAPS; i++) {
		map = bpf_object__find_map_by_name(load->skeleton->obj, load_map_names[i]);
		if (!map)
			return load_fail(ret_why, -EPROTO, "the BPF object lacks map %s",
					 load_map_names[i]);
		err = reuse_map(load, map, ret_why);
		if (err < 0)
			return err;
		reused[i] = err;
	}
	err = sluice__load(load->skeleton);
	if (err)
		return load_fail(ret_why, err, "the kernel refused the BPF programs: %s (%s)",
				 strerror(-err), load_complaint());
	for (int i = 0; i < LOAD_MAPS; i++)
		load->map[i] =
			bpf_object__find_map_fd_by_name(load->skeleton->obj, load_map_names[i]);
	load->prog[LOAD_GUARD_TC] = bpf_program__fd(load->skeleton->progs.sl_guard_tc);
	load->prog[LOAD_STEER] = bpf_program__fd(load->skeleton->progs.sl_steer);
	load->prog[LOAD_GUARD_XDP] = bpf_program__fd(load->skeleton->progs.sl_guard_xdp);
	load->prog[LOAD_SELECT] = bpf_program__fd(load->skeleton->progs.sl_select);
	err = bpf_obj_get_info_by_fd(load->map[LOAD_IFACES], &info, &len);
	if (err)
		return load_fail(ret_why, err, "cannot query map ifaces: %s", strerror(-err));
	load->ifaces_id = info.id;
	err = pin_maps(load, reused, ret_why);
	return err ? err : pin_progs(load, ret_why);
}

static void probe_maps(struct gate_load *load)
{
	struct sl_iface_key key, next;
	struct sl_verdicts *values = calloc(load->cpus, sizeof(*values));
	__u32 count = 1;
	int err;

	load->features.xdp_frags = load->features.xdp_links = true; /* the programs are loaded */
	if (!values)
		return;
	err = bpf_map_lookup_batch(load->map[LOAD_VERDICTS], NULL, &next, &key, values, &count,
				   NULL);
	load->features.map_batch = !err || err == -ENOENT || err == -ENOSPC;
	free(values);
}

int gate_load_open(const char *instance, const struct gate_load_settings *settings,
		   struct gate_load **ret, char **ret_why)
{
	static const struct gate_load_settings defaults;
	struct gate_load *load;
	int lock, err;

	if (ret_why)
		*ret_why = NULL;
	if (!instance_valid(instance))
		return load_fail(ret_why, -EINVAL,
				 "an instance is named by letters, digits, - and _");
	load = calloc(1, sizeof(*load));
	if (!load)
		return -ENOMEM;
	libbpf_set_print(keep_complaint);
	load_complaint_clear();
	snprintf(load->dir, sizeof(load->dir), LOAD_PINS "/%s", instance);
	load->cpus = libbpf_num_possible_cpus();
	err = load->cpus < 0 ? load->cpus : 0;
	if (!err)
		err = probe_kernel(&load->features, ret_why);
	if (!err)
		err = mount_bpffs(ret_why);
	if (!err)
		err = make_dirs(load, ret_why);
	if (err)
		goto fail;
	lock = open(load->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) < 0) {
		err = load_fail(ret_why, -errno, "cannot lock %s: %m", load->dir);
	} else {
		err = load_programs(load, settings ? settings : &defaults, ret_why);
		if (!err)
			err = load_ring_open(load);
		if (err)
			remove_dirs(load);
	}
	if (lock >= 0)
		close(lock);
	if (err)
		goto fail;
	probe_maps(load);
	*ret = load;
	return 0;
fail:
	gate_load_close(load);
	return err;
}

void gate_load_close(struct gate_load *load)
{
	if (!load)
		return;
	load_ring_close(load);
	load_inspect_close(load);
	sluice__destroy(load->skeleton);
	free(load);
}

/* Removes every name in DIR/below, then the directory. */
static int unpin_dir(const char *instance, const char *below)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int err = 0;

	snprintf(path, sizeof(path), "%s/%s", instance, below);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT && !err)
			err = -errno;
	}
	closedir(dir);
	if (rmdir(path) < 0 && errno != ENOENT && !err)
		err = -errno;
	return err;
}

int load_unpin(const char *instance)
{
	static const char *const below[] = { "links", "progs", "maps" };
	int err, first = 0;

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		err = unpin_dir(instance, below[i]);
		if (err && !first)
			first = err;
	}
	if (rmdir(instance) < 0 && errno != ENOENT && !first)
		first = -errno;
	rmdir(LOAD_PINS); /* only when this was the last instance */
	return first;
}

int gate_load_unpin(struct gate_load *load)
{
	return load_unpin(load->dir);
}

const struct gate_load_features *gate_load_features(const struct gate_load *load)
{
	return &load->features;
}

const char *gate_load_pin_dir(const struct gate_load *load)
{
	return load->dir;
}
