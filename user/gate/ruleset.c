/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ruleset is read as libnftables prints it in JSON; iptables-nft's rules are in there too.
 *
 * Before 1.0.10 (Debian 12 has 1.0.6) libnftables uses memory that it has freed when it prints a
 * table with one flag, "owner" or "dormant". So tables are asked for their flags first, and of
 * those that have some only chains are listed.
 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"

/* ---- netlink --------------------------------------------------------------------------------- */

/* Sends one request of nf_tables; on_answer is called for what comes. 0 or -errno. */
static int ask(int type, int flags, nl_recvmsg_msg_cb_t on_answer, void *arg)
{
	struct nfgenmsg body = { .nfgen_family = NFPROTO_UNSPEC };
	struct nl_sock *sock = nl_socket_alloc();
	int err;

	if (!sock)
		return -ENOMEM;
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_answer, arg);
	nl_socket_disable_auto_ack(sock); /* an answer or an error */
	err = nl_connect(sock, NETLINK_NETFILTER);
	if (!err)
		err = nl_send_simple(sock, NFNL_SUBSYS_NFTABLES << 8 | type, flags, &body,
				     sizeof(body));
	if (err >= 0)
		err = nl_recvmsgs_default(sock);
	nl_socket_free(sock);
	return err < 0 ? netlink_errno(err) : 0;
}

static int on_generation(struct nl_msg *message, void *arg)
{
	const struct nlattr *id =
		nlmsg_find_attr(nlmsg_hdr(message), sizeof(struct nfgenmsg), NFTA_GEN_ID);
	uint32_t *generation = arg;

	if (id && nla_len(id) == sizeof(*generation))
		*generation = ntohl(nla_get_u32(id));
	return NL_OK;
}

int ruleset_generation(uint32_t *ret)
{
	uint32_t generation = 0; /* of no ruleset */
	int err = ask(NFT_MSG_GETGEN, 0, on_generation, &generation);

	if (!err && !generation)
		err = -EPROTO;
	if (!err)
		*ret = generation;
	return err;
}

static const char *family_name(unsigned int family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	default:
		return NULL;
	}
}

/* Adds {family, name, flags} to an array. */
static int on_table(struct nl_msg *message, void *arg)
{
	struct nlattr *attributes[NFTA_TABLE_MAX + 1];
	const struct nfgenmsg *body = nlmsg_data(nlmsg_hdr(message));
	const char *family;
	json_t *table;

	if (nlmsg_parse(nlmsg_hdr(message), sizeof(*body), attributes, NFTA_TABLE_MAX, NULL) ||
	    !attributes[NFTA_TABLE_NAME] || !attributes[NFTA_TABLE_FLAGS])
		return NL_SKIP;
	family = family_name(body->nfgen_family);
	if (!family)
		return NL_SKIP;
	table = json_pack("{s:s, s:s, s:I}", "family", family, "name",
			  nla_get_string(attributes[NFTA_TABLE_NAME]), "flags",
			  (json_int_t)ntohl(nla_get_u32(attributes[NFTA_TABLE_FLAGS])));
	return table && !json_array_append_new(arg, table) ? NL_OK : -NLE_NOMEM;
}

/* ---- libnftables ----------------------------------------------------------------------------- */

static struct nft_ctx *open_nft(bool json)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);

	if (!nft)
		return NULL;
	if (nft_ctx_buffer_output(nft) || nft_ctx_buffer_error(nft)) {
		nft_ctx_free(nft);
		return NULL;
	}
	if (json)
		nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON);
	return nft;
}

/* 0 or -errno with the first line of what it says; further ones show where in the command. */
static int run(struct nft_ctx *nft, const char *commands, char *why)
{
	const char *said;

	if (!nft_run_cmd_from_buffer(nft, commands))
		return 0;
	said = nft_ctx_get_error_buffer(nft);
	if (why)
		snprintf(why, RULESET_WHY_MAX, "nftables: %.*s", (int)strcspn(said, "\n"), said);
	return -EIO;
}

