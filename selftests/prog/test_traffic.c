/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What test_run cannot show: real packets over veth into real sockets. Two
 * namespaces, the gateway (the test's own) and a VM; the interface's namespace
 * is found right in TC and in XDP, connections reach the worker they should.
 */
#include "lib/prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 2

static int gateway_ns, vm_ns;
static const char *l3_device = "gw0";
static int workers = WORKERS;
static int listeners[2][WORKERS]; /* [IPv6][worker] */

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0) {
		perror("setns");
		exit(1);
	}
}

static void run(const char *command)
{
	if (system(command) != 0) {
		printf("failed: %s\n", command);
		exit(77);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void make_namespaces(void)
{
	char command[160];

	gateway_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET) < 0)
		exit(77);
	vm_ns = open("/proc/thread-self/ns/net", O_RDONLY); /* inherited by ip(8) below */
	enter(gateway_ns);
	run("ip link set lo up");
	run("ip link add gw0 type veth peer name vm0");
	snprintf(command, sizeof(command), "ip link set vm0 netns /proc/self/fd/%d", vm_ns);
	run(command);
	run("ip addr add 10.0.0.1/24 dev gw0");
	run("ip link set gw0 up");
	run("ip route add local 169.254.169.254/32 dev lo");
	enter(vm_ns);
	run("ip link set lo up");
	run("ip addr add 10.0.0.5/24 dev vm0");
	run("ip addr add fe80::5/64 dev vm0 nodad");
	run("ip link set vm0 up");
	run("ip route add 169.254.0.0/16 dev vm0"); /* on-link, as Windows does it */
	enter(gateway_ns);
}

static struct sockaddr_storage metadata(bool v6, uint16_t port, const char *device)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in6 *in6 = (void *)&storage;
	struct sockaddr_in *in = (void *)&storage;

	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		inet_pton(AF_INET6, "fe80::a9fe:a9fe", &in6->sin6_addr);
		in6->sin6_scope_id = if_nametoindex(device);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		inet_pton(AF_INET, "169.254.169.254", &in->sin_addr);
	}
	return storage;
}

static void put_listener(bool v6, int worker, int fd)
{
	struct sl_listener_key key = { prog_key.netns_cookie, if_nametoindex(l3_device), htons(80),
				       v6 ? 6 : 4, worker };
	struct sl_listener_info info = { .tenant = 7 };
	int err = gate_load_listener_put(prog_load, &key, fd, &info,
					 workers == 1 && !strcmp(l3_device, "gw0"));

	if (err) {
		printf("listener_put: %s\n", strerror(-err));
		exit(1);
	}
}

/* The worker of a slot died, or is back. */
static void publish_worker(int worker, uint32_t pid)
{
	struct sl_listener_key key = { prog_key.netns_cookie, if_nametoindex(l3_device), htons(80),
				       4, worker };
	struct sl_listener_info info = { .tenant = 7, .worker_pid = pid };

	gate_load_listener_put(prog_load, &key, -1, &info, false);
}

static void del_listener(bool v6, int worker)
{
	struct sl_listener_key key = { prog_key.netns_cookie, if_nametoindex(l3_device), htons(80),
				       v6 ? 6 : 4, worker };

	gate_load_listener_del(prog_load, &key);
}

static int open_listener(bool v6)
{
	struct sockaddr_storage address = metadata(v6, 80, l3_device);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (workers > 1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, l3_device, strlen(l3_device));
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &one, sizeof(one));
	else
		setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0) {
		printf("listener on %s: %m\n", l3_device);
		exit(1);
	}
	return fd;
}

static void open_listeners(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		for (int worker = 0; worker < workers; worker++) {
			listeners[v6][worker] = open_listener(v6);
			put_listener(v6, worker, listeners[v6][worker]);
		}
	}
}

