/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network namespaces: opened by name, path or process, entered for a moment and
 * always left again. Nothing here keeps a tenant's namespace alive: the descriptors
 * are the caller's and are closed when the visit is over.
 */
#ifndef SLUICE_GATE_NETNS_H
#define SLUICE_GATE_NETNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NETNS_DIR "/run/netns"

/*
 * Opens a network namespace. spec is a name under /run/netns, an absolute path, or
 * "pid:N" for the namespace of a process. Returns an O_CLOEXEC descriptor or -errno
 * (-EINVAL: not a network namespace).
 */
int netns_open(const char *spec);
/* Whether spec names it by a process, whose number is another one's some time after its end. */
bool netns_of_process(const char *spec);
/* The namespace a socket lives in: the way back into one whose name is gone. */
int netns_open_of_socket(int sock);
/* inode number of the namespace spec names now, 0 when there is none. */
uint64_t netns_inode(const char *spec);
uint64_t netns_inode_of(int fd);

/* A visit: from enter to leave the calling thread lives in the other namespace. */
struct netns_visit {
	int home; /* where leave returns to */
};

/* 0 or -errno; on failure nothing has changed. */
int netns_enter(struct netns_visit *visit, int fd);
/* The same by name, path or process, as netns_open() takes them. */
int netns_visit(struct netns_visit *visit, const char *spec);
/* Returns home. Ends the process if that fails: going on in a tenant's namespace must not be. */
void netns_leave(struct netns_visit *visit);

/* A new namespace of that name; -EEXIST when the name is taken. */
int netns_make(const char *name);
/* The name goes, and the namespace with its last user. 0 also when there is none. */
int netns_remove(const char *name);

/* SO_NETNS_COOKIE of the current namespace, and of the one that spec names now. 0 or -errno. */
int netns_cookie(uint64_t *ret_cookie);
int netns_cookie_of(const char *spec, uint64_t *ret_cookie);

#endif
