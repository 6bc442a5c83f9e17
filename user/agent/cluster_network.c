/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network scheme: files for systemd-networkd, which makes them hold after a boot, and the same
 * applied now, by networkd where it runs, else by ip (cluster_network_ip.c). A scheme that cuts
 * this machine off from its control machine is taken back.
 */
#include "cluster_network_ip.h"

#include <errno.h>
#include <glob.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fault.h"
#include "../lib/log.h"

#define FILE_TEXT 8192
#define SETTLE_MS 60000
#define TRIES	  10
#define TRIES_KEY "network-tries" /* left, of what this agent could not take back */

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static unsigned number(const json_t *object, const char *key)
{
	return (unsigned)json_integer_value(json_object_get(object, key));
}

__attribute__((format(printf, 2, 3))) static void append(char *out, const char *format, ...)
{
	size_t len = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + len, FILE_TEXT - len, format, args);
	va_end(args);
}

/* The VLANs on top of an interface. */
static void add_vlans(char *out, const json_t *links, const char *interface)
{
	const json_t *link;
	size_t i;

	json_array_foreach (links, i, link)
		if (text(link, "parent") && !strcmp(text(link, "parent"), interface))
			append(out, "VLAN=%s\n", text(link, "interface"));
}

static void make_network(char *out, const json_t *links, const json_t *link)
{
	const char *interface = text(link, "interface");
	const json_t *entry;
	size_t i;

	*out = '\0';
	append(out, "# Written by sluice-agent from the cluster file.\n[Match]\nName=%s\n",
	       interface);
	if (number(link, "mtu"))
		append(out, "\n[Link]\nMTUBytes=%u\n", number(link, "mtu"));
	append(out, "\n[Network]\nLinkLocalAddressing=ipv6\n");
	json_array_foreach (json_object_get(link, "addresses"), i, entry)
		append(out, "Address=%s\n", json_string_value(entry));
	if (text(link, "gateway"))
		append(out, "Gateway=%s\n", text(link, "gateway"));
	add_vlans(out, links, interface);
	json_array_foreach (json_object_get(link, "routes"), i, entry)
		append(out, "\n[Route]\nDestination=%s\nGateway=%s\n", text(entry, "to"),
		       text(entry, "via"));
}

static int put(struct work *work, const char *interface, const char *suffix, const char *content)
{
	char path[256];

	snprintf(path, sizeof(path), NETWORK_DIRECTORY "/10-sluice-%s.%s", interface, suffix);
	return config_put(work->node, DESIRED_NETWORK, path, content, 0644, "root", "root",
			  &work->outcome);
}

/* A VLAN's device, and its parent's file when the scheme does not have the parent itself. */
static int write_vlan(struct work *work, const json_t *links, const json_t *link, char *out)
{
	const char *parent = text(link, "parent");
	int err;

	*out = '\0';
	append(out, "[NetDev]\nName=%s\nKind=vlan\n\n[VLAN]\nId=%u\n", text(link, "interface"),
	       number(link, "vlan"));
	err = put(work, text(link, "interface"), "netdev", out);
	if (err || ip_find(links, parent))
		return err;
	*out = '\0';
	append(out, "[Match]\nName=%s\n\n[Network]\nKeepConfiguration=yes\n", parent);
	add_vlans(out, links, parent);
	return put(work, parent, "network", out);
}

static int write_files(struct work *work, const json_t *links)
{
	char *out = malloc(FILE_TEXT);
	const json_t *link;
	size_t i;
	int err = out ? 0 : -ENOMEM;

	json_array_foreach (links, i, link) {
		if (!err && text(link, "parent"))
			err = write_vlan(work, links, link, out);
		if (err)
			break;
		make_network(out, links, link);
		err = put(work, text(link, "interface"), "network", out);
	}
	free(out);
	return err;
}