/* A connection from the VM; from: a local port, or 0. -1 with errno when not made in so many ms. */
static int dial_within(int ms, bool v6, uint16_t port, uint16_t from)
{
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(from) };
	struct sockaddr_storage address;
	struct pollfd wait;
	const int one = 1;
	int err = 0;
	socklen_t len = sizeof(err);

	enter(vm_ns);
	address = metadata(v6, port, "vm0");
	wait.fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	wait.events = POLLOUT;
	if (from) {
		inet_pton(AF_INET, "10.0.0.5", &local.sin_addr);
		setsockopt(wait.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		err = bind(wait.fd, (struct sockaddr *)&local, sizeof(local)) ? errno : 0;
	}
	if (!err && connect(wait.fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	    errno != EINPROGRESS)
		err = errno;
	if (!err && poll(&wait, 1, ms * prog_slow()) != 1)
		err = ETIMEDOUT;
	if (!err)
		getsockopt(wait.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	enter(gateway_ns);
	if (!err)
		return wait.fd;
	close(wait.fd);
	errno = err;
	return -1;
}

/* Whoever is answered is answered at once, unless somebody holds up the machine. */
static int dial(bool v6, uint16_t port, uint16_t from)
{
	return dial_within(60000, v6, port, from);
}

/* Where silence is wanted. */
static int dial_in_vain(bool v6, uint16_t port)
{
	return dial_within(800, v6, port, 0);
}

/* Which worker got it; its socket in *ret_fd. -1: none in a minute. */
static int accepted(bool v6, int *ret_fd)
{
	struct pollfd wait[WORKERS];

	for (int worker = 0; worker < workers; worker++)
		wait[worker] = (struct pollfd){ listeners[v6][worker], POLLIN, 0 };
	if (poll(wait, workers, 60000 * prog_slow()) < 1)
		return -1;
	for (int worker = 0; worker < workers; worker++) {
		if (wait[worker].revents & POLLIN) {
			*ret_fd = accept4(wait[worker].fd, NULL, NULL, SOCK_CLOEXEC);
			return worker;
		}
	}
	return -1;
}

static uint64_t rose(const struct sl_verdicts *before, size_t offset)
{
	struct sl_verdicts after = prog_verdicts();

	return *(__u64 *)((char *)&after + offset) -
	       *(const __u64 *)((const char *)before + offset);
}
#define ROSE(before, field) rose(before, offsetof(struct sl_verdicts, field))

static void test_connection(bool v6)
{
	const char *family = v6 ? "IPv6" : "IPv4";
	struct sl_verdicts before = prog_verdicts();
	struct sockaddr_storage self = { 0 }, wanted = metadata(v6, 80, "gw0");
	socklen_t len = sizeof(self);
	/* The first SYN may be lost while neighbours are still being resolved. */
	int client = dial(v6, 80, 0), server = -1;
	char word[8] = "";

	if (!prog_check(client >= 0 && accepted(v6, &server) >= 0, "%s: a connection", family))
		return;
	prog_check(v6 ? ROSE(&before, nd_reply) > 0 : ROSE(&before, arp_reply) > 0,
		   "%s: the address was resolved by steer", family);
	/* A connection is bound to the bridge: invisible from its port, found by the stack. */
	prog_check(ROSE(&before, new_connection) == 1 &&
			   (strcmp(l3_device, "gw0") ? ROSE(&before, left_to_stack)
						     : ROSE(&before, established)) >= 1,
		   "%s: SYN to the listener, the rest to the connection", family);
	prog_check(write(client, "hello", 5) == 5 && read(server, word, sizeof(word)) == 5 &&
			   write(server, word, 5) == 5 && read(client, word, sizeof(word)) == 5,
		   "%s: bytes go both ways", family);
	getsockname(server, (struct sockaddr *)&self, &len);
	prog_check(memcmp(&self, &wanted, v6 ? 24 : 8) == 0, "%s: it is the metadata address",
		   family);
	close(client);
	close(server);
}

static void test_spread(void)
{
	int count[WORKERS] = { 0 }, client, server, worker;

	for (int i = 0; i < 64; i++) {
		client = dial(false, 80, 0);
		worker = accepted(false, &server);
		if (worker >= 0) {
			count[worker]++;
			close(server);
		}
		close(client);
	}
	/* In turn; a SYN that is sent again may have another one. */
	prog_check(count[0] + count[1] == 64 && count[0] > 28 && count[1] > 28,
		   "64 connections: %d and %d", count[0], count[1]);
}

/* The server closes first, the client comes again from the same port at once. */
static int close_often(void)
{
	int good = 0;

	for (int i = 0; i < 20; i++) {
		int client = dial(false, 80, 45678), server = -1;
		char byte;

		if (client >= 0 && accepted(false, &server) >= 0) {
			shutdown(server, SHUT_WR);
			good += read(client, &byte, 1) == 0;
			close(client);
			good += read(server, &byte, 1) == 0;
			close(server);
		}
	}
	return good;
}

/* A lost SYN costs each a second; a machine that is held up takes its time once or twice. */
static void test_time_wait(const char *where)
{
	double took = 0, start;
	int good = 0;

	for (int tries = 0; tries < 10; tries++) {
		start = now();
		good = close_often();
		took = now() - start;
		if (good != 40 || took < 2 * prog_slow())
			break;
	}
	prog_check(good == 40 && took < 2 * prog_slow(),
		   "%s: 20 times from one port, server closing first: %d halves in %.2f s", where,
		   good, took);
}

/* How many of eight connections worker gets. */
static int count_accepted(int worker)
{
	int client, server = -1, count = 0;

	for (int i = 0; i < 8; i++) {
		client = dial(false, 80, 0);
		count += accepted(false, &server) == worker;
		close(server);
		close(client);
	}
	return count;
}

static void test_slots(void)
{
	publish_worker(1, 0);
	prog_check(count_accepted(0) == 8, "a slot that waits for its worker gets nothing new");
	publish_worker(1, 4711);
	publish_worker(0, 0);
	prog_check(count_accepted(1) == 8, "the other way round");
	publish_worker(0, 4712);
	del_listener(false, 0);
	prog_check(count_accepted(1) == 8, "nor does an empty slot");
	put_listener(false, 0, listeners[0][0]);
}

static void set_fail(uint8_t policy)
{
	struct sl_iface iface;

	gate_load_iface_get(prog_load, &prog_key, &iface);
	iface.fail_policy = policy;
	prog_iface_put(&iface);
}

/* dial(), until it took one SYN: where the machine is held up for a second, another one is sent. */
static int dial_passed(uint64_t *ret_passed)
{
	int client = -1, err;

	for (int tries = 0; tries < 10; tries++) {
		struct sl_verdicts before = prog_verdicts();

		if (client >= 0)
			close(client);
		client = dial(false, 80, 0);
		err = errno;
		*ret_passed = ROSE(&before, fail_pass);
		errno = err;
		if (*ret_passed == 1)
			break;
	}
	return client;
}

/* Parent and workers died: the maps stay as they were. Somebody listens on every address. */
static void test_stranger(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct sl_verdicts before;
	int stranger = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
	const int one = 1;
	uint64_t passed = 0;

	for (int worker = 0; worker < workers; worker++)
		close(listeners[0][worker]);
	setsockopt(stranger, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(stranger, (struct sockaddr *)&any, sizeof(any)) || listen(stranger, 8)) {
		prog_check(false, "a listener on every address: %m");
		return;
	}
	client = dial_passed(&passed);
	prog_check(client >= 0 && passed == 1, "ours are gone, fail: pass: a stranger answers");
	close(client);
	set_fail(SL_FAIL_DROP);
	before = prog_verdicts();
	client = dial_in_vain(false, 80);
	prog_check(client < 0 && errno == ETIMEDOUT && ROSE(&before, fail_drop) >= 1,
		   "ours are gone, fail: drop: the stranger is not asked");
	set_fail(SL_FAIL_PASS);
	close(stranger);
}

static void test_no_listener(void)
{
	struct sl_verdicts before;
	uint64_t passed = 0;
	int client;

	test_stranger();
	for (int worker = 0; worker < workers; worker++)
		del_listener(false, worker);
	client = dial_passed(&passed);
	prog_check(client < 0 && errno == ECONNREFUSED && passed == 1,
		   "no listener, fail: pass: the namespace answers");
	set_fail(SL_FAIL_DROP);
	before = prog_verdicts();
	client = dial_in_vain(false, 80);
	prog_check(client < 0 && errno == ETIMEDOUT && ROSE(&before, fail_drop) >= 1,
		   "no listener, fail: drop: silence");
	set_fail(SL_FAIL_PASS);
	for (int worker = 0; worker < workers; worker++) {
		listeners[0][worker] = open_listener(false);
		put_listener(false, worker, listeners[0][worker]);
	}
}

static void test_xdp(enum gate_load_xdp mode)
{
	const char *name = mode == GATE_LOAD_XDP_NATIVE ? "native XDP" : "generic XDP";
	struct sl_verdicts before;
	int client, server = -1;

	if (!prog_check(!gate_load_attach_xdp(prog_load, &prog_key, mode, NULL), "%s: raised",
			name))
		return;
	gate_load_iface_set_guard_at(prog_load, &prog_key, SL_GUARD_AT_XDP);
	before = prog_verdicts();
	client = dial_in_vain(false, 81);
	prog_check(client < 0 && ROSE(&before, bad_port) >= 1 &&
			   ROSE(&before, bad_port) == ROSE(&before, xdp_dropped),
		   "%s: drops, and counts on the right interface", name);
	client = dial(false, 80, 0);
	prog_check(client >= 0 && accepted(false, &server) >= 0, "%s: connections go on", name);
	close(client);
	close(server);
	gate_load_iface_set_guard_at(prog_load, &prog_key, SL_GUARD_AT_TC);
	gate_load_detach_xdp(prog_load, &prog_key);
	before = prog_verdicts();
	client = dial_in_vain(false, 81);
	prog_check(client < 0 && ROSE(&before, bad_port) >= 1 && ROSE(&before, xdp_dropped) == 0,
		   "%s: lowered, TC drops again", name);
}

static void test_upload(void)
{
	struct sl_verdicts before = prog_verdicts();
	int client = dial(false, 80, 0), server = -1;
	static char block[65536];
	size_t sent = 0, received = 0;

	accepted(false, &server);
	while (received < 16 * sizeof(block)) {
		ssize_t n = sent < 16 * sizeof(block) ? write(client, block, sizeof(block)) : 0;

		sent += n > 0 ? n : 0;
		n = recv(server, block, sizeof(block), 0);
		if (n <= 0)
			break;
		received += n;
	}
	prog_check(received >= 16 * sizeof(block) && ROSE(&before, malformed) == 0 &&
			   ROSE(&before, bytes) / (ROSE(&before, established) ?: 1) > 3000,
		   "1 MiB up in segments of more than the MTU, none malformed");
	close(client);
	close(server);
}

static void close_listeners(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		for (int worker = 0; worker < workers; worker++) {
			del_listener(v6, worker);
			close(listeners[v6][worker]);
		}
	}
}

/* The programs on a bridge's port, addresses and listeners on the bridge. */
static void make_bridge(void)
{
	struct sl_iface iface;

	close_listeners();
	run("ip link add br0 type bridge");
	run("ip link set gw0 master br0");
	run("ip addr flush dev gw0");
	run("ip addr add 10.0.0.1/24 dev br0");
	run("ip link set br0 up");
	run("ip addr add fe80::a9fe:a9fe/64 dev br0 nodad");
	enter(vm_ns);
	run("ip neigh flush dev vm0");
	enter(gateway_ns);
	l3_device = "br0";
	gate_load_iface_get(prog_load, &prog_key, &iface);
	iface.l3_ifindex = if_nametoindex("br0");
	prog_iface_put(&iface); /* a bridge takes its first port's address */
	open_listeners();
}

static void read_mac(const char *device, __u8 *ret)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		exit(1);
	memcpy(ret, request.ifr_hwaddr.sa_data, 6);
	close(fd);
}

