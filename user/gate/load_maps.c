/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The maps of an instance from user space: policy goes in, counters and samples
 * come out. Structs are those of bpf/abi.h, as the programs see them.
 */
#include "load_priv.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Per-CPU values and batches are read in 8-byte multiples per CPU. */
_Static_assert(sizeof(struct sl_verdicts) % 8 == 0, "per-CPU stride");

#define BATCH 256

/*
 * Elements of hashes without preallocation come from small per-CPU caches that the kernel refills
 * in the background (kernel/bpf/memalloc.c): many puts in a row meet ENOMEM until it has.
 */
static int update(struct gate_load *load, enum load_map map, const void *key, const void *value,
		  uint64_t flags)
{
	const struct timespec refill = { .tv_nsec = 1000000 };
	int err;

	for (int tries = 0; tries < 100; tries++) {
		err = bpf_map_update_elem(load->map[map], key, value, flags);
		if (err != -ENOMEM)
			break;
		nanosleep(&refill, NULL);
	}
	return err;
}

static int put(struct gate_load *load, enum load_map map, const void *key, const void *value)
{
	return update(load, map, key, value, BPF_ANY);
}

/* Makes an entry of zeroes unless there is one. */
static int put_new(struct gate_load *load, enum load_map map, const void *key, const void *zeroes)
{
	int err = update(load, map, key, zeroes, BPF_NOEXIST);

	return err == -EEXIST ? 0 : err;
}

static int del(struct gate_load *load, enum load_map map, const void *key)
{
	int err = bpf_map_delete_elem(load->map[map], key);

	return err == -ENOENT ? 0 : err;
}

/* A division for each packet less. */
static uint32_t nanoseconds(uint32_t rate)
{
	return rate ? 1000000000u / rate : 0;
}

int gate_load_iface_put(struct gate_load *load, const struct sl_iface_key *key,
			const struct sl_iface *iface)
{
	struct sl_iface now = *iface, before;
	struct sl_verdicts *zeroes;
	int err;

	if (iface->nports > SL_PORTS_MAX || iface->nworkers > SL_WORKERS_MAX)
		return -EINVAL;
	zeroes = calloc(load->cpus, sizeof(*zeroes));
	if (!zeroes)
		return -ENOMEM;
	/* Policy last: from then on packets count. */
	err = put_new(load, LOAD_VERDICTS, key, zeroes);
	/* What its packets have used up stays used up. */
	if (!gate_load_iface_get(load, key, &before))
		now.bucket = before.bucket;
	for (unsigned i = now.nports; i < SL_PORTS_MAX; i++)
		now.ports[i] = 0;
	now.iface_ns = nanoseconds(now.iface_rate);
	now.iface_syn_ns = nanoseconds(now.iface_syn_rate);
	now.source_ns = nanoseconds(now.source_rate);
	now.syn_ns = nanoseconds(now.syn_rate);
	if (!err)
		err = put(load, LOAD_IFACES, key, &now);
	free(zeroes);
	return err;
}

int gate_load_iface_get(struct gate_load *load, const struct sl_iface_key *key,
			struct sl_iface *ret)
{
	struct sl_iface iface;
	int err = bpf_map_lookup_elem(load->map[LOAD_IFACES], key, &iface);

	if (!err)
		*ret = iface;
	return err;
}

int gate_load_iface_del(struct gate_load *load, const struct sl_iface_key *key)
{
	static const enum load_map order[] = { LOAD_IFACES, LOAD_VERDICTS };
	int err, first = 0;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		err = del(load, order[i], key);
		if (err && !first)
			first = err;
	}
	return first;
}

int gate_load_iface_set_guard_at(struct gate_load *load, const struct sl_iface_key *key,
				 enum sl_guard_at guard_at)
{
	struct sl_iface iface;
	int err = gate_load_iface_get(load, key, &iface);

	if (err || iface.guard_at == guard_at)
		return err;
	iface.guard_at = guard_at;
	return update(load, LOAD_IFACES, key, &iface, BPF_EXIST);
}

int gate_load_iface_set_bound(struct gate_load *load, const struct sl_iface_key *key, bool bound)
{
	struct sl_iface iface;
	int err = gate_load_iface_get(load, key, &iface);

	if (err || iface.bound == bound)
		return err;
	iface.bound = bound;
	return update(load, LOAD_IFACES, key, &iface, BPF_EXIST);
}

int gate_load_iface_each(struct gate_load *load,
			 int (*fn)(const struct sl_iface_key *key, const struct sl_iface *iface,
				   void *arg),
			 void *arg)
{
	struct sl_iface_key key, next, *at = NULL;
	struct sl_iface iface;
	int err;

	/* The next key is taken first: fn may remove the one it is shown. */
	err = bpf_map_get_next_key(load->map[LOAD_IFACES], at, &next);
	while (!err) {
		key = next;
		err = bpf_map_get_next_key(load->map[LOAD_IFACES], &key, &next);
		if (!bpf_map_lookup_elem(load->map[LOAD_IFACES], &key, &iface)) {
			int stop = fn(&key, &iface, arg);

			if (stop)
				return stop;
		}
	}
	return err == -ENOENT ? 0 : err;
}

