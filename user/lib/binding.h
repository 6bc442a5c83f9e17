/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port bindings: which machine stands behind a MAC and its addresses in a tenant network. One
 * binding is one JSON object; a file of them has one a line (sluice-bindings(5)). They come from
 * the operator's file, from "sluice port set" and from the daemon's own store, all read here.
 * Reading is strict and bounded. Nothing here logs.
 */
#ifndef SLUICE_BINDING_H
#define SLUICE_BINDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BINDINGS_MAX	      100000 /* in one file */
#define BINDINGS_FILE_MAX     (64u << 20)
#define BINDING_LINE_MAX      4096
#define BINDING_ADDRESSES_MAX 16
#define BINDING_MAC_TEXT      18 /* "02:00:00:00:00:05" with its NUL */

/* Made by binding_read() in one block; free(3) ends it. */
struct binding {
	const char *tenant, *instance, *project;
	uint8_t mac[6];
	unsigned naddresses;
	uint8_t (*addresses)[16]; /* ascending, each once; IPv4 as ::ffff:a.b.c.d */
	int64_t expires;	  /* Unix seconds, 0: never */
};

/* In the order of (tenant, MAC), each pair once. */
struct binding_list {
	struct binding **list;
	size_t count, room;
};

/*
 * A binding from its JSON object. 0, or -EINVAL with a sentence in why, or -ENOMEM.
 */
#define BINDING_WHY_MAX 256
int binding_read(json_t *object, struct binding **ret, char why[BINDING_WHY_MAX]);
/* NULL: no memory. */
struct binding *binding_copy(const struct binding *from);
/* The reverse of reading; NULL: no memory. */
json_t *binding_write(const struct binding *binding);

/* "02:00:00:00:00:05", in any case; not of a group, not zero. 0 or -EINVAL. */
int binding_mac_parse(const char *text, uint8_t ret[6]);
void binding_mac_text(const uint8_t mac[6], char ret[BINDING_MAC_TEXT]);

/*
 * Reads a whole text. 0, or -EINVAL with *ret_why (malloc'd, may be NULL): lines
 * "NAME:LINE: what is wrong; what to write instead". *ret is untouched on failure.
 */
int bindings_parse(const char *name, const char *text, size_t len, struct binding_list *ret,
		   char **ret_why);
/* The same from a file; -ENOENT: there is none. */
int bindings_load(const char *path, struct binding_list *ret, char **ret_why);
/* Writes path anew, by rename; an empty list removes it. 0 or -errno. */
int bindings_save(const char *path, const struct binding_list *list);
/* Frees the bindings, too. */
void bindings_free(struct binding_list *list);

/* NULL: there is none. */
struct binding *bindings_find(const struct binding_list *list, const char *tenant,
			      const uint8_t mac[6]);
/* Takes binding over, in place of the one with its tenant and MAC. 0, -ENOSPC or -ENOMEM. */
int bindings_put(struct binding_list *list, struct binding *binding);
/* Takes it out; it is the caller's, NULL: there was none. */
struct binding *bindings_take(struct binding_list *list, const char *tenant, const uint8_t mac[6]);
/* Where a tenant's begin; they end where another name stands. */
size_t bindings_first(const struct binding_list *list, const char *tenant);

/* Whether address is one that binding_read() would take: known, not by MAC alone. */
bool binding_has(const struct binding *binding, const uint8_t address[16]);
/* The same identity: instance and project. */
bool binding_same(const struct binding *a, const struct binding *b);

#endif
