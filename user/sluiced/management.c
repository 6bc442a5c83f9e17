/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptor keeps a namespace alive whose name has gone. While the name is gone that is as
 * wanted: it may be all the way there is. When the name is another's, that one is meant.
 */
#include "management.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gate/netns.h"
#include "../lib/log.h"

#define LOOK_MS 3000

static void on_look(struct loop_timer *timer)
{
	struct management *management = container_of(timer, struct management, look);
	static struct log_limit limit = LOG_LIMIT(60000, 5);
	uint64_t inode = netns_inode(management->name);
	uint32_t left_out;
	int ns, err;

	loop_timer_start(&management->sluiced->loop, timer, LOOK_MS, on_look);
	if (!inode || inode == management->inode)
		return;
	ns = netns_open(management->name);
	if (ns < 0)
		return;
	close(management->netns);
	management->netns = ns;
	management->inode = netns_inode_of(ns);
	if (log_allowed(&limit, &left_out))
		log_warn("management namespace %s was made anew: connections to services are made "
			 "from there, by new workers (%u lines left out)",
			 management->name, left_out);
	/* Those that workers keep for the next request lead into the one before, and nowhere. */
	err = sluiced_renew(management->sluiced);
	if (err)
		log_error("no new workers: %s; sluice reload starts them", strerror(-err));
}

/* A process's is what it was at the reload: its number may be another process's by now. */
static void follow(struct management *management)
{
	struct loop *loop = &management->sluiced->loop;

	loop_timer_stop(loop, &management->look);
	if (management->name && !netns_of_process(management->name))
		loop_timer_start(loop, &management->look, LOOK_MS, on_look);
}

void management_init(struct management *management, struct sluiced *sluiced)
{
	*management = (struct management){ .sluiced = sluiced, .netns = -1 };
}

void management_free(struct management *management)
{
	loop_timer_stop(&management->sluiced->loop, &management->look);
	if (management->netns >= 0)
		close(management->netns);
	free(management->name);
}

int management_apply(struct management *management, const struct conf_management *wanted,
		     char **ret_why)
{
	struct conf_address source = { 0 };
	char *name = NULL;
	int ns = -1;

	*ret_why = NULL;
	if (wanted->source) {
		if (inet_pton(AF_INET, wanted->source, source.ip) == 1)
			source.family = AF_INET;
		else if (inet_pton(AF_INET6, wanted->source, source.ip) == 1)
			source.family = AF_INET6;
		else
			return -EINVAL;
	}
	if (wanted->netns) {
		name = strdup(wanted->netns);
		ns = name ? netns_open(name) : -ENOMEM;
		if (ns < 0) {
			free(name);
			if (asprintf(
				    ret_why,
				    "management.netns: %s: %s; \"ip netns list\" names those there "
				    "are, \"sluice gateway create\" makes one",
				    wanted->netns, strerror(-ns)) < 0)
				*ret_why = NULL;
			return ns;
		}
	}
	if (management->netns >= 0)
		close(management->netns);
	free(management->name);
	management->name = name;
	management->netns = ns;
	management->inode = ns < 0 ? 0 : netns_inode_of(ns);
	management->source = source;
	follow(management);
	return 0;
}

/* A socket belongs to the namespace it is made in, wherever it is used later. */
int management_socket(const struct management *management, int family)
{
	struct netns_visit visit;
	int sock, err;

	if (family == AF_UNIX || management->netns < 0) {
		sock = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		return sock < 0 ? -errno : sock;
	}
	err = netns_enter(&visit, management->netns);
	if (err)
		return err;
	sock = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = sock < 0 ? -errno : 0;
	netns_leave(&visit);
	return err ? err : sock;
}
