/* SPDX-License-Identifier: BSD-2-Clause */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_FORMAT	"/run/sluice/%s/control.sock"
#define INSTANCE	"default"
#define REPLY_MAX	(256u << 20) /* 4096 tenants with all their counters are some 20 MiB */
#define REPLY_TIMEOUT_S 120	     /* a reload waits for workers */

static const char *instance_of(const struct common *common)
{
	return common->instance ? common->instance : INSTANCE;
}

/* 0, -ENAMETOOLONG, or -EINVAL for an instance that would leave /run/sluice. */
static int socket_path(const struct common *common, char *ret, size_t cap)
{
	int n;

	if (common->socket)
		n = snprintf(ret, cap, "%s", common->socket);
	else if (strchr(instance_of(common), '/') || instance_of(common)[0] == '.')
		return -EINVAL;
	else
		n = snprintf(ret, cap, SOCKET_FORMAT, instance_of(common));
	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

static int connect_to(const char *path, unsigned timeout_s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = (time_t)timeout_s };
	int sock, err;

	strcpy(address.sun_path, path);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
		err = -errno;
		close(sock);
		return err;
	}
	return sock;
}

/* The service is the instance "default"; others are started by whoever made them. */
static const char *start_command(const char *instance)
{
	if (!strcmp(instance, "default") && !access("/run/systemd/system", F_OK))
		return "systemctl start sluiced";
	if (!strcmp(instance, "default") && !access("/etc/init.d/sluiced", X_OK))
		return "/etc/init.d/sluiced start";
	return strcmp(instance, "default") ? "sluiced --instance " : "sluiced";
}

static enum status say_unreachable(const struct common *common, const char *path, int err)
{
	const char *instance = instance_of(common);

	switch (err) {
	case -EACCES:
	case -EPERM:
		fprintf(stderr,
			"sluice: no right to talk to %s\n"
			"  run it as root, or join group sluice (to read) or sluice-admin (to "
			"change)\n",
			path);
		return STATUS_DENIED;
	case -ENOENT:
	case -ECONNREFUSED:
		if (common->socket)
			fprintf(stderr,
				"sluice: sluiced is not running: nobody listens on %s\n"
				"  start it, or name another socket with --socket\n",
				path);
		else
			fprintf(stderr,
				"sluice: sluiced is not running for instance %s\n"
				"  start it with: %s%s\n",
				instance, start_command(instance),
				strcmp(instance, "default") ? instance : "");
		return STATUS_NO_DAEMON;
	default:
		fprintf(stderr, "sluice: cannot reach sluiced on %s: %s\n", path, strerror(-err));
		return STATUS_NO_DAEMON;
	}
}

