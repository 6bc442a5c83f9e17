/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening a gate's listeners, and naming who is in the way when that fails.
 */
#include "listen.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../bpf/abi.h"

#define BACKLOG 4096
#define DEFER_S 1 /* less than supervise.c goes on accepting for what a reload leaves over */

static int set_int(int sock, int level, int name, int value)
{
	return setsockopt(sock, level, name, &value, sizeof(value)) ? -errno : 0;
}

int listen_set_hop_limit(int sock, int family, uint32_t hop_limit)
{
	int value = hop_limit ? (int)hop_limit : -1;

	if (family == AF_INET6)
		return set_int(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, value);
	return set_int(sock, IPPROTO_IP, IP_TTL, value);
}

bool listen_default_congestion(char ret[LISTEN_CONGESTION_MAX])
{
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "re");
	bool found = file && fscanf(file, "%15s", ret) == 1;

	if (file)
		fclose(file);
	return found;
}

void listen_set_congestion(int sock, const char *name)
{
	setsockopt(sock, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

int listen_set_mark(int sock, uint32_t mark)
{
	return set_int(sock, SOL_SOCKET, SO_MARK, (int)mark);
}

int listen_share(int sock)
{
	return set_int(sock, SOL_SOCKET, SO_REUSEPORT, 1);
}

int listen_own(int sock, uid_t owner)
{
	return fchown(sock, owner, (gid_t)-1) ? -errno : 0;
}

bool listen_is_owned(int sock, uid_t owner)
{
	struct stat status;

	return !fstat(sock, &status) && status.st_uid == owner;
}

int listen_save_syn(int sock, bool save)
{
	/* 2: from the link-layer header on. */
	return set_int(sock, IPPROTO_TCP, TCP_SAVE_SYN, save ? 2 : 0);
}

/* Options that accepted sockets inherit or that decide which packets match. */
static int set_options(int sock, const struct listen_spec *spec, bool claim)
{
	bool v6 = spec->family == AF_INET6;
	int err;

	/* TIME_WAIT of an earlier listener's connections must not hold the address; a socket
	 * that listens still does. */
	err = set_int(sock, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!err && !claim)
		err = set_int(sock, SOL_SOCKET, SO_REUSEPORT, 1);
	/* Without it any NAT rule in the namespace orphans sockets assigned by BPF. */
	if (!err)
		err = v6 ? set_int(sock, IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
			 : set_int(sock, IPPROTO_IP, IP_TRANSPARENT, 1);
	if (!err && v6)
		err = set_int(sock, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!err && spec->hop_limit)
		err = v6 ? set_int(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, (int)spec->hop_limit)
			 : set_int(sock, IPPROTO_IP, IP_TTL, (int)spec->hop_limit);
	if (!err && spec->save_syn)
		err = listen_save_syn(sock, true);
	if (!err && spec->mark)
		err = listen_set_mark(sock, spec->mark);
	/* A worker hears of a connection with its first bytes, of a silent one after a second. */
	if (!err)
		err = set_int(sock, IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFER_S);
	/* A kernel that has no such algorithm goes on with its own. */
	if (!err && spec->congestion)
		listen_set_congestion(sock, spec->congestion);
	/* Or hosts behind other interfaces of the namespace could reach the listener. */
	if (!err && setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, spec->device,
			       (socklen_t)strlen(spec->device) + 1))
		err = -errno;
	return err;
}

static int bind_metadata(int sock, const struct listen_spec *spec)
{
	static const uint8_t ip4[4] = SL_META_IP4, ip6[16] = SL_META_IP6;
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} address = { 0 };
	socklen_t len;

	if (spec->family == AF_INET) {
		address.in4.sin_family = AF_INET;
		address.in4.sin_port = htons(spec->port);
		memcpy(&address.in4.sin_addr, ip4, sizeof(ip4));
		len = sizeof(address.in4);
	} else {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(spec->port);
		address.in6.sin6_scope_id = spec->ifindex;
		memcpy(&address.in6.sin6_addr, ip6, sizeof(ip6));
		len = sizeof(address.in6);
	}
	return bind(sock, &address.any, len) ? -errno : 0;
}

/* Bound, and not listening yet. */
static int open_bound(const struct listen_spec *spec, bool claim)
{
	int sock = socket(spec->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (sock < 0)
		return -errno;
	err = set_options(sock, spec, claim);
	if (!err)
		err = listen_own(sock, spec->owner);
	if (!err)
		err = bind_metadata(sock, spec);
	if (err) {
		close(sock);
		return err;
	}
	return sock;
}

int listen_renew(const struct listen_spec *spec)
{
	int sock = open_bound(spec, false);

	if (sock < 0)
		return sock;
	close(sock);
	return 0;
}

int listen_open(const struct listen_spec *spec, bool claim)
{
	int sock = open_bound(spec, claim);
	int err = 0;

	if (sock < 0)
		return sock;
	/* Set after the bind, it lets the rest of our group in and has still refused strangers
	 * that set it too. */
	if (claim && spec->group)
		err = listen_share(sock);
	if (!err && listen(sock, BACKLOG))
		err = -errno;
	if (err) {
		close(sock);
		return err;
	}
	return sock;
}

/* ---- who is in the way ------------------------------------------------------------- */

/* enum in the kernel's net/tcp_states.h; a UDP socket that is bound and not connected is closed. */
#define LISTEN_STATE 0x0a
#define CLOSE_STATE  0x07

static bool process_holds(const char *pid, const char *link)
{
	char path[300], target[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len > 0) {
			target[len] = '\0';
			found = !strcmp(target, link);
		}
	}
	closedir(dir);
	return found;
}

/* The sockets of one process, in order: each row of a table asks for one. */
struct sockets {
	unsigned long *inodes;
	size_t count;
};

static int compare(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

static bool has_socket(const struct sockets *sockets, unsigned long inode)
{
	return sockets && sockets->count &&
	       bsearch(&inode, sockets->inodes, sockets->count, sizeof(inode), compare);
}

/* process: its name below /proc. What cannot be read counts as not there; free() ret->inodes. */
static void read_sockets(const char *process, struct sockets *ret)
{
	char path[300], target[64];
	struct dirent *entry;
	DIR *dir;

	*ret = (struct sockets){ 0 };
	snprintf(path, sizeof(path), "/proc/%s/fd", process);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		unsigned long inode;
		void *grown;

		target[len > 0 ? len : 0] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		if (!(ret->count & (ret->count - 1))) { /* as many as there is room for */
			grown = realloc(ret->inodes,
					(ret->count ? 2 * ret->count : 1) * sizeof(inode));
			if (!grown)
				break;
			ret->inodes = grown;
		}
		ret->inodes[ret->count++] = inode;
	}
	if (dir)
		closedir(dir);
	if (ret->count)
		qsort(ret->inodes, ret->count, sizeof(*ret->inodes), compare);
}

/*
 * Reads /proc/net/tcp, tcp6 or udp (addresses are 32-bit words in host order, printed in hex) for
 * a socket in that state on one of the addresses, the wildcard behind the first; NULL: on any.
 * Those among own do not count. Returns its inode, 0 for none.
 */
static unsigned long find_socket(const char *table, unsigned int wanted,
				 const char *const *addresses, uint16_t port,
				 const struct sockets *own, bool *ret_any)
{
	unsigned long inode = 0;
	char line[512];
	FILE *file = fopen(table, "re");

	if (!file)
		return 0;
	while (!inode && fgets(line, sizeof(line), file)) {
		char local[33];
		unsigned int local_port, state;
		unsigned long found;

		if (sscanf(line, " %*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu",
			   local, &local_port, &state, &found) != 4)
			continue;
		if (state != wanted || local_port != port)
			continue;
		if (!addresses)
			inode = found;
		for (int i = 0; addresses && addresses[i]; i++)
			if (!strcmp(local, addresses[i]) && !has_socket(own, found)) {
				inode = found;
				*ret_any = i > 0;
			}
	}
	fclose(file);
	return inode;
}

static bool find_process(unsigned long inode, long *ret_pid, char *ret_command, size_t size)
{
	char link[64];
	struct dirent *entry;
	bool found = false;
	DIR *proc = opendir("/proc");

	if (!proc)
		return false;
	snprintf(link, sizeof(link), "socket:[%lu]", inode);
	while (!found && (entry = readdir(proc))) {
		char path[300];
		FILE *file;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !process_holds(entry->d_name, link))
			continue;
		found = true;
		*ret_pid = strtol(entry->d_name, NULL, 10);
		snprintf(ret_command, size, "a process");
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(ret_command, (int)size, file))
			ret_command[strcspn(ret_command, "\n")] = '\0';
		fclose(file);
	}
	closedir(proc);
	return found;
}