/* Of interfaces that an earlier scheme had and this one has not. */
static int remove_stale(struct work *work, const json_t *links)
{
	static const char head[] = NETWORK_DIRECTORY "/10-sluice-";
	char interface[64];
	glob_t found;
	int err = 0;

	if (glob(NETWORK_DIRECTORY "/10-sluice-*", 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc && !err; i++) {
		const char *path = found.gl_pathv[i], *name = path + sizeof(head) - 1;

		snprintf(interface, sizeof(interface), "%.*s",
			 (int)(strrchr(name, '.') ? strrchr(name, '.') - name : 0), name);
		if (!ip_find(links, interface) && !ip_is_parent(links, interface) && unlink(path) &&
		    errno != ENOENT)
			err = outcome_fail(&work->outcome, -errno, "%s: %s", path, strerror(errno));
	}
	globfree(&found);
	return err;
}

static bool networkd_runs(void)
{
	char *state = exec_output(64, "systemctl", "is-active", "systemd-networkd", NULL);
	bool runs = state && !strncmp(state, "active", 6);

	free(state);
	return runs;
}

static bool interface_exists(const char *interface)
{
	return if_nametoindex(interface) != 0;
}

/* Networkd may not have heard of the files as they are: an agent before this one may have ended
 * before it told it. */
static bool reload_due = true;

static int reload(struct outcome *outcome)
{
	int err = exec_words(outcome, "networkctl", "reload", NULL);

	reload_due = err != 0;
	return err;
}

static int reconfigure(const json_t *links, struct outcome *outcome)
{
	const json_t *link;
	size_t i;
	int err = reload(outcome);

	json_array_foreach (links, i, link)
		if (!err && interface_exists(text(link, "interface")))
			err = exec_words(outcome, "networkctl", "reconfigure",
					 text(link, "interface"), NULL);
	return err;
}

/* To what was before, as far as it can be; the first failure. What is taken back is not so again:
 * from then on it is others'. */
static int go_back(struct node *node, struct outcome *outcome)
{
	int err = network_take_back(node), result = 0;

	if (!err) {
		reload_due |= network_kept(node);
		err = network_let_go(node);
	}
	/* One that starts later reads them by itself. */
	if (reload_due && networkd_runs())
		result = reload(outcome);
	reload_due = result != 0;
	err = err ? err : result;
	result = network_ip_take_back(node, outcome);
	err = err ? err : result;
	fault_point("network-back");
	if (err && !*outcome->why)
		outcome_fail(outcome, err, "%s", strerror(-err));
	if (err)
		log_error("the network of before: %s", outcome->why);
	return err;
}

static int set_tries(struct node *node, unsigned tries)
{
	char value[12];

	snprintf(value, sizeof(value), "%u", tries);
	return journal_set(node, TRIES_KEY, value);
}

/* err: why it did not come into force, told already; 0: it did, and cuts us off as reached says. */
static int take_back(struct work *work, int err, int reached)
{
	struct outcome *back = calloc(1, sizeof(*back));
	const char *how = reached == -EACCES ? "refuses this machine" : "could not be reached";
	int failed;

	if (!back)
		return -ENOMEM;
	if (err)
		log_error("it cannot be applied: the network scheme is taken back");
	else
		log_error("the control machine %s: the network scheme is taken back", how);
	failed = go_back(work->node, back);
	set_tries(work->node, failed ? TRIES : 0);
	if (!err)
		err = outcome_fail(&work->outcome, reached,
				   "with this network scheme the control machine %s: %s%.200s", how,
				   failed ? "it could not be taken back: " : "it was taken back",
				   back->why);
	free(back);
	return err;
}

/* Is a scheme on trial, or one that failed not taken back as a whole? */
static bool is_tried(struct node *node)
{
	return network_kept(node) || network_ip_tried(node);
}

static int check_interfaces(const json_t *links, struct outcome *outcome)
{
	const json_t *link;
	size_t i;

	json_array_foreach (links, i, link) {
		const char *base =
			text(link, "parent") ? text(link, "parent") : text(link, "interface");

		if (!interface_exists(base))
			return outcome_fail(outcome, -ENODEV, "there is no interface %s", base);
	}
	return 0;
}

int network_apply(struct work *work)
{
	const json_t *links = json_object_get(work->desired, "links");
	bool by_hand = !networkd_runs();
	int err = check_interfaces(links, &work->outcome), reached = 0;

	/* After a boot in the middle of a trial, what is missing may come yet: to files on trial.
	 */
	if (err)
		return is_tried(work->node) ? take_back(work, err, 0) : err;
	err = network_keep(work->node);
	/* Now: a journal on a disk that is full by then takes no word of it. */
	if (!err)
		err = set_tries(work->node, TRIES);
	if (!err)
		err = remove_stale(work, links);
	fault_point("network-kept");
	if (!err)
		err = write_files(work, links);
	if (!err)
		err = by_hand ? network_ip_apply(work, links) : reconfigure(links, &work->outcome);
	fault_point("network-set");
	if (!err)
		reached = network_reaches(work->node);
	if (!err && !reached)
		err = by_hand ? network_ip_hold(work->node, links) : network_let_go(work->node);
	if (!err && !reached)
		return 0;
	/* Ended by a signal it goes on with it the next time. */
	if (work->node->ending)
		return err ? err : -EINTR;
	return take_back(work, err, reached);
}

void network_settle(struct node *node)
{
	static int64_t next;
	int64_t now = clock_ms(CLOCK_MONOTONIC), tries;
	struct journal_item item;
	struct outcome *outcome;

	if (now < next)
		return;
	next = now + SETTLE_MS;
	/* One that has not failed is gone on with. */
	if (!journal_item(node, DESIRED_NETWORK, &item) || strcmp(item.state, "failed") != 0 ||
	    (!reload_due && !is_tried(node)))
		return;
	/* Not what an agent left that did not try again: it may be as others want it by now. */
	tries = journal_number(node, TRIES_KEY);
	if (tries <= 0 || tries > TRIES || set_tries(node, (unsigned)tries - 1) ||
	    network_ip_forget_older(node))
		return;
	outcome = calloc(1, sizeof(*outcome));
	if (outcome && !go_back(node, outcome)) {
		set_tries(node, 0);
		log_info("the network is what it was before the scheme that failed");
	} else if (tries == 1) {
		log_error("the network of before could not be put back in %d tries: the rest of it "
			  "is left as it is; put that right by hand, then apply",
			  TRIES);
	}
	free(outcome);
}

int network_remove(struct node *node, struct outcome *outcome)
{
	/* Of a scheme whose trial was cut short: nothing of it is to come back. */
	int err = network_let_go(node);

	if (!err)
		err = config_restore(node, DESIRED_NETWORK, outcome);
	if (!err && networkd_runs())
		err = reload(outcome);
	if (!err)
		err = network_ip_remove(node, outcome);
	fault_point("network-removed");
	return err;
}
