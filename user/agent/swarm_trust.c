/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whom this node answers, and for how long. A machine that is shut out is told to nobody but those
 * who hear of the control machine; so who has not heard of it for a while trusts none of its peers,
 * and exchanges nothing until it has.
 *
 * What counts is a poll whose answer says that there is no newer document, from when it was asked:
 * an answer may be held up on its way. The clock is the one that goes on while a machine sleeps. An
 * agent that begins has heard nothing: its first poll is answered at once.
 */
#include "swarm.h"

#include "../lib/log.h"

/* Polls in the time that peers are trusted without one. */
#define POLLS 3

int64_t swarm_clock(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

void swarm_admit(struct swarm *swarm, const json_t *document)
{
	const json_t *trust = json_object_get(json_object_get(document, "swarm"), "trust");
	int64_t generation = json_integer_value(json_object_get(document, "generation"));

	if (!swarm)
		return;
	pthread_mutex_lock(&swarm->lock);
	if (generation > swarm->admitted_by) {
		swarm->admitted_by = generation;
		swarm->admitted_count = swarm_read_peers(document, swarm->admitted);
		turns_allow(&swarm->turns, SWARM_AT_ONCE, swarm->admitted_count);
		swarm->trust = 1000 * (trust ? (int64_t)json_integer_value(trust) : DESIRED_TRUST);
	}
	pthread_mutex_unlock(&swarm->lock);
}

void swarm_heard(struct swarm *swarm, int64_t at)
{
	if (!swarm)
		return;
	pthread_mutex_lock(&swarm->lock);
	swarm->heard = true;
	swarm->heard_at = at;
	pthread_mutex_unlock(&swarm->lock);
}

/* With the lock held. */
static bool trusts(const struct swarm *swarm)
{
	return swarm->heard && swarm_clock() - swarm->heard_at < swarm->trust;
}

bool swarm_trusts(struct swarm *swarm)
{
	bool does;

	pthread_mutex_lock(&swarm->lock);
	does = trusts(swarm);
	pthread_mutex_unlock(&swarm->lock);
	return does;
}

/* An agent that begins and has not heard yet does not say so: it will in a moment. */
void swarm_say_doubts(struct swarm *swarm)
{
	bool doubts;

	pthread_mutex_lock(&swarm->lock);
	doubts = swarm->heard && !trusts(swarm);
	if (doubts && !swarm->doubts)
		log_warn("swarm: no word from the control machine for %lld s: peers are not "
			 "trusted until it answers",
			 (long long)swarm->trust / 1000);
	else if (!doubts && swarm->doubts)
		log_info("swarm: the control machine answers: peers are trusted again");
	swarm->doubts = doubts;
	pthread_mutex_unlock(&swarm->lock);
}

unsigned swarm_poll_seconds(struct swarm *swarm, unsigned wanted)
{
	int64_t most;

	if (!swarm)
		return wanted;
	pthread_mutex_lock(&swarm->lock);
	most = !swarm->heard	     ? 0
	       : !swarm->admitted_by ? wanted
	       : trusts(swarm)	     ? swarm->trust / 1000 / POLLS
				     : 0;
	pthread_mutex_unlock(&swarm->lock);
	return most < (int64_t)wanted ? (unsigned)most : wanted;
}
