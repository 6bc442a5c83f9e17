/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker's sandbox, last of the stages that docs/privileges.md lists: the parent
 * has already taken uid, capabilities, network namespace and descriptors away.
 *
 * Why each layer: seccomp cannot look behind pointers, so socket(2) and connect(2) are
 * not listed at all; it does not see what io_uring does, so the ring is restricted too
 * and no second ring can be made; Landlock and rlimits stand behind both.
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Sections made by the linker from every module's lists. */
extern const struct sandbox_rule __start_sandbox_rules[], __stop_sandbox_rules[];
extern const struct sandbox_ring_op __start_sandbox_ring_ops[], __stop_sandbox_ring_ops[];

#define RING_OPS_MAX 32

/* What libc does on a worker's behalf: allocate, lock, tell the time, end. */
SANDBOX_ALLOW_IF(mmap, 2, PROT_READ | PROT_WRITE);
SANDBOX_ALLOW_IF(mmap, 2, PROT_NONE);
SANDBOX_ALLOW(munmap);
SANDBOX_ALLOW(mremap);
SANDBOX_ALLOW(madvise);
SANDBOX_ALLOW(brk);
SANDBOX_ALLOW(futex);
SANDBOX_ALLOW(clock_gettime);
SANDBOX_ALLOW(getpid);
SANDBOX_ALLOW(gettid);
SANDBOX_ALLOW(getrandom);
SANDBOX_ALLOW(rt_sigprocmask);
SANDBOX_ALLOW(rt_sigreturn);
SANDBOX_ALLOW(restart_syscall);
SANDBOX_ALLOW(exit);
SANDBOX_ALLOW(exit_group);
/* Log lines; a worker has no other file. */
SANDBOX_ALLOW_IF(write, 0, STDERR_FILENO);

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
/* ASan and UBSan: shadow memory, stack bounds, and the report itself. */
SANDBOX_ALLOW(mmap);
SANDBOX_ALLOW(mprotect);
SANDBOX_ALLOW(sigaltstack);
SANDBOX_ALLOW(rt_sigaction);
SANDBOX_ALLOW(sched_yield);
SANDBOX_ALLOW(sched_getaffinity);
SANDBOX_ALLOW(getrlimit);
SANDBOX_ALLOW(prlimit64);
SANDBOX_ALLOW(readlink);
SANDBOX_ALLOW(readlinkat);
#endif

/* include/uapi/linux/landlock.h of newer kernels; Debian 12's header stops at ABI 2. */
struct landlock_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};
#define LANDLOCK_FS_ABI1    ((1ULL << 13) - 1)
#define LANDLOCK_FS_ABI2    (1ULL << 13) /* REFER */
#define LANDLOCK_FS_ABI3    (1ULL << 14) /* TRUNCATE */
#define LANDLOCK_FS_ABI5    (1ULL << 15) /* IOCTL_DEV */
#define LANDLOCK_NET_ABI4   3ULL	 /* BIND_TCP | CONNECT_TCP */
#define LANDLOCK_SCOPE_ABI6 3ULL	 /* ABSTRACT_UNIX_SOCKET | SIGNAL */

static int restrict_filesystem(void)
{
	struct landlock_attr attr = { .handled_access_fs = LANDLOCK_FS_ABI1 };
	size_t size = sizeof(attr.handled_access_fs);
	long abi, ruleset;
	int rc = 0;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return 0; /* not built in or not enabled: seccomp stands alone */
	if (abi >= 2)
		attr.handled_access_fs |= LANDLOCK_FS_ABI2;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_FS_ABI3;
	if (abi >= 4) {
		attr.handled_access_net = LANDLOCK_NET_ABI4;
		size += sizeof(attr.handled_access_net);
	}
	if (abi >= 5)
		attr.handled_access_fs |= LANDLOCK_FS_ABI5;
	if (abi >= 6) {
		attr.scoped = LANDLOCK_SCOPE_ABI6;
		size += sizeof(attr.scoped);
	}
	ruleset = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return -errno;
	if (syscall(SYS_landlock_restrict_self, (int)ruleset, 0) < 0)
		rc = -errno;
	close((int)ruleset);
	return rc;
}

static int restrict_resources(void)
{
	static const struct rlimit none = { 0, 0 };

	/*
	 * No core: it would hold VMs' data and the services' secrets. NOFILE stays, since
	 * descriptors arrive by SCM_RIGHTS and accept; NPROC stays, since it would count
	 * io-wq's threads; FSIZE stays, since stderr may be a file.
	 */
	return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

static int add_rule(scmp_filter_ctx filter, const struct sandbox_rule *rule)
{
	struct scmp_arg_cmp conditions[2];
	unsigned count = 0;
	int rc;

	for (int i = 0; i < 2; i++)
		if (rule->arg[i] >= 0)
			conditions[count++] = (struct scmp_arg_cmp){
				.arg = (unsigned)rule->arg[i],
				.op = SCMP_CMP_MASKED_EQ,
				.datum_a = rule->mask[i],
				.datum_b = rule->value[i],
			};
	rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->number, count, conditions);
	/* Two modules may list the same call. */
	return rc == -EEXIST ? 0 : rc;
}

static int restrict_syscalls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	/* abort() signals this very process. */
	const struct scmp_arg_cmp own_pid = {
		.arg = 0,
		.op = SCMP_CMP_EQ,
		.datum_a = (scmp_datum_t)getpid(),
	};
	const struct sandbox_rule *rule;
	int rc = 0;

	if (!filter)
		return -ENOMEM;
	for (rule = __start_sandbox_rules; !rc && rule < __stop_sandbox_rules; rule++)
		rc = add_rule(filter, rule);
	if (!rc)
		rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SYS_tgkill, 1, &own_pid);
	/* A binary tree: the busiest calls are not behind a list of all the others. */
	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}

int sandbox_ring(int ring_fd)
{
	struct io_uring_restriction table[RING_OPS_MAX + 1];
	const struct sandbox_ring_op *op;
	unsigned count = 0;

	memset(table, 0, sizeof(table));
	for (op = __start_sandbox_ring_ops; op < __stop_sandbox_ring_ops; op++) {
		if (count == RING_OPS_MAX)
			return -E2BIG;
		table[count].opcode = IORING_RESTRICTION_SQE_OP;
		table[count++].sqe_op = op->opcode;
	}
	table[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	table[count++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_IO_HARDLINK |
				   IOSQE_ASYNC | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
	/* Debian 12's liburing does not export these two calls. */
	if (syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_RESTRICTIONS, table, count) < 0)
		return -errno;
	if (syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -errno;
	return 0;
}

int sandbox_enter(const char **ret_why)
{
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		*ret_why = "no_new_privs";
		return -errno;
	}
	rc = restrict_filesystem();
	if (rc < 0) {
		*ret_why = "Landlock";
		return rc;
	}
	rc = restrict_resources();
	if (rc < 0) {
		*ret_why = "rlimits";
		return rc;
	}
	rc = restrict_syscalls();
	if (rc < 0)
		*ret_why = "seccomp";
	return rc;
}
