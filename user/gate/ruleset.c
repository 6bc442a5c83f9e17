/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read by netlink (net/netfilter/nf_tables_api.c): tables for their flags, chains, rules. As JSON
 * libnftables would say the same, but before 1.0.10 (Debian 12 has 1.0.6) it uses memory that it
 * has freed when a table has one flag.
 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"

#define COMMENT	  0 /* the type of a rule's user data: libnftnl/udata.h */
#define DEPTH_MAX 4 /* of expressions in expressions; the kernel has two */

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
	errno = 0;
	/* libnl has no word for too many open files; EACCES is another thing to notrack_update().
	 */
	if (nl_connect(sock, NETLINK_NETFILTER)) {
		err = errno == EACCES ? -EPERM : errno ? -errno : -EIO;
		nl_socket_free(sock);
		return err;
	}
	err = nl_send_simple(sock, NFNL_SUBSYS_NFTABLES << 8 | type, flags, &body, sizeof(body));
	if (err >= 0)
		err = nl_recvmsgs_default(sock);
	nl_socket_free(sock);
	if (err == -NLE_DUMP_INTR)
		return -EAGAIN;
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

/* ---- reading --------------------------------------------------------------------------------- */

/* A table with flags. */
struct table {
	uint8_t family;
	uint32_t flags;
	char *name;
};

struct reading {
	void (*on_chain)(const struct ruleset_chain *chain, void *arg);
	void (*on_rule)(const struct ruleset_rule *rule, void *arg);
	void *arg;
	struct table *tables;
	size_t ntables;
};

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

static uint8_t family_of(struct nl_msg *message)
{
	return ((const struct nfgenmsg *)nlmsg_data(nlmsg_hdr(message)))->nfgen_family;
}

static bool parse(struct nl_msg *message, struct nlattr **attributes, int max)
{
	return !nlmsg_parse(nlmsg_hdr(message), sizeof(struct nfgenmsg), attributes, max, NULL);
}

/* A string that ends, or NULL. */
static const char *string(const struct nlattr *attribute)
{
	if (!attribute || !memchr(nla_data(attribute), '\0', (size_t)nla_len(attribute)))
		return NULL;
	return nla_data(attribute);
}

static uint32_t number(const struct nlattr *attribute, uint32_t otherwise)
{
	return attribute && nla_len(attribute) == sizeof(uint32_t) ? ntohl(nla_get_u32(attribute))
								   : otherwise;
}

static int on_table(struct nl_msg *message, void *arg)
{
	struct nlattr *attributes[NFTA_TABLE_MAX + 1];
	struct reading *reading = arg;
	struct table *grown, new = { .family = family_of(message) };

	if (!parse(message, attributes, NFTA_TABLE_MAX) || !string(attributes[NFTA_TABLE_NAME]))
		return NL_SKIP;
	new.flags = number(attributes[NFTA_TABLE_FLAGS], 0);
	if (!new.flags)
		return NL_OK;
	new.name = strdup(string(attributes[NFTA_TABLE_NAME]));
	grown = realloc(reading->tables, (reading->ntables + 1) * sizeof(*grown));
	if (grown)
		reading->tables = grown;
	if (!grown || !new.name) {
		free(new.name);
		return -NLE_NOMEM;
	}
	reading->tables[reading->ntables++] = new;
	return NL_OK;
}

static uint32_t flags_of(const struct reading *reading, uint8_t family, const char *table)
{
	for (size_t i = 0; i < reading->ntables; i++)
		if (reading->tables[i].family == family && !strcmp(reading->tables[i].name, table))
			return reading->tables[i].flags;
	return 0;
}

/* Of packets to or from this host. */
static bool is_ours(uint8_t family, struct nlattr *hook)
{
	struct nlattr *attributes[NFTA_HOOK_MAX + 1];

	if ((family != NFPROTO_IPV4 && family != NFPROTO_IPV6 && family != NFPROTO_INET) || !hook ||
	    nla_parse_nested(attributes, NFTA_HOOK_MAX, hook, NULL))
		return false;
	switch (number(attributes[NFTA_HOOK_HOOKNUM], NF_INET_NUMHOOKS)) {
	case NF_INET_PRE_ROUTING:
	case NF_INET_LOCAL_IN:
	case NF_INET_LOCAL_OUT:
	case NF_INET_POST_ROUTING:
		return true;
	default:
		return false;
	}
}

static int on_chain(struct nl_msg *message, void *arg)
{
	struct nlattr *attributes[NFTA_CHAIN_MAX + 1];
	const struct reading *reading = arg;
	uint8_t family = family_of(message);
	struct ruleset_chain chain = { .family = family_name(family) };
	const char *type;
	uint32_t flags;

	if (!chain.family || !parse(message, attributes, NFTA_CHAIN_MAX))
		return NL_SKIP;
	chain.table = string(attributes[NFTA_CHAIN_TABLE]);
	chain.name = string(attributes[NFTA_CHAIN_NAME]);
	if (!chain.table || !chain.name)
		return NL_SKIP;
	type = string(attributes[NFTA_CHAIN_TYPE]);
	chain.nat = type && !strcmp(type, "nat");
	chain.drops = number(attributes[NFTA_CHAIN_POLICY], NF_ACCEPT) == NF_DROP &&
		      is_ours(family, attributes[NFTA_CHAIN_HOOK]);
	flags = flags_of(reading, family, chain.table);
	chain.owned = flags & NFT_TABLE_F_OWNER;
	chain.dormant = flags & NFT_TABLE_F_DORMANT;
	reading->on_chain(&chain, reading->arg);
	return NL_OK;
}

static bool starts(const char *text, const char *with)
{
	return text && !strncmp(text, with, strlen(with));
}

