/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs onto interfaces and off again: TC filters by netlink in the calling
 * thread's network namespace, XDP by pinned links.
 *
 * Whose a filter is, is told by its program's maps: one that uses this
 * instance's "ifaces" is ours, whatever version loaded it. One of our name whose
 * "ifaces" no instance pins any more is a left-over and treated as ours too.
 */
#include "load_priv.h"
#include "netlink.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <netlink/netlink.h>
#include <netlink/route/classifier.h>
#include <netlink/route/tc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUARD_PRIORITY 16
#define STEER_PRIORITY 17
#define GUARD_HANDLE   1
/* The steer filter's handle remembers whether the qdisc was there before us. */
#define STEER_HANDLE_FOUND 1
#define STEER_HANDLE_MADE  2

#define PROGRAM_MAPS 16 /* more than any program of ours uses */

enum owner { NOBODY, OURS, FOREIGN };

/*
 * The pinned "ifaces" of any instance? Then a program that uses it is that instance's. 1, 0 or
 * -errno.
 */
static int pinned_somewhere(uint32_t map_id)
{
	struct dirent *entry;
	int found = 0;
	DIR *dir = opendir(LOAD_PINS);

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!found && (entry = readdir(dir))) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);
		char path[PATH_MAX];
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), LOAD_PINS "/%s/maps/%s", entry->d_name,
			 load_map_names[LOAD_IFACES]);
		fd = bpf_obj_get(path);
		if (fd == -ENOENT || fd == -ENOTDIR)
			continue;
		found = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &len);
		if (fd >= 0)
			close(fd);
		if (!found)
			found = info.id == map_id;
	}
	closedir(dir);
	return found;
}

/* 1, 0 or -errno. */
static int is_named_ifaces(uint32_t map_id)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int err, fd = bpf_map_get_fd_by_id(map_id);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	return err ? err : strcmp(info.name, load_map_names[LOAD_IFACES]) == 0;
}

/* Has the instance whose "ifaces" this is gone without a trace? 1, 0 or -errno. */
static int is_left_over(uint32_t map_id)
{
	int named = is_named_ifaces(map_id), pinned;

	if (named != 1)
		return named;
	pinned = pinned_somewhere(map_id);
	return pinned < 0 ? pinned : !pinned;
}

/* An enum owner, or -errno: whose it is could not be seen. */
static int program_owner(const struct gate_load *load, uint32_t prog_id, enum load_prog expected,
			 char *ret_name, size_t size)
{
	__u32 maps[PROGRAM_MAPS] = { 0 };
	struct bpf_prog_info info = { .map_ids = (uintptr_t)maps, .nr_map_ids = PROGRAM_MAPS };
	__u32 len = sizeof(info);
	int left_over = 0, err, fd = bpf_prog_get_fd_by_id(prog_id);

	/* Replaced since it was met. */
	if (fd == -ENOENT)
		return -EAGAIN;
	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (err)
		return err;
	snprintf(ret_name, size, "program %u (%s)", prog_id, info.name);
	for (__u32 i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS; i++) {
		if (maps[i] == load->ifaces_id)
			return OURS;
		if (!left_over && !strcmp(info.name, load_prog_names[expected]))
			left_over = is_left_over(maps[i]);
	}
	return left_over < 0 ? left_over : left_over ? OURS : FOREIGN;
}

static struct bpf_tc_hook ingress(uint32_t ifindex)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = ifindex,
		.attach_point = BPF_TC_INGRESS,
	};
}

/* The kernel was not asked, or could not answer. */
static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS ||
	       err == -EAGAIN || err == -EINTR;
}

