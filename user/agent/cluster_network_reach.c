/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the control machine reached by a new network scheme, and does it know this machine there? It
 * answers no node at another address than the one it was enrolled with. A scheme that is good must
 * not be taken back: a link that has just come up may carry nothing for half a minute (spanning
 * tree, twice a forward delay of 15 s), a control machine with all its nodes at once, and little of
 * a processor, takes seconds to answer, and either machine may stand still for a while.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/clock.h"

#define REACH_MS      60000
#define TRY_SECONDS   10
#define TRIES_LEAST   6
#define PAUSE_SECONDS 1
#define SILENT_MS     25000 /* after an answer: that one came before the scheme held */

int network_reaches(const struct node *node)
{
	char paths[3][CLUSTER_PATH_MAX], url[160], *body, *why;
	const int64_t look = (TRY_SECONDS + PAUSE_SECONDS) * 1000;
	struct awake awake = { 0 };
	const int64_t begun = awake_ms(&awake, clock_ms(CLOCK_MONOTONIC), look);
	int64_t now = begun, heard = 0;
	long status, answer = 0;
	unsigned tries = 0;
	struct http http;

	node_http(node, &http, paths);
	http.timeout = TRY_SECONDS;
	snprintf(url, sizeof(url), "%s/v1/here", node->server);
	do {
		status = http_call(&http, url, NULL, &body, &why);
		free(body);
		free(why);
		/* A control machine that is older knows this machine, and not the question. */
		if (status == 204 || status == 404)
			return 0;
		if (status > 0) {
			answer = status;
			heard = now;
		}
		tries++;
		sleep(PAUSE_SECONDS);
		now = awake_ms(&awake, clock_ms(CLOCK_MONOTONIC), look);
	} while (!node->ending && (now - begun < REACH_MS || tries < TRIES_LEAST));
	if (!answer || now - heard > SILENT_MS || node->ending)
		return -ENETUNREACH;
	/* What else is wrong over there, such as a full disk, is not the scheme's fault. */
	return answer == 401 || answer == 403 ? -EACCES : 0;
}
