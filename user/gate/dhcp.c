/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One dnsmasq a tenant: its answers depend on the interface, and two tenants may have the same
 * subnet. Who it was is kept as "PID STARTTIME" beside its leases, for a daemon that comes later.
 */
#include "dhcp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns.h"

#define LEASE_TIME "12h"
#define LEASES_MAX 65536

static const char *const places[] = { "/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq" };

static const char *find_program(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!access(places[i], X_OK))
			return places[i];
	return NULL;
}

static void write_range(FILE *file, const struct dhcp_spec *spec)
{
	struct subnet first = subnet_nth(&spec->gateway, 1), last = subnet_nth(&spec->gateway, -2);
	char from[SUBNET_TEXT_MAX], to[SUBNET_TEXT_MAX];
	uint64_t hosts = (1ull << (32 - spec->gateway.prefix)) - 2;

	/* Addresses of its own and of the router dnsmasq leaves out itself; the usual place of a
	 * gateway is not even in the range. */
	if (hosts > 1 && !memcmp(first.ip, spec->gateway.ip, 4))
		first = subnet_nth(&spec->gateway, 2);
	subnet_address(&first, from);
	subnet_address(&last, to);
	fprintf(file, "dhcp-range=%s,%s," LEASE_TIME "\n", from, to);
	fprintf(file, "dhcp-lease-max=%llu\n",
		(unsigned long long)(hosts < LEASES_MAX ? hosts : LEASES_MAX));
}

static void write_options(FILE *file, const struct dhcp_spec *spec)
{
	char gateway[SUBNET_TEXT_MAX], router[SUBNET_TEXT_MAX] = "", dns[SUBNET_TEXT_MAX];
	/* 249 is what Windows asked for before it knew 121. */
	static const int routes[] = { 121, 249 };

	subnet_address(&spec->gateway, gateway);
	if (spec->router.family)
		subnet_address(&spec->router, router);
	/* An option without a value is not sent; by default dnsmasq offers itself. */
	fprintf(file, "dhcp-option=3%s%s\n", router[0] ? "," : "", router);
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		fprintf(file, "dhcp-option=%d,169.254.169.254/32,%s", routes[i], gateway);
		fprintf(file, router[0] ? ",0.0.0.0/0,%s\n" : "\n", router);
	}
	fputs("dhcp-option=6", file);
	for (unsigned i = 0; i < spec->ndns; i++) {
		subnet_address(&spec->dns[i], dns);
		fprintf(file, ",%s", dns);
	}
	putc('\n', file);
}

int dhcp_configure(const struct dhcp_spec *spec)
{
	/* Debian's dnsmasq has a user of its own; whoever it is, it is not root. */
	const char *user = getpwnam("dnsmasq") ? "dnsmasq" : "nobody";
	char path[PATH_MAX];
	FILE *file;
	int err;

	snprintf(path, sizeof(path), "%s/dnsmasq.conf", spec->dir);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	fprintf(file,
		"# Written by sluiced; changes are lost.\n"
		"user=%s\ngroup=nogroup\npid-file=\nport=0\nno-resolv\nno-hosts\nno-ping\n"
		"bind-interfaces\ninterface=%s\nexcept-interface=lo\nlog-facility=-\nquiet-dhcp\n"
		"dhcp-authoritative\ndhcp-leasefile=%s/leases\n",
		user, spec->interface, spec->dir);
	write_range(file, spec);
	write_options(file, spec);
	err = ferror(file) ? -EIO : 0;
	if (fclose(file) && !err)
		err = -errno;
	return err;
}

/* When the process began, in clock ticks since boot: a number that is used again differs. */
static int start_time(pid_t pid, unsigned long long *ret)
{
	char path[64], text[1024];
	const char *at;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	/* Field 22; the command, which may hold anything, ends at the last parenthesis. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, "%llu", ret) != 1)
		return -EPROTO;
	return 0;
}

static void record(const char *dir, pid_t pid)
{
	unsigned long long started;
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/dnsmasq.pid", dir);
	file = fopen(path, "we");
	if (!file)
		return;
	if (!start_time(pid, &started))
		fprintf(file, "%d %llu\n", pid, started);
	fclose(file);
}

static void run_child(const struct dhcp_spec *spec, const char *program, int ns)
	__attribute__((noreturn));
static void run_child(const struct dhcp_spec *spec, const char *program, int ns)
{
	char option[PATH_MAX];
	static char name[] = "dnsmasq", foreground[] = "--keep-in-foreground";
	char *const argv[] = { name, foreground, option, NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	snprintf(option, sizeof(option), "--conf-file=%s/dnsmasq.conf", spec->dir);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (null >= 0 && setsid() >= 0 && !setns(ns, CLONE_NEWNET) &&
	    dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
	    !syscall(SYS_close_range, 3, ~0U, 0))
		execv(program, argv);
	_exit(127);
}

int dhcp_start(const struct dhcp_spec *spec, pid_t *ret_pid, int *ret_pidfd)
{
	const char *program = find_program();
	int ns, pidfd, err;
	pid_t pid;

	if (!program)
		return -ENOENT;
	ns = netns_open(spec->netns);
	if (ns < 0)
		return ns;
	pid = fork();
	if (!pid)
		run_child(spec, program, ns);
	err = pid < 0 ? -errno : 0;
	close(ns);
	if (err)
		return err;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		err = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err;
	}
	record(spec->dir, pid);
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

void dhcp_end_stale(const char *dir)
{
	unsigned long long started, now;
	char path[PATH_MAX];
	int pid, pidfd;
	FILE *file;

	snprintf(path, sizeof(path), "%s/dnsmasq.pid", dir);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%d %llu", &pid, &started) == 2 && pid > 1) {
		/* Held while its start time is compared, the number cannot change hands. */
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (pidfd >= 0) {
			if (!start_time(pid, &now) && now == started) {
				syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
				waitpid(pid, NULL, 0); /* ours, after an upgrade in place */
			}
			close(pidfd);
		}
	}
	fclose(file);
	unlink(path);
}

void dhcp_forget(const char *dir)
{
	static const char *const names[] = { "dnsmasq.conf", "dnsmasq.pid", "leases" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
}
