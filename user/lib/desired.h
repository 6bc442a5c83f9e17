/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a node of a cluster is to be: the payload of a signed document (lib/signed.h).
 *
 *   {"version": 1, "cluster": "blue", "node": "n1", "generation": 7, "expires": SECONDS,
 *    "run": "ID", "manifest": "SHA-256" | "", "variables": {"NAME": "value"},
 *    "items": [{"id": "…", "name": "etcd", "action": "install", "stage": true, "go": false,
 *               "redo": false}, …],
 *    "swarm": {"address": "10.9.0.11", "port": 8444, "trust": SECONDS,
 *              "peers": [{"name": "n2", "address": "10.9.0.12", "key": "SHA-256"}, …]}}
 *
 * An item is one of the bundle, by name, or "@network" (with "links") or "@storage" (with
 * "stores"). Its id is a digest of everything that decides what installing it does, so what has
 * the same id need not be done again. stage: its blobs may be fetched; go: it may be installed.
 * swarm, which may be missing: where this node passes pieces on, and the nodes it exchanges them
 * with; key is the hash of a peer's public key. trust, which may be missing: how long peers are
 * trusted after the control machine was heard of last. The generation only rises; an agent refuses
 * a lower one. Pure: the control machine writes such payloads, agents read them.
 */
#ifndef SLUICE_DESIRED_H
#define SLUICE_DESIRED_H

#include <jansson.h>
#include <stdbool.h>

#define DESIRED_ITEMS_MAX     160
#define DESIRED_VARIABLES_MAX 512
#define DESIRED_SCHEME_MAX    64 /* links, stores, addresses, routes */
#define DESIRED_PEERS_MAX     32
#define DESIRED_TRUST	      600 /* seconds, where a document does not say */
#define DESIRED_TRUST_LEAST   10
#define DESIRED_TRUST_MOST    (30 * 86400)
#define DESIRED_ID_LEN	      32
#define DESIRED_RUN_LEN	      16
#define DESIRED_NETWORK	      "@network"
#define DESIRED_STORAGE	      "@storage"

/* Parses and checks; NULL when anything is missing, unknown, wrong or too much. */
json_t *desired_parse(const char *payload, size_t len);
/* An item's name: as in a bundle, or one of the two schemes. */
bool desired_name_valid(const char *name);

#endif
