/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's SYN as TCP_SAVE_SYN kept it, from its link-layer header on: a VM wrote it. */
#ifndef SLUICE_SYN_H
#define SLUICE_SYN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The Ethernet source address; false when this is no Ethernet frame with TCP in it and nothing
 * more. (net/ipv4/tcp_input.c, tcp_reqsk_record_syn)
 */
bool syn_mac(const uint8_t *syn, size_t len, uint8_t ret_mac[6]);

#endif