/* Who has this place? As program_owner(); *ret_id is the program there. */
static int filter_owner(const struct gate_load *load, uint32_t ifindex, __u32 priority,
			__u32 handle, enum load_prog expected, uint32_t *ret_id, char *ret_name,
			size_t size)
{
	struct bpf_tc_hook hook = ingress(ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
	int err = bpf_tc_query(&hook, &opts);

	if (is_shortage(err))
		return err;
	/* No qdisc, no chain, no filter and no device all mean: nobody. */
	if (err)
		return NOBODY;
	*ret_id = opts.prog_id;
	return program_owner(load, opts.prog_id, expected, ret_name, size);
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static int attach_filter(struct gate_load *load, uint32_t ifindex, __u32 priority, __u32 handle,
			 enum load_prog which, char **ret_why)
{
	struct bpf_tc_hook hook = ingress(ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority,
		    .prog_fd = load->prog[which], .flags = BPF_TC_F_REPLACE);
	char name[64];
	uint32_t id;
	int err = filter_owner(load, ifindex, priority, handle, which, &id, name, sizeof(name));

	if (err < 0)
		return load_fail(ret_why, err, "the program at TC ingress priority %u: %s",
				 priority, strerror(-err));
	if (err == FOREIGN)
		return load_fail(ret_why, -EBUSY, "TC ingress priority %u is taken by %s", priority,
				 name);
	if (err == OURS && id == program_id(load->prog[which]))
		return 0;
	load_complaint_clear();
	err = bpf_tc_attach(&hook, &opts);
	/* Another kind of filter (flower, u32) holds the priority. */
	if (err == -EINVAL || err == -EEXIST)
		return load_fail(ret_why, -EBUSY, "TC ingress priority %u is taken: %s", priority,
				 load_complaint());
	if (err)
		return load_fail(ret_why, err, "cannot attach %s to interface %u: %s",
				 load_prog_names[which], ifindex, strerror(-err));
	return 0;
}

static int detach_filter(struct gate_load *load, uint32_t ifindex, __u32 priority, __u32 handle,
			 enum load_prog which)
{
	struct bpf_tc_hook hook = ingress(ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
	char name[64];
	uint32_t id;
	int err = filter_owner(load, ifindex, priority, handle, which, &id, name, sizeof(name));

	if (err != OURS)
		return err < 0 ? err : 0;
	err = bpf_tc_detach(&hook, &opts);
	return err ? err : 1;
}

/* Filters of everybody under one side of clsact, or -errno. */
static int count_filters(struct nl_sock *sock, uint32_t ifindex, uint32_t parent)
{
	struct nl_cache *cache;
	int count;

	if (rtnl_cls_alloc_cache(sock, ifindex, parent, &cache) < 0)
		return -EIO;
	count = nl_cache_nitems(cache);
	nl_cache_free(cache);
	return count;
}

static int remove_empty_qdisc(uint32_t ifindex)
{
	struct bpf_tc_hook hook = ingress(ifindex);
	struct nl_sock *sock = netlink_open();
	int in, out, err = 0;

	if (!sock)
		return -errno;
	in = count_filters(sock, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
	out = count_filters(sock, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));
	nl_socket_free(sock);
	if (in < 0 || out < 0)
		return -EIO;
	if (in == 0 && out == 0) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* the qdisc itself */
		err = bpf_tc_hook_destroy(&hook);
	}
	return err == -ENOENT || err == -EINVAL ? 0 : err;
}

int gate_load_attach_tc(struct gate_load *load, uint32_t ifindex, bool *ret_made_qdisc,
			char **ret_why)
{
	struct bpf_tc_hook hook = ingress(ifindex);
	bool made;
	uint32_t id;
	char name[64];
	int err, owner = OURS;

	if (ret_why)
		*ret_why = NULL;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	load_complaint_clear();
	err = bpf_tc_hook_create(&hook);
	if (err && err != -EEXIST)
		return load_fail(ret_why, err, "cannot add a clsact qdisc to interface %u: %s (%s)",
				 ifindex, strerror(-err), load_complaint());
	if (err)
		owner = filter_owner(load, ifindex, STEER_PRIORITY, STEER_HANDLE_MADE, LOAD_STEER,
				     &id, name, sizeof(name));
	if (owner < 0)
		return load_fail(ret_why, owner, "the program at TC ingress priority %u: %s",
				 STEER_PRIORITY, strerror(-owner));
	made = owner == OURS;
	err = attach_filter(load, ifindex, GUARD_PRIORITY, GUARD_HANDLE, LOAD_GUARD_TC, ret_why);
	if (!err) {
		err = attach_filter(load, ifindex, STEER_PRIORITY,
				    made ? STEER_HANDLE_MADE : STEER_HANDLE_FOUND, LOAD_STEER,
				    ret_why);
		if (err)
			detach_filter(load, ifindex, GUARD_PRIORITY, GUARD_HANDLE, LOAD_GUARD_TC);
	}
	if (err) {
		if (made)
			remove_empty_qdisc(ifindex);
		return err;
	}
	if (ret_made_qdisc)
		*ret_made_qdisc = made;
	return 0;
}

int gate_load_detach_tc(struct gate_load *load, uint32_t ifindex)
{
	int made, found, guard, err;

	/* Steer first: a guard without steer only drops less than it could count. */
	made = detach_filter(load, ifindex, STEER_PRIORITY, STEER_HANDLE_MADE, LOAD_STEER);
	found = detach_filter(load, ifindex, STEER_PRIORITY, STEER_HANDLE_FOUND, LOAD_STEER);
	guard = detach_filter(load, ifindex, GUARD_PRIORITY, GUARD_HANDLE, LOAD_GUARD_TC);
	err = made == 1 ? remove_empty_qdisc(ifindex) : 0;
	if (made < 0)
		return made;
	if (found < 0)
		return found;
	return guard < 0 ? guard : err;
}

int gate_load_attached_tc(struct gate_load *load, uint32_t ifindex)
{
	char name[64];
	uint32_t id;
	int owner = filter_owner(load, ifindex, GUARD_PRIORITY, GUARD_HANDLE, LOAD_GUARD_TC, &id,
				 name, sizeof(name));

	if (owner == OURS)
		owner = filter_owner(load, ifindex, STEER_PRIORITY, STEER_HANDLE_MADE, LOAD_STEER,
				     &id, name, sizeof(name));
	else if (owner >= 0)
		return 0;
	if (owner >= 0 && owner != OURS)
		owner = filter_owner(load, ifindex, STEER_PRIORITY, STEER_HANDLE_FOUND, LOAD_STEER,
				     &id, name, sizeof(name));
	return owner < 0 ? owner : owner == OURS;
}

static void link_path(const struct gate_load *load, const struct sl_iface_key *key,
		      enum gate_load_xdp mode, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/links/xdp-%s-%llu-%u", load->dir,
		 mode == GATE_LOAD_XDP_NATIVE ? "native" : "generic",
		 (unsigned long long)key->netns_cookie, key->ifindex);
}

/* The interface a pinned link is on: 0 when that is gone. */
static int link_ifindex(int fd, uint32_t *ret)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (err)
		return err;
	if (info.type != BPF_LINK_TYPE_XDP)
		return -EPROTO;
	*ret = info.xdp.ifindex;
	return 0;
}

