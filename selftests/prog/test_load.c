/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader: pins and what they say, a successor, a foreign layout, two
 * instances; programs on and off an interface that others use too.
 */
#include "lib/prog.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <jansson.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define VETH "sluice0"
#define U32  "protocol all u32 match u8 0 0 flowid 1:1"

/* The output of a command, or NULL when it failed. */
static char *output(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *output(const char *format, ...)
{
	static char text[65536];
	char command[512];
	va_list args;
	size_t len;
	FILE *pipe;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "r");
	if (!pipe)
		return NULL;
	len = fread(text, 1, sizeof(text) - 1, pipe);
	text[len] = '\0';
	return pclose(pipe) ? NULL : text;
}

static int run(const char *command)
{
	return output("%s 2>&1", command) ? 0 : -1;
}

static uint32_t map_id(const struct gate_load *load, const char *name)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", gate_load_pin_dir(load), name);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return 0;
	close(fd);
	return info.id;
}

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) ? info.id : 0;
}

/* bpftool's JSON of a pinned map: the formatted value of its only entry. */
static json_t *dump(const char *map, json_t **ret_all)
{
	const char *text =
		output("bpftool -j map dump pinned %s/maps/%s", gate_load_pin_dir(prog_load), map);

	*ret_all = text ? json_loads(text, 0, NULL) : NULL;
	return json_object_get(json_object_get(json_array_get(*ret_all, 0), "formatted"), "value");
}

static void test_report(void)
{
	struct sl_iface iface = prog_iface();
	struct sl_tenant tenant = { .name = "blue", .netns_cookie = prog_key.netns_cookie };
	struct sl_relay relay = { .requests = 42 };
	json_t *all, *value;

	prog_iface_put(&iface);
	gate_load_tenant_put(prog_load, 7, &tenant);
	gate_load_relay_put(prog_load, 7, &relay);

	value = dump("ifaces", &all);
	prog_check(json_integer_value(json_object_get(value, "tenant")) == 7 &&
			   json_integer_value(json_object_get(value, "nports")) == 2,
		   "bpftool shows ifaces by field");
	json_decref(all);
	value = dump("tenants", &all);
	prog_check(strcmp(json_string_value(json_object_get(value, "name")) ?: "", "blue") == 0,
		   "bpftool shows tenants by field");
	json_decref(all);
	value = dump("relay", &all);
	prog_check(json_integer_value(json_object_get(value, "requests")) == 42,
		   "bpftool shows relay by field");
	json_decref(all);
	dump("verdicts", &all);
	value = json_object_get(json_array_get(all, 0), "formatted");
	value = json_object_get(json_array_get(json_object_get(value, "values"), 0), "value");
	prog_check(json_object_get(value, "syn_budget") && json_object_get(value, "xdp_dropped"),
		   "bpftool shows verdicts by field");
	json_decref(all);
	value = dump("abi", &all);
	prog_check(json_integer_value(json_object_get(value, "version")) == SL_ABI_VERSION,
		   "bpftool shows the layout version");
	json_decref(all);
}

static int count_keys(const struct sl_iface_key *key, const struct sl_verdicts *verdicts, void *arg)
{
	(*(unsigned *)arg)++;
	return 0;
}

static int count_ifaces(const struct sl_iface_key *key, const struct sl_iface *iface, void *arg)
{
	return ++*(unsigned *)arg == 1000 ? 77 : 0;
}

static void test_many(void)
{
	struct sl_iface iface = prog_iface();
	struct sl_iface_key key = prog_key;
	unsigned seen = 0, shown = 0, failed = 0;
	int err, stopped;

	for (key.ifindex = 100; key.ifindex < 1600; key.ifindex++)
		failed += gate_load_iface_put(prog_load, &key, &iface) != 0;
	prog_check(!failed, "1,500 interfaces in a row (%u failed)", failed);
	err = gate_load_verdicts_each(prog_load, count_keys, &seen);
	prog_check(!err && seen == 1501, "the counters of 1,501 interfaces at once (%u)", seen);
	stopped = gate_load_iface_each(prog_load, count_ifaces, &shown);
	prog_check(stopped == 77 && shown == 1000, "a walk ends where its caller says");
	for (key.ifindex = 100; key.ifindex < 1600; key.ifindex++)
		gate_load_iface_del(prog_load, &key);
	seen = 0;
	gate_load_verdicts_each(prog_load, count_keys, &seen);
	prog_check(seen == 1, "removed interfaces leave no counters");
	prog_check(gate_load_iface_set_guard_at(prog_load, &key, SL_GUARD_AT_XDP) == -ENOENT,
		   "the guard of an unknown interface cannot be moved");
}

