/* SPDX-License-Identifier: BSD-2-Clause */
/* The harness of the program tests: namespace, instance, running, counting. */
#include "prog.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct gate_load *prog_load;
struct sl_iface_key prog_key;

static char instance[64];
static pid_t owner;
static unsigned cases, failures;

static void remove_instance(void)
{
	if (!prog_load || getpid() != owner)
		return;
	gate_load_unpin(prog_load);
	gate_load_close(prog_load);
	prog_load = NULL;
}

/* Pins outlive a process: also one that is told to go. */
static void on_signal(int sig)
{
	remove_instance();
	_exit(128 + sig);
}

uint64_t prog_netns_cookie(void)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0) {
		printf("SO_NETNS_COOKIE: %m\n");
		exit(77);
	}
	close(fd);
	return cookie;
}

int prog_slow(void)
{
	const char *slow = getenv("SL_SLOW");

	return slow && atoi(slow) > 1 ? atoi(slow) : 1;
}

const char *prog_instance(void)
{
	return instance;
}

void prog_begin(const char *name)
{
	char *why = NULL;
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		printf("needs root\n");
		exit(77);
	}
	/* Only the network namespace: bpffs must stay visible. */
	if (unshare(CLONE_NEWNET) < 0) {
		printf("needs a network namespace of its own: %m\n");
		exit(77);
	}
	owner = getpid();
	/* Under the runner, its name: what is left behind is then known as this test's. */
	if (getenv("SL_ID"))
		snprintf(instance, sizeof(instance), "%.20s-%.8s", getenv("SL_ID"), name);
	else
		snprintf(instance, sizeof(instance), "prog-%s-%d", name, owner);
	err = gate_load_open(instance, NULL, &prog_load, &why);
	if (err) {
		printf("cannot load: %s\n", why ? why : strerror(-err));
		exit(err == -ENOSYS || err == -EPERM ? 77 : 1);
	}
	atexit(remove_instance);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prog_key = (struct sl_iface_key){ .netns_cookie = prog_netns_cookie(), .ifindex = 1 };
}

bool prog_check(bool ok, const char *format, ...)
{
	va_list args;

	cases++;
	failures += !ok;
	printf("%s %u - ", ok ? "ok" : "not ok", cases);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	return ok;
}

int prog_end(void)
{
	printf("1..%u, %u failed\n", cases, failures);
	return failures || !cases;
}

struct sl_iface prog_iface(void)
{
	return (struct sl_iface){
		.tenant = 7,
		.l3_ifindex = 1,
		.ports = { __builtin_bswap16(80), __builtin_bswap16(8080) },
		.nports = 2,
		.nworkers = 2,
		.mac = { 2, 0, 0, 0, 0, 1 },
	};
}

void prog_iface_put(const struct sl_iface *iface)
{
	int err = gate_load_iface_put(prog_load, &prog_key, iface);

	if (err) {
		printf("iface_put: %s\n", strerror(-err));
		exit(1);
	}
}

int prog_fd(const char *name)
{
	static struct {
		char name[32];
		int fd;
	} seen[8];
	char path[256];
	size_t i;

	for (i = 0; i < sizeof(seen) / sizeof(seen[0]) && seen[i].name[0]; i++) {
		if (strcmp(seen[i].name, name) == 0)
			return seen[i].fd;
	}
	snprintf(path, sizeof(path), "%s/progs/%s", gate_load_pin_dir(prog_load), name);
	if (i == sizeof(seen) / sizeof(seen[0]) || (seen[i].fd = bpf_obj_get(path)) < 0) {
		printf("%s: %m\n", path);
		exit(1);
	}
	snprintf(seen[i].name, sizeof(seen[i].name), "%s", name);
	return seen[i].fd;
}

bool prog_run(const char *name, const struct frame *frame, uint32_t repeat, struct outcome *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->data, .data_size_in = frame->len,
		    .data_out = ret->frame.data, .data_size_out = sizeof(ret->frame.data),
		    .repeat = repeat);
	int err = bpf_prog_test_run_opts(prog_fd(name), &opts);

	if (err == -EINVAL && frame->len < PROG_RUN_SHORT)
		return false;
	if (err) {
		printf("test_run of %s on %zu bytes: %s\n", name, frame->len, strerror(-err));
		exit(1);
	}
	ret->retval = opts.retval;
	ret->ns = opts.duration;
	ret->frame.len = opts.data_size_out;
	return true;
}

struct sl_verdicts prog_verdicts(void)
{
	struct sl_verdicts verdicts = { 0 };

	gate_load_verdicts_get(prog_load, &prog_key, &verdicts);
	return verdicts;
}

int prog_verdict_since(const struct sl_verdicts *before)
{
	struct sl_verdicts now = prog_verdicts();
	const __u64 *a = (const __u64 *)before, *b = (const __u64 *)&now;
	int rose = -1;

	for (int i = 0; i < SL_V_COUNT; i++) {
		if (a[i] == b[i])
			continue;
		if (b[i] != a[i] + 1 || rose != -1)
			return -2;
		rose = i;
	}
	return rose;
}
