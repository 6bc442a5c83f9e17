/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables, chains and rules of a tenant's namespace, as nf_tables tells them: whoever may change
 * them there chose each byte of names and comments. libnl's socket is played: the input is a row
 * of messages, a kind, a family, a length of two bytes and so many bytes of attributes each. What
 * notrack.c then tells nft(8) has to be commands of its own about names that are names.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>

#include "../../user/gate/notrack.h"
#include "fuzz.h"

#define NAME "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./"

static struct fuzz_input messages;
static nl_recvmsg_msg_cb_t on_answer;
static void *answer_arg;
static int asked;

int __wrap_nl_connect(struct nl_sock *sock, int protocol);
int __wrap_nl_connect(struct nl_sock *sock, int protocol)
{
	return 0;
}

int __wrap_nl_socket_modify_cb(struct nl_sock *sock, enum nl_cb_type type, enum nl_cb_kind kind,
			       nl_recvmsg_msg_cb_t func, void *arg);
int __wrap_nl_socket_modify_cb(struct nl_sock *sock, enum nl_cb_type type, enum nl_cb_kind kind,
			       nl_recvmsg_msg_cb_t func, void *arg)
{
	on_answer = func;
	answer_arg = arg;
	return 0;
}

int __wrap_nl_send_simple(struct nl_sock *sock, int type, int flags, void *data, size_t size);
int __wrap_nl_send_simple(struct nl_sock *sock, int type, int flags, void *data, size_t size)
{
	asked = type & 0xff;
	return 0;
}

static int answer(uint8_t family, const void *attributes, size_t len)
{
	struct nfgenmsg body = { .nfgen_family = family };
	struct nl_msg *built = nlmsg_alloc_size(NLMSG_SPACE(sizeof(body)) + len + 64), *exact;
	int result;

	assert(built && nlmsg_put(built, 0, 0, 0, 0, 0) && !nlmsg_append(built, &body, 4, 4));
	assert(!len || !nlmsg_append(built, (void *)(uintptr_t)attributes, len, 0));
	/* A copy that ends where it ends. */
	exact = nlmsg_convert(nlmsg_hdr(built));
	assert(exact);
	result = on_answer(exact, answer_arg);
	nlmsg_free(exact);
	nlmsg_free(built);
	return result;
}

int __wrap_nl_recvmsgs_default(struct nl_sock *sock);
int __wrap_nl_recvmsgs_default(struct nl_sock *sock)
{
	static const int kinds[] = { NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE };
	static const struct {
		struct nlattr head;
		uint32_t id;
	} generation = { { .nla_len = 8, .nla_type = NFTA_GEN_ID }, 0x02000000 };
	struct fuzz_input input = messages;
	int result = 0;

	if (asked == NFT_MSG_GETGEN)
		return answer(0, &generation, sizeof(generation)) < 0 ? -NLE_INVAL : 0;
	while (input.left && result >= 0) {
		int kind = kinds[fuzz_next(&input) % 3];
		uint8_t family = fuzz_next(&input);
		size_t len = fuzz_next(&input);

		len |= (size_t)fuzz_next(&input) << 8;
		if (len > input.left)
			len = input.left;
		if (kind == asked)
			result = answer(family, input.at, len);
		input.at += len;
		input.left -= len;
	}
	return result < 0 ? result : 0;
}

static bool is_name(const char *word)
{
	return word && word[0] && !strchr("0123456789-/", word[0]) && !word[strspn(word, NAME)];
}

static bool is_family(const char *word)
{
	return word && (!strcmp(word, "ip") || !strcmp(word, "ip6") || !strcmp(word, "inet") ||
			!strcmp(word, "arp") || !strcmp(word, "bridge") || !strcmp(word, "netdev"));
}

int __wrap_nft_run_cmd_from_buffer(struct nft_ctx *nft, const char *text);
int __wrap_nft_run_cmd_from_buffer(struct nft_ctx *nft, const char *text)
{
	static const char *const own[] = { "add table inet sluice_7", "add chain inet sluice_7 ",
					   "add rule inet sluice_7 ",
					   "delete table inet sluice_7" };
	char *copy = strdup(text), *lines, *words, *line, *verb;

	assert(copy);
	for (line = strtok_r(copy, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
		bool known = false;

		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			known |= !strncmp(line, own[i], strlen(own[i]));
		if (known)
			continue;
		verb = strtok_r(line, " ", &words);
		assert(!strcmp(verb, "insert") || !strcmp(verb, "delete"));
		assert(!strcmp(strtok_r(NULL, " ", &words), "rule"));
		assert(is_family(strtok_r(NULL, " ", &words)));
		assert(is_name(strtok_r(NULL, " ", &words)));
		assert(is_name(strtok_r(NULL, " ", &words)));
		if (!strcmp(verb, "insert"))
			assert(!strcmp(words, "meta mark 0x51a1ce accept comment \"sluice_7\""));
		else
			assert(!strncmp(words, "handle ", 7) &&
			       !words[7 + strspn(words + 7, "0123456789")]);
	}
	free(copy);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct notrack notrack = { 0 };
	char why[NOTRACK_WHY_MAX] = "";
	int err;

	messages = (struct fuzz_input){ data, size };
	err = notrack_update(&notrack, 7, why);
	assert(!err || why[0]);
	err = notrack_check(7, why);
	assert(err >= 0 || err == -EACCES);
	notrack_remove(&notrack, 7);
	assert(!notrack.needed);
	return 0;
}