int ruleset_change(const char *commands, char why[RULESET_WHY_MAX])
{
	struct nft_ctx *nft = open_nft(false);
	int err = nft ? run(nft, commands, why) : -ENOMEM;

	if (nft)
		nft_ctx_free(nft);
	return err;
}

/* Lists what is named by an object of libnftables-json(5), a reference it takes. */
static json_t *list(struct nft_ctx *nft, json_t *object, char *why)
{
	/* As JSON: names need no quotes, and none is taken for a word of the language. */
	json_t *request = json_pack("{s:[{s:o}]}", "nftables", "list", object), *answer = NULL;
	char *text = request ? json_dumps(request, 0) : NULL;
	json_t *objects;

	json_decref(request);
	if (text && !run(nft, text, why))
		answer = json_loads(nft_ctx_get_output_buffer(nft), 0, NULL);
	free(text);
	objects = json_incref(json_object_get(answer, "nftables"));
	json_decref(answer);
	return objects;
}

/* Takes more's reference; false: there is none, or no memory. */
static bool append(json_t *all, json_t *more)
{
	bool done = more && !json_array_extend(all, more);

	json_decref(more);
	return done;
}

/* The chains of a table, and their rules, one after the other: no object is the table. */
static bool list_chains(struct nft_ctx *nft, const json_t *table, json_t *all, char *why)
{
	json_t *family = json_object_get(table, "family"), *name = json_object_get(table, "name");
	json_t *chains = list(nft, json_pack("{s:{s:O}}", "chains", "family", family), why);
	json_t *entry;
	bool done = chains != NULL;
	size_t i;

	json_array_foreach (chains, i, entry) {
		const json_t *chain = json_object_get(entry, "chain");

		if (!chain || !json_equal(json_object_get(chain, "table"), name) ||
		    !json_equal(json_object_get(chain, "family"), family))
			continue;
		done = append(all,
			      list(nft,
				   json_pack("{s:{s:O, s:O, s:O}}", "chain", "family", family,
					     "table", name, "name", json_object_get(chain, "name")),
				   why));
		if (!done)
			break;
	}
	json_decref(chains);
	return done;
}

static bool list_tables(struct nft_ctx *nft, const json_t *tables, json_t *all, char *why)
{
	json_t *table;
	size_t i;

	json_array_foreach (tables, i, table) {
		bool done;

		if (json_integer_value(json_object_get(table, "flags")))
			done = list_chains(nft, table, all, why);
		else
			done = append(all, list(nft,
						json_pack("{s:{s:O, s:O}}", "table", "family",
							  json_object_get(table, "family"), "name",
							  json_object_get(table, "name")),
						why));
		if (!done)
			return false;
	}
	return true;
}

static bool any_flagged(const json_t *tables)
{
	json_t *table;
	size_t i;

	json_array_foreach (tables, i, table)
		if (json_integer_value(json_object_get(table, "flags")))
			return true;
	return false;
}

static json_t *try_list(char *why)
{
	json_t *tables = json_array(), *all = json_array();
	struct nft_ctx *nft = open_nft(true);
	bool done = false;

	if (tables && all && nft && !ask(NFT_MSG_GETTABLE, NLM_F_DUMP, on_table, tables))
		done = any_flagged(tables)
			       ? list_tables(nft, tables, all, why)
			       : append(all, list(nft, json_pack("{s:n}", "ruleset"), why));
	if (nft)
		nft_ctx_free(nft);
	json_decref(tables);
	if (done)
		return all;
	json_decref(all);
	return NULL;
}

json_t *ruleset_list(char why[RULESET_WHY_MAX])
{
	json_t *all = NULL;

	if (why)
		snprintf(why, RULESET_WHY_MAX, "nftables: the ruleset cannot be read");
	/* It may not be readable while somebody changes it. */
	for (unsigned tries = 0; !all && tries < RULESET_TRIES; tries++)
		all = try_list(why);
	return all;
}
