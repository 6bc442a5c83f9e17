/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker may still do once it talks to VMs. Every module of relay/ lists the
 * system calls and ring operations it makes right beside the code that makes them;
 * sandbox.c collects the lists (they lie in linker sections) and turns them into a
 * seccomp filter and io_uring restrictions. A call nobody listed kills the process.
 */
#ifndef SLUICE_RELAY_SANDBOX_H
#define SLUICE_RELAY_SANDBOX_H

#include <stdint.h>
#include <sys/syscall.h>

/*
 * A system call, allowed when the argument conditions hold (arg -1: none): an argument's bits
 * under mask equal value.
 */
struct sandbox_rule {
	const char *name;
	int number;
	int arg[2];
	uint64_t value[2];
	uint64_t mask[2];
};

struct sandbox_ring_op {
	const char *name;
	uint8_t opcode;
};

#define SANDBOX_JOIN2(a, b) a##b
#define SANDBOX_JOIN(a, b)  SANDBOX_JOIN2(a, b)
#define SANDBOX_RULE(call, arg0, value0, mask0, arg1, value1)                                      \
	static const struct sandbox_rule SANDBOX_JOIN(sandbox_rule_, __LINE__) __attribute__((     \
		used, section("sandbox_rules"), aligned(8))) = {                                   \
		#call, SYS_##call, { arg0, arg1 }, { value0, value1 }, { mask0, UINT64_MAX },      \
	}

/* One a line: SANDBOX_ALLOW(splice); */
#define SANDBOX_ALLOW(call)		     SANDBOX_RULE(call, -1, 0, 0, -1, 0)
#define SANDBOX_ALLOW_IF(call, index, equal) SANDBOX_RULE(call, index, equal, UINT64_MAX, -1, 0)
/* With none of these bits in the argument. */
#define SANDBOX_ALLOW_WITHOUT(call, index, bits) SANDBOX_RULE(call, index, 0, bits, -1, 0)
#define SANDBOX_ALLOW_OPTION(call, level, option)                                                  \
	SANDBOX_RULE(call, 1, (uint64_t)(level), UINT64_MAX, 2, (uint64_t)(option))

#define SANDBOX_RING_OP(op)                                                                        \
	static const struct sandbox_ring_op SANDBOX_JOIN(sandbox_ring_op_, __LINE__)               \
		__attribute__((used, section("sandbox_ring_ops"), aligned(8))) = { #op, op }

/*
 * Limits ring_fd to the listed operations and takes away every io_uring_register(2)
 * call; then enables it. The ring must have been made with IORING_SETUP_R_DISABLED and
 * have its buffers registered already. Returns 0 or -errno. (io_uring/register.c)
 */
int sandbox_ring(int ring_fd);

/*
 * Enters the sandbox: no_new_privs, Landlock without any file, network or scope right
 * (as far as the kernel knows them), no core dumps, the seccomp filter. There is no way back. Call
 * once, after the ring exists and the configuration is parsed. Returns 0 or -errno; *ret_why names
 * the step that failed.
 */
int sandbox_enter(const char **ret_why);

#endif
