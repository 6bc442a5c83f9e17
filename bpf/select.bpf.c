/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which listener of a SO_REUSEPORT group takes a SYN. The kernel asks even when
 * steer has assigned one (6.6: the group has the last word), and also where the
 * stack finds the group itself. Returning SK_PASS without a choice leaves it to
 * the kernel's own hash.
 */
#include "guard.h"
#include "slots.h"

#define AF_INET6 10

/*
 * In turn: by hash, of 32 connections one of two workers has 20 and more every fifth time. Two
 * processors at once may take one turn twice; that evens out.
 */
inline_always __u32 take_turn(struct sl_slots *group, __u32 hash)
{
	if (group->hash == hash)
		return group->turn;
	group->hash = hash;
	return __sync_add_and_fetch(&group->turn, 1);
}

SEC("sk_reuseport")
int sl_select(struct sk_reuseport_md *md)
{
	struct sl_listener_key key = { 0 };
	struct sl_slots *group;
	__u64 open;
	__u32 turn;

	key.netns_cookie = netns_of_listener(md);
	key.l3_ifindex = md->sk->bound_dev_if;
	key.port = bpf_htons(md->sk->src_port);
	key.family = md->sk->family == AF_INET6 ? 6 : 4;
	group = bpf_map_lookup_elem(&slots, &key);
	if (!group)
		return SK_PASS;
	open = group->open;
	turn = take_turn(group, md->hash);
	for (int i = 0; i < SLOT_TRIES && open; i++) {
		key.worker = slots_pick(open, turn);
		if (!bpf_sk_select_reuseport(md, &listeners, &key, 0))
			break;
		open &= ~(1ull << (key.worker & 63));
	}
	return SK_PASS;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