int gate_load_binding_put(struct gate_load *load, const struct sl_binding_key *key,
			  const struct sl_binding *binding)
{
	return put(load, LOAD_BINDINGS, key, binding);
}

int gate_load_binding_get(struct gate_load *load, const struct sl_binding_key *key,
			  struct sl_binding *ret)
{
	struct sl_binding binding;
	int err = bpf_map_lookup_elem(load->map[LOAD_BINDINGS], key, &binding);

	if (!err)
		*ret = binding;
	return err;
}

int gate_load_binding_del(struct gate_load *load, const struct sl_binding_key *key)
{
	return del(load, LOAD_BINDINGS, key);
}

int gate_load_binding_sweep(struct gate_load *load,
			    bool (*keep)(const struct sl_binding_key *key,
					 const struct sl_binding *binding, void *arg),
			    void *arg)
{
	struct sl_binding_key key, next;
	struct sl_binding binding;
	int gone = 0, err;

	/* The next key is taken first, as this one may go. */
	err = bpf_map_get_next_key(load->map[LOAD_BINDINGS], NULL, &next);
	while (!err) {
		key = next;
		err = bpf_map_get_next_key(load->map[LOAD_BINDINGS], &key, &next);
		if (bpf_map_lookup_elem(load->map[LOAD_BINDINGS], &key, &binding) ||
		    keep(&key, &binding, arg))
			continue;
		if (!del(load, LOAD_BINDINGS, &key))
			gone++;
	}
	return err == -ENOENT ? gone : err;
}

/* Opens or closes a worker's slot for new connections. */
static int set_slot(struct gate_load *load, const struct sl_listener_key *key, bool open)
{
	struct sl_listener_key group = *key;
	struct sl_slots slots = { 0 };
	const __u64 bit = 1ull << key->worker;
	int err;

	group.worker = 0;
	err = bpf_map_lookup_elem(load->map[LOAD_SLOTS], &group, &slots);
	if (err && err != -ENOENT)
		return err;
	slots.open = open ? slots.open | bit : slots.open & ~bit;
	return slots.open ? put(load, LOAD_SLOTS, &group, &slots) : del(load, LOAD_SLOTS, &group);
}

/* The group of a SO_REUSEPORT listener asks select; one program serves the whole group. */
static int join_select(struct gate_load *load, int fd)
{
	socklen_t len = sizeof(int);
	int reuseport = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuseport, &len) < 0)
		return -errno;
	if (reuseport && setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF,
				    &load->prog[LOAD_SELECT], sizeof(int)) < 0)
		return -errno;
	return 0;
}

int gate_load_listener_put(struct gate_load *load, const struct sl_listener_key *key, int fd,
			   const struct sl_listener_info *info, bool lone)
{
	struct sl_listener_info twin = *info;
	socklen_t len = sizeof(twin.socket_cookie);
	__u64 value;
	int err;

	if (key->worker >= SL_WORKERS_MAX)
		return -EINVAL;
	if (fd >= 0) {
		if (!twin.socket_cookie &&
		    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &twin.socket_cookie, &len) < 0)
			return -errno;
		err = join_select(load, fd);
		value = fd;
		if (!err && !lone)
			err = put(load, LOAD_LISTENERS, key, &value);
		if (err)
			return err;
	}
	err = put(load, LOAD_LISTENER_INFO, key, &twin);
	return err ? err : set_slot(load, key, fd >= 0 || twin.worker_pid);
}

int gate_load_listener_get(struct gate_load *load, const struct sl_listener_key *key,
			   struct sl_listener_info *ret)
{
	struct sl_listener_info info;
	int err = bpf_map_lookup_elem(load->map[LOAD_LISTENER_INFO], key, &info);

	if (!err)
		*ret = info;
	return err;
}

int gate_load_listener_del(struct gate_load *load, const struct sl_listener_key *key)
{
	int closed = key->worker < SL_WORKERS_MAX ? set_slot(load, key, false) : -EINVAL;
	int err = bpf_map_delete_elem(load->map[LOAD_LISTENERS], key);
	int twin = del(load, LOAD_LISTENER_INFO, key);

	if (closed)
		return closed;
	/* A sockhash says EINVAL for a socket that left by itself in between. */
	if (err && err != -ENOENT && err != -EINVAL)
		return err;
	return twin;
}

int gate_load_listener_del_all(struct gate_load *load, uint64_t netns_cookie, uint32_t l3_ifindex)
{
	struct sl_listener_key key, next;
	int err, gone = 0;

	err = bpf_map_get_next_key(load->map[LOAD_LISTENER_INFO], NULL, &next);
	while (!err) {
		key = next;
		err = bpf_map_get_next_key(load->map[LOAD_LISTENER_INFO], &key, &next);
		if (key.netns_cookie != netns_cookie || key.l3_ifindex != l3_ifindex)
			continue;
		if (!gate_load_listener_del(load, &key))
			gone++;
	}
	return err == -ENOENT ? gone : err;
}