int main(void)
{
	struct sl_iface iface = prog_iface();

	prog_begin("traffic");
	make_namespaces();
	prog_key.ifindex = if_nametoindex("gw0");
	iface.l3_ifindex = prog_key.ifindex;
	/* Below 6.6 no socket of a SO_REUSEPORT group can be assigned: there is one listener. */
	if (!gate_load_features(prog_load)->reuseport_assign)
		workers = 1;
	iface.nworkers = workers;
	read_mac("gw0", iface.mac);
	prog_iface_put(&iface);
	run("ip addr add fe80::a9fe:a9fe/64 dev gw0 nodad");
	open_listeners();
	if (gate_load_attach_tc(prog_load, prog_key.ifindex, NULL, NULL)) {
		printf("cannot attach\n");
		return 1;
	}
	test_connection(false);
	test_connection(true);
	if (workers > 1)
		test_spread();
	test_time_wait("veth");
	if (workers > 1)
		test_slots();
	test_no_listener();
	test_upload();
	test_xdp(GATE_LOAD_XDP_GENERIC);
	test_xdp(GATE_LOAD_XDP_NATIVE);
	make_bridge();
	read_mac("br0", iface.mac);
	iface.l3_ifindex = if_nametoindex("br0");
	prog_iface_put(&iface);
	test_connection(false);
	test_connection(true);
	test_time_wait("bridge port");
	gate_load_detach_tc(prog_load, prog_key.ifindex);
	return prog_end();
}