static void test_listeners(void)
{
	struct sl_listener_key key = { prog_key.netns_cookie, 1, __builtin_bswap16(80), 4, 0 };
	struct sl_listener_info info = { .tenant = 7, .worker_pid = 4711 }, got = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	err = listen(fd, 8) ? -errno : gate_load_listener_put(prog_load, &key, fd, &info, false);
	prog_check(!err && !gate_load_listener_get(prog_load, &key, &got) && got.socket_cookie &&
			   got.tenant == 7 && got.worker_pid == 4711,
		   "a listener's slot is readable");
	info.worker_pid = 0;
	info.socket_cookie = got.socket_cookie;
	prog_check(!gate_load_listener_put(prog_load, &key, -1, &info, false) &&
			   !gate_load_listener_get(prog_load, &key, &got) && !got.worker_pid,
		   "a slot can wait for its worker");
	close(fd);
	prog_check(gate_load_listener_del_all(prog_load, prog_key.netns_cookie, 1) == 1 &&
			   gate_load_listener_get(prog_load, &key, &got) == -ENOENT &&
			   !gate_load_listener_del(prog_load, &key),
		   "slots are emptied, also after the socket is closed");
}

static void test_successor(void)
{
	struct gate_load *second = NULL;
	uint32_t before = map_id(prog_load, "ifaces");
	struct sl_iface iface;
	char *why = NULL;
	int err;

	err = gate_load_open(prog_instance(), NULL, &second, &why);
	prog_check(!err && map_id(second, "ifaces") == before &&
			   !gate_load_iface_get(second, &prog_key, &iface) && iface.tenant == 7,
		   "a successor finds the maps and what is in them (%s)", why ? why : "");
	gate_load_close(second);
	free(why);
}

static void test_layouts(void)
{
	struct sl_abi abi = { .version = SL_ABI_VERSION + 1 };
	struct gate_load *other = NULL;
	__u32 zero = 0;
	char name[64], path[256], layout[32], *why = NULL;
	int fd, err;

	snprintf(layout, sizeof(layout), "layout %u", abi.version);
	snprintf(path, sizeof(path), "%s/maps/abi", gate_load_pin_dir(prog_load));
	fd = bpf_obj_get(path);
	bpf_map_update_elem(fd, &zero, &abi, BPF_ANY);
	err = gate_load_open(prog_instance(), NULL, &other, &why);
	prog_check(err == -EPROTO && !other && why && strstr(why, layout),
		   "another layout version is refused: %s", why ? why : "");
	free(why);
	abi.version = SL_ABI_VERSION;
	bpf_map_update_elem(fd, &zero, &abi, BPF_ANY);
	close(fd);

	/* The right version, but one map of another size. */
	snprintf(path, sizeof(path), "%s/maps/tenants", gate_load_pin_dir(prog_load));
	unlink(path);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "tenants", 4, 72, 16, NULL);
	bpf_obj_pin(fd, path);
	close(fd);
	why = NULL;
	err = gate_load_open(prog_instance(), NULL, &other, &why);
	prog_check(err == -EPROTO && why && strstr(why, "value 72"), "a map of another size: %s",
		   why ? why : "");
	free(why);
	unlink(path);

	snprintf(name, sizeof(name), "../%s", prog_instance());
	why = NULL;
	prog_check(gate_load_open(name, NULL, &other, &why) == -EINVAL, "a path is no instance");
	free(why);
}

#define SPENT_MAX 64

static int spent[SPENT_MAX];
static unsigned nspent;
static struct rlimit descriptors;

