/* SPDX-License-Identifier: BSD-2-Clause */
#include "syn.h"

#include <string.h>

#define ETHERNET 14
#define IP4_MIN	 20
#define IP6	 40
#define TCP_MIN	 20

/* Which header another kind of interface puts there is not said: one that is not Ethernet's does
 * not add up. */
bool syn_mac(const uint8_t *syn, size_t len, uint8_t ret_mac[6])
{
	const uint8_t *ip = syn + ETHERNET, *tcp;
	size_t ip_len, left;

	if (len < ETHERNET + IP4_MIN + TCP_MIN)
		return false;
	left = len - ETHERNET;
	if (syn[12] == 0x08 && syn[13] == 0x00 && ip[0] >> 4 == 4)
		ip_len = 4u * (ip[0] & 15);
	else if (syn[12] == 0x86 && syn[13] == 0xdd && ip[0] >> 4 == 6)
		ip_len = IP6;
	else
		return false;
	if (ip_len < IP4_MIN || ip_len + TCP_MIN > left)
		return false;
	tcp = ip + ip_len;
	if (ip_len + 4u * (tcp[12] >> 4) != left)
		return false;
	memcpy(ret_mac, syn + 6, 6);
	return true;
}