/* Whose listener is in the way? As find_socket(). */
static unsigned long find_among(int family, uint16_t port, const struct sockets *own, bool *ret_any)
{
	static const char *const ip4[] = { "FEA9FEA9", "00000000", NULL };
	static const char *const ip6[] = { "000080FE0000000000000000FEA9FEA9",
					   "00000000000000000000000000000000", NULL };
	unsigned long inode;

	*ret_any = false;
	if (family == AF_INET6)
		return find_socket("/proc/thread-self/net/tcp6", LISTEN_STATE, ip6, port, own,
				   ret_any);
	inode = find_socket("/proc/thread-self/net/tcp", LISTEN_STATE, ip4, port, own, ret_any);
	if (!inode) { /* [::] without IPV6_V6ONLY covers IPv4 */
		inode = find_socket("/proc/thread-self/net/tcp6", LISTEN_STATE, ip6 + 1, port, own,
				    ret_any);
		*ret_any = inode != 0;
	}
	return inode;
}

/* own: a process as below /proc, whose listeners do not count; NULL: all do. */
static unsigned long find_listener(int family, uint16_t port, const char *own, bool *ret_any)
{
	struct sockets sockets = { 0 };
	unsigned long inode;

	if (own)
		read_sockets(own, &sockets);
	inode = find_among(family, port, &sockets, ret_any);
	free(sockets.inodes);
	return inode;
}