/* Detaching at once: somebody else may still hold the link open. */
static int drop_link(const char *path)
{
	int fd = bpf_obj_get(path);

	if (fd == -ENOENT)
		return 0;
	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* 1: our link is there and now runs the present program, 0: it is not, or -errno. */
static int renew_link(struct gate_load *load, const char *path)
{
	uint32_t ifindex = 0;
	int fd = bpf_obj_get(path);
	int err;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	err = link_ifindex(fd, &ifindex);
	if (!err && ifindex && bpf_link_update(fd, load->prog[LOAD_GUARD_XDP], NULL))
		ifindex = 0;
	close(fd);
	if (err && err != -EPROTO)
		return err;
	/* A zombie, or not what it should be: made anew. */
	return err || !ifindex ? drop_link(path) : 1;
}

int gate_load_attach_xdp(struct gate_load *load, const struct sl_iface_key *key,
			 enum gate_load_xdp mode, char **ret_why)
{
	const bool native = mode == GATE_LOAD_XDP_NATIVE;
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	char path[PATH_MAX], other[PATH_MAX];
	int fd, err;

	if (ret_why)
		*ret_why = NULL;
	link_path(load, key, mode, path, sizeof(path));
	link_path(load, key, native ? GATE_LOAD_XDP_GENERIC : GATE_LOAD_XDP_NATIVE, other,
		  sizeof(other));
	err = renew_link(load, path);
	if (err == 1)
		return drop_link(other);
	if (!err)
		err = drop_link(other);
	if (err)
		return load_fail(ret_why, err, "cannot replace %s: %s", path, strerror(-err));
	fd = bpf_link_create(load->prog[LOAD_GUARD_XDP], key->ifindex, BPF_XDP, &opts);
	if (fd == -EBUSY || fd == -EEXIST)
		return load_fail(ret_why, -EBUSY, "interface %u has another XDP program",
				 key->ifindex);
	if (fd < 0)
		return load_fail(ret_why, fd, "cannot attach %s XDP to interface %u: %s",
				 native ? "native" : "generic", key->ifindex, strerror(-fd));
	err = bpf_obj_pin(fd, path);
	close(fd); /* unpinned, this detaches */
	if (err)
		return load_fail(ret_why, err, "cannot pin %s: %s", path, strerror(-err));
	return 0;
}

int gate_load_detach_xdp(struct gate_load *load, const struct sl_iface_key *key)
{
	char path[PATH_MAX];
	int native, generic;

	link_path(load, key, GATE_LOAD_XDP_NATIVE, path, sizeof(path));
	native = drop_link(path);
	link_path(load, key, GATE_LOAD_XDP_GENERIC, path, sizeof(path));
	generic = drop_link(path);
	return native ? native : generic;
}

int gate_load_attached_xdp(struct gate_load *load, const struct sl_iface_key *key,
			   enum gate_load_xdp *ret_mode)
{
	static const enum gate_load_xdp modes[] = { GATE_LOAD_XDP_NATIVE, GATE_LOAD_XDP_GENERIC };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		uint32_t ifindex = 0;
		int fd, err;

		link_path(load, key, modes[i], path, sizeof(path));
		fd = bpf_obj_get(path);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return fd;
		err = link_ifindex(fd, &ifindex);
		close(fd);
		if (err)
			return err;
		if (!ifindex)
			continue;
		if (ret_mode)
			*ret_mode = modes[i];
		return 1;
	}
	return 0;
}

int gate_load_collect_links(struct gate_load *load)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int gone = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/links", load->dir);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		uint32_t ifindex = 0;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/links/%s", load->dir, entry->d_name);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		if (link_ifindex(fd, &ifindex) == 0 && !ifindex && unlink(path) == 0)
			gone++;
		close(fd);
	}
	closedir(dir);
	return gone;
}