int gate_load_tenant_put(struct gate_load *load, uint32_t id, const struct sl_tenant *tenant)
{
	return put(load, LOAD_TENANTS, &id, tenant);
}

int gate_load_tenant_del(struct gate_load *load, uint32_t id)
{
	int err = del(load, LOAD_TENANTS, &id);
	int counters = del(load, LOAD_RELAY, &id);

	return err ? err : counters;
}

int gate_load_tenant_each(struct gate_load *load,
			  int (*fn)(uint32_t id, const struct sl_tenant *tenant, void *arg),
			  void *arg)
{
	struct sl_tenant tenant;
	uint32_t id, next;
	int err;

	err = bpf_map_get_next_key(load->map[LOAD_TENANTS], NULL, &next);
	while (!err) {
		id = next;
		err = bpf_map_get_next_key(load->map[LOAD_TENANTS], &id, &next);
		if (!bpf_map_lookup_elem(load->map[LOAD_TENANTS], &id, &tenant)) {
			int stop = fn(id, &tenant, arg);

			if (stop)
				return stop;
		}
	}
	return err == -ENOENT ? 0 : err;
}

int gate_load_relay_put(struct gate_load *load, uint32_t tenant, const struct sl_relay *relay)
{
	return put(load, LOAD_RELAY, &tenant, relay);
}

static void sum_cpus(const struct sl_verdicts *values, int cpus, struct sl_verdicts *ret)
{
	const __u64 *from;
	__u64 *to = (__u64 *)ret;

	memset(ret, 0, sizeof(*ret));
	for (int cpu = 0; cpu < cpus; cpu++) {
		from = (const __u64 *)&values[cpu];
		for (size_t i = 0; i < sizeof(*ret) / sizeof(*to); i++)
			to[i] += from[i];
	}
}

int gate_load_verdicts_get(struct gate_load *load, const struct sl_iface_key *key,
			   struct sl_verdicts *ret)
{
	struct sl_verdicts *values = calloc(load->cpus, sizeof(*values));
	int err;

	if (!values)
		return -ENOMEM;
	err = bpf_map_lookup_elem(load->map[LOAD_VERDICTS], key, values);
	if (!err)
		sum_cpus(values, load->cpus, ret);
	free(values);
	return err;
}

int gate_load_verdicts_each(struct gate_load *load,
			    int (*fn)(const struct sl_iface_key *key,
				      const struct sl_verdicts *verdicts, void *arg),
			    void *arg)
{
	struct sl_verdicts *values = calloc((size_t)BATCH * load->cpus, sizeof(*values));
	struct sl_iface_key *keys = calloc(BATCH, sizeof(*keys));
	struct sl_verdicts sum;
	__u64 at = 0; /* the kernel's position: an opaque word for hashes */
	bool first = true;
	__u32 count;
	int err = values && keys ? 0 : -ENOMEM;

	while (!err) {
		count = BATCH;
		err = bpf_map_lookup_batch(load->map[LOAD_VERDICTS], first ? NULL : &at, &at, keys,
					   values, &count, NULL);
		/* ENOENT: the last batch, which may hold entries. */
		if (err && err != -ENOENT)
			break;
		for (__u32 i = 0; i < count; i++) {
			int stop;

			sum_cpus(values + (size_t)i * load->cpus, load->cpus, &sum);
			stop = fn(&keys[i], &sum, arg);
			if (stop) {
				err = stop;
				goto out;
			}
		}
		first = false;
	}
	if (err == -ENOENT)
		err = 0;
out:
	free(values);
	free(keys);
	return err;
}

uint64_t gate_load_verdicts_drops(const struct sl_verdicts *verdicts)
{
	uint64_t drops = 0;

#define X(id, field, drop, text) drops += drop ? verdicts->field : 0;
	SL_VERDICTS(X)
#undef X
	return drops;
}

const char *gate_load_verdict_name(enum sl_verdict verdict)
{
	static const char *const names[] = {
#define X(id, field, drop, text) [SL_V_##id] = #field,
		SL_VERDICTS(X)
#undef X
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == SL_V_COUNT, "verdict names");
	return (unsigned)verdict < SL_V_COUNT ? names[verdict] : NULL;
}

static int take_sample(void *arg, void *data, size_t size)
{
	struct gate_load *load = arg;

	if (size >= sizeof(struct sl_sample) && load->sample_fn)
		load->sample_fn(data, load->sample_arg);
	return 0;
}

int load_ring_open(struct gate_load *load)
{
	load->ring = ring_buffer__new(load->map[LOAD_SAMPLES], take_sample, load, NULL);
	return load->ring ? 0 : -errno;
}

void load_ring_close(struct gate_load *load)
{
	ring_buffer__free(load->ring);
	load->ring = NULL;
}

int gate_load_samples_consume(struct gate_load *load,
			      void (*fn)(const struct sl_sample *sample, void *arg), void *arg)
{
	load->sample_fn = fn;
	load->sample_arg = arg;
	return ring_buffer__consume(load->ring);
}
