/* SPDX-License-Identifier: BSD-2-Clause */
/* Binding: TCP addresses, and unix sockets with their group and mode. */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int bind_unix(int fd, const struct settings_listen *settings, char **ret_why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = settings->parsed.path;
	struct group *group = settings->group ? getgrnam(settings->group) : NULL;
	int probe;

	strcpy(address.sun_path, path);
	if (settings->group && !group) {
		if (asprintf(ret_why, "%s: there is no group %s", path, settings->group) < 0)
			*ret_why = NULL;
		return -EINVAL;
	}
	/* A socket nobody answers is left over from a crash; a live one is not ours to take. */
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe >= 0) {
		if (!connect(probe, (struct sockaddr *)&address, sizeof(address))) {
			close(probe);
			return -EADDRINUSE;
		}
		close(probe);
		if (errno == ECONNREFUSED)
			unlink(path);
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	if ((group && chown(path, (uid_t)-1, group->gr_gid)) ||
	    chmod(path, settings->audience == SETTINGS_TENANTS ? 0660
			: settings->group		       ? 0660
							       : 0600))
		return -errno;
	return 0;
}

static int bind_tcp(int fd, const struct conf_address *parsed)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(parsed->port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(parsed->port) };
	bool is_six = parsed->family == AF_INET6;
	int one = 1;

	memcpy(&six.sin6_addr, parsed->ip, sizeof(six.sin6_addr));
	memcpy(&four.sin_addr, parsed->ip, sizeof(four.sin_addr));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (is_six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four,
		 is_six ? sizeof(six) : sizeof(four)))
		return -errno;
	return 0;
}

int http_listen(struct listener *listener, struct repod *repod,
		const struct settings_listen *settings, char **ret_why)
{
	int fd, err;

	*ret_why = NULL;
	listener->repod = repod;
	listener->settings = settings;
	listener->daemon = NULL;
	listener->socket = fd =
		socket(settings->parsed.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = settings->parsed.family == AF_UNIX ? bind_unix(fd, settings, ret_why)
						 : bind_tcp(fd, &settings->parsed);
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (!err)
		return 0;
	if (!*ret_why && asprintf(ret_why, "%s: %s", settings->address, strerror(-err)) < 0)
		*ret_why = NULL;
	close(fd);
	listener->socket = -1;
	return err;
}