/* All but so many. */
static void spend_descriptors(unsigned left)
{
	struct rlimit few;

	getrlimit(RLIMIT_NOFILE, &descriptors);
	few = (struct rlimit){ SPENT_MAX, descriptors.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	for (nspent = 0; nspent < SPENT_MAX; nspent++) {
		spent[nspent] = dup(STDERR_FILENO);
		if (spent[nspent] < 0)
			break;
	}
	for (; left && nspent; left--)
		close(spent[--nspent]);
}

static void return_descriptors(void)
{
	while (nspent)
		close(spent[--nspent]);
	setrlimit(RLIMIT_NOFILE, &descriptors);
}

static void test_two_instances(void)
{
	const uint32_t ifindex = if_nametoindex(VETH);
	struct sl_iface iface = prog_iface();
	struct gate_load *other = NULL;
	char name[40], *why = NULL;
	bool made;
	int err;

	snprintf(name, sizeof(name), "%.30s-b", prog_instance());
	err = gate_load_open(name, &(struct gate_load_settings){ .interfaces = 8 }, &other, &why);
	if (!prog_check(!err, "a second instance beside the first (%s)", why ? why : ""))
		return;
	iface.tenant = 8;
	gate_load_iface_put(other, &prog_key, &iface);
	gate_load_iface_get(prog_load, &prog_key, &iface);
	prog_check(iface.tenant == 7 && map_id(other, "ifaces") != map_id(prog_load, "ifaces"),
		   "each has its own maps");
	gate_load_attach_tc(prog_load, if_nametoindex(VETH), &made, NULL);
	err = gate_load_attach_tc(other, if_nametoindex(VETH), &made, &why);
	prog_check(err == -EBUSY && why && strstr(why, "sl_guard_tc"),
		   "it cannot take the other's interface: %s", why ? why : "");
	prog_check(!gate_load_detach_tc(other, if_nametoindex(VETH)) &&
			   gate_load_attached_tc(prog_load, if_nametoindex(VETH)) == 1,
		   "nor detach it");
	free(why);
	why = NULL;
	/* With no descriptor it sees no filter, with one not whose it is. */
	for (unsigned left = 0; left < 2; left++) {
		int looked, taken;

		spend_descriptors(left);
		looked = gate_load_attached_tc(other, ifindex);
		taken = gate_load_detach_tc(other, ifindex);
		err = gate_load_attach_tc(other, ifindex, &made, &why);
		return_descriptors();
		prog_check(looked == -EMFILE && taken == -EMFILE && err == -EMFILE &&
				   gate_load_attached_tc(prog_load, ifindex) == 1,
			   "%u descriptors: looked %d, detached %d, attached %d (%s)", left, looked,
			   taken, err, why ? why : "");
		free(why);
		why = NULL;
	}
	gate_load_unpin(other);
	gate_load_close(other);
	prog_check(access(gate_load_pin_dir(prog_load), F_OK) == 0, "one goes, the other stays");
	gate_load_detach_tc(prog_load, if_nametoindex(VETH));
}

/* What tc shows of the interface. */
static char *tc_state(void)
{
	return strdup(output("tc qdisc show dev " VETH "; tc filter show dev " VETH
			     " ingress; tc filter show dev " VETH " egress")
			      ?: "failed");
}

static void test_tc(void)
{
	const uint32_t ifindex = if_nametoindex(VETH);
	char *found = tc_state(), *now, *again, *why = NULL;
	bool made = false;
	int err;

	err = gate_load_attach_tc(prog_load, ifindex, &made, &why);
	prog_check(!err && made, "TC: attach (%s)", why ? why : "");
	now = tc_state();
	prog_check(strstr(now, "clsact") && strstr(now, "sl_guard_tc") && strstr(now, "sl_steer") &&
			   strstr(now, "sl_guard_tc") < strstr(now, "sl_steer"),
		   "TC: guard, then steer");
	made = false;
	prog_check(!gate_load_attach_tc(prog_load, ifindex, &made, NULL) && made,
		   "TC: attach again");
	again = tc_state();
	prog_check(strcmp(now, again) == 0, "TC: changes nothing");
	prog_check(gate_load_attached_tc(prog_load, ifindex) == 1, "TC: is attached");
	prog_check(!gate_load_detach_tc(prog_load, ifindex) &&
			   !gate_load_detach_tc(prog_load, ifindex),
		   "TC: detach, twice");
	free(now);
	now = tc_state();
	prog_check(strcmp(now, found) == 0 && gate_load_attached_tc(prog_load, ifindex) == 0,
		   "TC: the interface is as it was found");
	free(now);
	free(again);
	free(found);
}

static void test_tc_shared(void)
{
	const uint32_t ifindex = if_nametoindex(VETH);
	char *found, *now, *why = NULL;
	bool made = true;
	int err;

	/* Somebody's qdisc, and their filters before, between and on the other side. */
	run("tc qdisc add dev " VETH " clsact");
	if (!prog_check(!run("tc filter add dev " VETH " ingress prio 1 " U32) &&
				!run("tc filter add dev " VETH " ingress prio 20 " U32) &&
				!run("tc filter add dev " VETH " egress prio 16 " U32),
			"TC: others are there first"))
		return;
	found = tc_state();
	prog_check(!gate_load_attach_tc(prog_load, ifindex, &made, NULL) && !made,
		   "TC: attach beside others");
	gate_load_detach_tc(prog_load, ifindex);
	now = tc_state();
	prog_check(strcmp(now, found) == 0, "TC: their qdisc and filters survive");
	free(found);
	free(now);

	run("tc filter add dev " VETH " ingress prio 17 " U32);
	found = tc_state();
	err = gate_load_attach_tc(prog_load, ifindex, &made, &why);
	prog_check(err == -EBUSY && why, "TC: a taken priority is refused: %s", why ? why : "");
	now = tc_state();
	prog_check(strcmp(now, found) == 0, "TC: and left alone");
	free(found);
	free(now);
	free(why);
	run("tc qdisc del dev " VETH " clsact");

	/* Our qdisc, in which somebody made themselves at home. */
	gate_load_attach_tc(prog_load, ifindex, &made, NULL);
	run("tc filter add dev " VETH " egress prio 5 " U32);
	gate_load_detach_tc(prog_load, ifindex);
	now = tc_state();
	prog_check(made && strstr(now, "clsact") && strstr(now, "u32") && !strstr(now, "sl_"),
		   "TC: a qdisc others moved into stays");
	free(now);
	run("tc qdisc del dev " VETH " clsact");
}

/* Pins were removed while filters were attached: what is left behind is taken over. */
static void test_tc_orphan(void)
{
	const uint32_t ifindex = if_nametoindex(VETH);
	struct gate_load *other = NULL;
	char name[40], *now;
	bool made;
	int err;

	snprintf(name, sizeof(name), "%.30s-o", prog_instance());
	if (gate_load_open(name, NULL, &other, NULL) == 0) {
		gate_load_attach_tc(other, ifindex, &made, NULL);
		gate_load_unpin(other);
		gate_load_close(other);
	}
	prog_check(other && gate_load_attached_tc(prog_load, ifindex) == 1,
		   "TC: a left-over is known");
	err = gate_load_attach_tc(prog_load, ifindex, &made, NULL);
	prog_check(!err && made && !gate_load_detach_tc(prog_load, ifindex), "TC: and taken over");
	now = tc_state();
	prog_check(!strstr(now, "clsact"), "TC: and removed");
	free(now);
}

static void test_tc_successor(void)
{
	const uint32_t ifindex = if_nametoindex(VETH);
	struct gate_load *second = NULL;
	char path[256];
	bool made = false;
	uint32_t fresh;
	char *now;
	char wanted[32];

	gate_load_attach_tc(prog_load, ifindex, &made, NULL);
	if (!prog_check(!gate_load_open(prog_instance(), NULL, &second, NULL), "TC: a successor"))
		return;
	snprintf(path, sizeof(path), "%s/progs/sl_steer", gate_load_pin_dir(second));
	fresh = prog_id(bpf_obj_get(path));
	made = false;
	prog_check(!gate_load_attach_tc(second, ifindex, &made, NULL) && made,
		   "TC: knows whose the qdisc is");
	now = tc_state();
	snprintf(wanted, sizeof(wanted), " id %u ", fresh);
	prog_check(strstr(now, wanted), "TC: its program replaced the old one");
	free(now);
	gate_load_detach_tc(second, ifindex);
	now = tc_state();
	prog_check(!strstr(now, "clsact"), "TC: and it removes what its predecessor made");
	free(now);
	gate_load_close(second);
}

/* An XDP program that is not ours. */
static int foreign_xdp(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", pass, 2, NULL);
}

static void test_xdp(void)
{
	struct sl_iface_key key = { .netns_cookie = prog_netns_cookie(),
				    .ifindex = if_nametoindex(VETH) };
	enum gate_load_xdp mode = GATE_LOAD_XDP_NATIVE;
	int err, foreign = foreign_xdp();
	char *why = NULL;

	err = gate_load_attach_xdp(prog_load, &key, GATE_LOAD_XDP_GENERIC, &why);
	prog_check(!err && gate_load_attached_xdp(prog_load, &key, &mode) == 1 &&
			   mode == GATE_LOAD_XDP_GENERIC &&
			   strstr(output("ip link show " VETH) ?: "", "xdpgeneric"),
		   "XDP: generic (%s)", why ? why : "");
	prog_check(!gate_load_attach_xdp(prog_load, &key, GATE_LOAD_XDP_GENERIC, NULL),
		   "XDP: again");
	prog_check(!gate_load_attach_xdp(prog_load, &key, GATE_LOAD_XDP_NATIVE, NULL) &&
			   gate_load_attached_xdp(prog_load, &key, &mode) == 1 &&
			   mode == GATE_LOAD_XDP_NATIVE,
		   "XDP: native instead");
	prog_check(!gate_load_detach_xdp(prog_load, &key) &&
			   !gate_load_detach_xdp(prog_load, &key) &&
			   gate_load_attached_xdp(prog_load, &key, NULL) == 0 &&
			   !strstr(output("ip link show " VETH) ?: "xdp", "xdp"),
		   "XDP: detach, twice");
	bpf_xdp_attach(key.ifindex, foreign, XDP_FLAGS_SKB_MODE, NULL);
	err = gate_load_attach_xdp(prog_load, &key, GATE_LOAD_XDP_GENERIC, &why);
	prog_check(gate_load_attach_xdp(prog_load, &key, GATE_LOAD_XDP_NATIVE, NULL) == -EBUSY &&
			   err == -EBUSY && why,
		   "XDP: somebody else's stays: %s", why ? why : "");
	free(why);
	bpf_xdp_detach(key.ifindex, XDP_FLAGS_SKB_MODE, NULL);
	close(foreign);
	why = NULL;
	key.ifindex = 1;
	err = gate_load_attach_xdp(prog_load, &key, GATE_LOAD_XDP_NATIVE, &why);
	prog_check(err == -EOPNOTSUPP, "XDP: no native mode on loopback: %s", why ? why : "");
	free(why);
}

static void test_zombie(void)
{
	struct sl_iface_key key = { .netns_cookie = prog_netns_cookie(),
				    .ifindex = if_nametoindex(VETH) };

	gate_load_attach_xdp(prog_load, &key, GATE_LOAD_XDP_GENERIC, NULL);
	prog_check(gate_load_collect_links(prog_load) == 0, "a living link is not collected");
	run("ip link del " VETH);
	prog_check(gate_load_attached_xdp(prog_load, &key, NULL) == 0, "a zombie is not attached");
	prog_check(gate_load_collect_links(prog_load) == 1 &&
			   gate_load_collect_links(prog_load) == 0,
		   "it is collected, once");
	prog_check(!gate_load_detach_tc(prog_load, key.ifindex), "no interface, nothing to detach");
}

int main(void)
{
	char path[256];

	prog_begin("load");
	if (run("ip link add " VETH " type veth peer name peer0") ||
	    run("ip link set " VETH " up")) {
		printf("needs ip(8) and veth\n");
		return 77;
	}
	prog_check(gate_load_features(prog_load)->kernel_floor &&
			   gate_load_features(prog_load)->map_batch,
		   "kernel %u.%u has what is needed", gate_load_features(prog_load)->kernel_major,
		   gate_load_features(prog_load)->kernel_minor);
	test_report();
	test_many();
	test_listeners();
	test_successor();
	test_tc();
	test_tc_shared();
	test_tc_successor();
	test_tc_orphan();
	test_two_instances();
	test_xdp();
	test_zombie();
	test_layouts();
	snprintf(path, sizeof(path), "%s", gate_load_pin_dir(prog_load));
	prog_check(!gate_load_unpin(prog_load) && access(path, F_OK) < 0, "unpin leaves nothing");
	return prog_end();
}