static int send_all(int sock, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(sock, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_request(int sock, const char *command, json_t *arguments)
{
	json_t *request;
	char *line;
	int err;

	request = json_pack("{s:s, s:O*}", "command", command, "arguments", arguments);
	line = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (!line)
		return -ENOMEM;
	err = send_all(sock, line, strlen(line));
	if (!err)
		err = send_all(sock, "\n", 1);
	free(line);
	return err;
}

/* As recv(2); a descriptor that comes along is kept in *ret_fd, if that is still -1. */
static ssize_t receive(int sock, void *data, size_t len, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { data, len };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	int fd;

	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(sizeof(int)))
		return n;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	if (*ret_fd < 0)
		*ret_fd = fd;
	else
		close(fd);
	return n;
}

/* Reads up to the newline. 0 with *ret_line malloc'd and *ret_len. */
static int read_line(int sock, char **ret_line, size_t *ret_len, int *ret_fd)
{
	size_t len = 0, cap = 64 * 1024;
	char *line = malloc(cap), *more;
	ssize_t n;
	int err;

	if (!line)
		return -ENOMEM;
	for (;;) {
		n = receive(sock, line + len, cap - len, ret_fd);
		if (n < 0 && errno == EINTR)
			continue;
		err = n < 0 ? -errno : -ECONNRESET;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (line[len - 1] == '\n') {
			*ret_line = line;
			*ret_len = len;
			return 0;
		}
		if (len < cap)
			continue;
		err = -EMSGSIZE;
		if (cap >= REPLY_MAX)
			break;
		more = realloc(line, 2 * cap);
		err = -ENOMEM;
		if (!more)
			break;
		line = more;
		cap *= 2;
	}
	free(line);
	return err;
}

static enum status say_lost(const char *command, int err)
{
	if (err == -EAGAIN)
		fprintf(stderr,
			"sluice %s: sluiced did not answer within %d s\n"
			"  look at its log; it may be stopped or busy\n",
			command, REPLY_TIMEOUT_S);
	else
		fprintf(stderr,
			"sluice %s: sluiced closed the connection without an answer: %s\n"
			"  look at its log\n",
			command, strerror(-err));
	return STATUS_NO_DAEMON;
}

static enum status say_error(const char *command, json_t *reply)
{
	json_t *error = json_object_get(reply, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *hint = json_string_value(json_object_get(error, "hint"));

	fprintf(stderr, "sluice %s: %s\n", command, message ? message : "failed without a reason");
	if (hint && *hint)
		fprintf(stderr, "  %s\n", hint);
	if (code && !strcmp(code, "denied"))
		return STATUS_DENIED;
	if (code && !strcmp(code, "usage"))
		return STATUS_USAGE;
	return STATUS_FAILED;
}

static enum status read_reply(int sock, const char *command, bool quiet, json_t **ret_data,
			      int *ret_fd)
{
	json_t *reply, *data;
	json_error_t why;
	enum status status;
	char *line = NULL;
	size_t len = 0;
	int err;

	err = read_line(sock, &line, &len, ret_fd);
	if (err < 0)
		return quiet ? STATUS_NO_DAEMON : say_lost(command, err);
	reply = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	free(line);
	if (!reply || !json_is_boolean(json_object_get(reply, "ok"))) {
		fprintf(stderr,
			"sluice %s: the answer is not sluiced's (%s)\n"
			"  compare the versions: sluice version\n",
			command, reply ? "no \"ok\" in it" : why.text);
		json_decref(reply);
		return STATUS_FAILED;
	}
	if (json_is_false(json_object_get(reply, "ok"))) {
		status = say_error(command, reply);
	} else {
		data = json_object_get(reply, "data");
		*ret_data = data ? json_incref(data) : json_object();
		status = STATUS_OK;
	}
	json_decref(reply);
	return status;
}

/* quiet: that nobody answers is not said. */
static enum status call(const struct common *common, const char *command, json_t *arguments,
			bool quiet, unsigned timeout_s, json_t **ret_data, int *ret_fd)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)], typed[64];
	enum status status;
	int sock, err;

	/* What the user typed: "tenant.attach" is "tenant attach". */
	snprintf(typed, sizeof(typed), "%s", command);
	typed[strcspn(typed, ".")] = typed[strcspn(typed, ".")] ? ' ' : '\0';
	if (!strcmp(command, "log.open"))
		strcpy(typed, "log");

	err = socket_path(common, path, sizeof(path));
	if (err < 0) {
		json_decref(arguments);
		if (!quiet)
			fprintf(stderr, "sluice: '%s' cannot be a%s; try 'sluice --help'\n",
				common->socket ? common->socket : instance_of(common),
				common->socket ? " socket: its path is too long" : "n instance");
		return STATUS_USAGE;
	}
	sock = connect_to(path, timeout_s);
	if (sock < 0) {
		json_decref(arguments);
		return quiet ? STATUS_NO_DAEMON : say_unreachable(common, path, sock);
	}
	err = send_request(sock, command, arguments);
	json_decref(arguments);
	/* A daemon that refuses the peer answers first and closes; read that before complaining. */
	if (err < 0 && err != -EPIPE)
		status = quiet ? STATUS_NO_DAEMON : say_lost(typed, err);
	else
		status = read_reply(sock, typed, quiet, ret_data, ret_fd);
	close(sock);
	return status;
}

/* For replies that come without a descriptor: one that comes nevertheless is closed. */
static enum status call_plain(const struct common *common, const char *command, json_t *arguments,
			      bool quiet, json_t **ret_data)
{
	int fd = -1;
	enum status status =
		call(common, command, arguments, quiet, REPLY_TIMEOUT_S, ret_data, &fd);

	if (fd >= 0)
		close(fd);
	return status;
}

enum status client_call(const struct common *common, const char *command, json_t *arguments,
			json_t **ret_data)
{
	return call_plain(common, command, arguments, false, ret_data);
}

enum status client_try(const struct common *common, const char *command, json_t **ret_data)
{
	return call_plain(common, command, NULL, true, ret_data);
}

enum status client_ask(const struct common *common, const char *command, json_t *arguments,
		       unsigned timeout_s, json_t **ret_data, int *ret_fd)
{
	return call(common, command, arguments, true, timeout_s, ret_data, ret_fd);
}

enum status client_open(const struct common *common, const char *command, json_t *arguments,
			json_t **ret_data, int *ret_fd)
{
	enum status status;

	*ret_fd = -1;
	status = call(common, command, arguments, false, REPLY_TIMEOUT_S, ret_data, ret_fd);
	if (status == STATUS_OK && *ret_fd < 0) {
		fprintf(stderr, "sluice: the answer to %s came without a descriptor\n", command);
		json_decref(*ret_data);
		return STATUS_FAILED;
	}
	if (status != STATUS_OK && *ret_fd >= 0)
		close(*ret_fd);
	return status;
}