long listen_holder_pid(int family, uint16_t port, long not_pid)
{
	char own[32], command[32];
	unsigned long inode;
	long pid;
	bool any;

	snprintf(own, sizeof(own), "%ld", not_pid);
	inode = find_listener(family, port, own, &any);
	return inode && find_process(inode, &pid, command, sizeof(command)) ? pid : 0;
}

bool listen_holder(int family, uint16_t port, bool process, char *ret_text, size_t size)
{
	const char *address = family == AF_INET ? "169.254.169.254" : "[fe80::a9fe:a9fe]";
	char command[32];
	bool any;
	unsigned long inode = find_listener(family, port, process ? "self" : NULL, &any);
	long pid;

	if (!inode)
		return false;
	if (any)
		address = "every address";
	if (!process)
		snprintf(ret_text, size, "another process listens on %s port %u", address, port);
	else if (find_process(inode, &pid, command, sizeof(command)))
		snprintf(ret_text, size, "%s (pid %ld) listens on %s port %u", command, pid,
			 address, port);
	else
		snprintf(ret_text, size, "a socket without a visible process listens on %s port %u",
			 address, port);
	return true;
}

bool listen_udp_holder(uint16_t port, char *ret_text, size_t size, long *ret_pid)
{
	char command[32];
	unsigned long inode =
		find_socket("/proc/thread-self/net/udp", CLOSE_STATE, NULL, port, NULL, NULL);

	if (!inode || !find_process(inode, ret_pid, command, sizeof(command)))
		return false;
	snprintf(ret_text, size, "%s (pid %ld)", command, *ret_pid);
	return true;
}