/* A match or target of iptables. */
static bool compat_tracks(const char *name)
{
	return starts(name, "conn") || starts(name, "CONN") ||
	       (name && (!strcmp(name, "state") || !strcmp(name, "helper") || !strcmp(name, "CT")));
}

/* Connection tracking's own: "ct helper set". By a map it may be any. */
static bool object_tracks(uint32_t type)
{
	return type == NFT_OBJECT_CT_HELPER || type == NFT_OBJECT_CT_TIMEOUT ||
	       type == NFT_OBJECT_CT_EXPECT || type == NFT_OBJECT_UNSPEC;
}

static bool expression_tracks(struct nlattr *expression, unsigned depth);

static bool any_tracks(struct nlattr *expressions, unsigned depth)
{
	struct nlattr *expression;
	int left;

	if (expressions)
		nla_for_each_nested(expression, expressions,
				    left) if (expression_tracks(expression, depth)) return true;
	return false;
}

static bool expression_tracks(struct nlattr *expression, unsigned depth)
{
	struct nlattr *attributes[NFTA_EXPR_MAX + 1], *data[NFTA_DYNSET_MAX + 1];
	const char *kind;

	if (depth >= DEPTH_MAX || nla_parse_nested(attributes, NFTA_EXPR_MAX, expression, NULL))
		return false;
	kind = string(attributes[NFTA_EXPR_NAME]);
	if (!kind)
		return false;
	if (!strcmp(kind, "ct") || !strcmp(kind, "connlimit") || !strcmp(kind, "synproxy") ||
	    !strcmp(kind, "flow_offload"))
		return true;
	if (!attributes[NFTA_EXPR_DATA] ||
	    nla_parse_nested(data, NFTA_DYNSET_MAX, attributes[NFTA_EXPR_DATA], NULL))
		return false;
	if (!strcmp(kind, "objref"))
		return object_tracks(number(data[NFTA_OBJREF_IMM_TYPE], NFT_OBJECT_UNSPEC));
	if (!strcmp(kind, "match") || !strcmp(kind, "target"))
		return compat_tracks(string(data[NFTA_MATCH_NAME]));
	if (!strcmp(kind, "dynset"))
		return (data[NFTA_DYNSET_EXPR] &&
			expression_tracks(data[NFTA_DYNSET_EXPR], depth + 1)) ||
		       any_tracks(data[NFTA_DYNSET_EXPRESSIONS], depth + 1);
	return false;
}

/* Pieces of a type, a length, and so many bytes. */
static const char *comment_in(const struct nlattr *userdata)
{
	const unsigned char *at = userdata ? nla_data(userdata) : NULL;
	size_t left = userdata ? (size_t)nla_len(userdata) : 0, len;

	for (; left >= 2; at += 2 + len, left -= 2 + len) {
		len = at[1];
		if (len > left - 2)
			break;
		if (at[0] == COMMENT && len && !at[1 + len])
			return (const char *)at + 2;
	}
	return "";
}

static int on_rule(struct nl_msg *message, void *arg)
{
	struct nlattr *attributes[NFTA_RULE_MAX + 1], *handle;
	const struct reading *reading = arg;
	struct ruleset_rule rule = { .family = family_name(family_of(message)) };

	if (!rule.family || !parse(message, attributes, NFTA_RULE_MAX))
		return NL_SKIP;
	rule.table = string(attributes[NFTA_RULE_TABLE]);
	rule.chain = string(attributes[NFTA_RULE_CHAIN]);
	handle = attributes[NFTA_RULE_HANDLE];
	if (!rule.table || !rule.chain || !handle || nla_len(handle) != sizeof(rule.handle))
		return NL_SKIP;
	rule.handle = be64toh(nla_get_u64(handle));
	rule.comment = comment_in(attributes[NFTA_RULE_USERDATA]);
	rule.tracks = any_tracks(attributes[NFTA_RULE_EXPRESSIONS], 0);
	rule.owned = flags_of(reading, family_of(message), rule.table) & NFT_TABLE_F_OWNER;
	reading->on_rule(&rule, reading->arg);
	return NL_OK;
}

int ruleset_read(void (*chain)(const struct ruleset_chain *chain, void *arg),
		 void (*rule)(const struct ruleset_rule *rule, void *arg), void *arg)
{
	struct reading reading = { .on_chain = chain, .on_rule = rule, .arg = arg };
	uint32_t before, after;
	int err = ruleset_generation(&before);

	if (!err)
		err = ask(NFT_MSG_GETTABLE, NLM_F_DUMP, on_table, &reading);
	if (!err)
		err = ask(NFT_MSG_GETCHAIN, NLM_F_DUMP, on_chain, &reading);
	if (!err)
		err = ask(NFT_MSG_GETRULE, NLM_F_DUMP, on_rule, &reading);
	if (!err)
		err = ruleset_generation(&after);
	if (!err && after != before)
		err = -EAGAIN;
	for (size_t i = 0; i < reading.ntables; i++)
		free(reading.tables[i].name);
	free(reading.tables);
	return err;
}

/* ---- changing -------------------------------------------------------------------------------- */

int ruleset_change(const char *commands, char why[RULESET_WHY_MAX])
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	const char *said;
	int err = -ENOMEM;

	if (nft && !nft_ctx_buffer_output(nft) && !nft_ctx_buffer_error(nft))
		err = nft_run_cmd_from_buffer(nft, commands) ? -EIO : 0;
	if (err && why) {
		said = err == -EIO ? nft_ctx_get_error_buffer(nft) : strerror(-err);
		/* Further lines show the command and where in it. */
		snprintf(why, RULESET_WHY_MAX, "nftables: %.*s", (int)strcspn(said, "\n"), said);
	}
	if (nft)
		nft_ctx_free(nft);
	return err;
}
