/* SPDX-License-Identifier: BSD-2-Clause */
#include "bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "relay.h"

#define NAME	"X-Sluice-Bridge"
#define NO_WORD "-" /* no name or id is this */
/* The origin sent no framing field that could be rewritten. */
#define MARK NAME ": until-close\r\nTransfer-Encoding: chunked\r\n"

/* A namespace may have any name; one that is no word is as good as none. */
static const char *network_word(const char *network)
{
	for (const char *c = network; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f)
			return NO_WORD;
	return *network ? network : NO_WORD;
}

int bridge_write(const struct relay *relay, const struct conn *conn, char *out, size_t size)
{
	const char *instance = bind_instance(relay, conn), *project = bind_project(relay, conn);
	char address[INET6_ADDRSTRLEN];
	int n;

	inet_ntop(AF_INET6, &conn->address, address, sizeof(address));
	n = snprintf(out, size, NAME ": 3 %u %u %u %u %s %s %s %s %s\r\n", conn->tenant,
		     conn->stats_slot, conn->client_port, conn->local_port, address,
		     conn->tenant_name, network_word(conn->network), instance ? instance : NO_WORD,
		     project ? project : NO_WORD);
	return n < 0 || (size_t)n >= size ? -E2BIG : n;
}

int bridge_read(struct relay *relay, struct conn *conn, const struct http_head *head,
		const char *bytes)
{
	const struct http_field *field = http_head_find(head, bytes, NAME);
	char line[512], address[INET6_ADDRSTRLEN], name[SL_NAME_MAX], network[SL_NAME_MAX];
	char instance[SL_NAME_MAX], project[SL_NAME_MAX];
	unsigned tenant, slot, port, local;
	struct in6_addr parsed;
	int end = 0;

	if (!field || field->value.len >= sizeof(line))
		return -EBADMSG;
	memcpy(line, bytes + field->value.at, field->value.len);
	line[field->value.len] = '\0';
	/* Widths are the arrays' sizes less the NUL. */
	static_assert(sizeof(address) == 46 && sizeof(name) == 64, "the widths below");
	if (sscanf(line, "3 %u %u %u %u %45s %63s %63s %63s %63s%n", &tenant, &slot, &port, &local,
		   address, name, network, instance, project, &end) != 9 ||
	    line[end] != '\0')
		return -EBADMSG;
	if (slot >= relay->stats_count || port > UINT16_MAX || local > UINT16_MAX ||
	    inet_pton(AF_INET6, address, &parsed) != 1)
		return -EBADMSG;
	conn->tenant = tenant;
	conn->stats_slot = slot;
	conn->client_port = (uint16_t)port;
	conn->local_port = (uint16_t)local;
	conn->address = parsed;
	memcpy(conn->tenant_name, name, sizeof(name));
	strcpy(conn->network, strcmp(network, NO_WORD) == 0 ? "" : network);
	strcpy(relay->instance, strcmp(instance, NO_WORD) == 0 ? "" : instance);
	strcpy(relay->project, strcmp(project, NO_WORD) == 0 ? "" : project);
	conn->origin_stats = &relay->stats[slot];
	return 0;
}

int bridge_mark(char *head, size_t len, size_t size)
{
	static const char mark[] = MARK "\r\n";

	/* Before the empty line. */
	if (len < 2 || len - 2 + sizeof(mark) - 1 > size)
		return -E2BIG;
	memcpy(head + len - 2, mark, sizeof(mark) - 1);
	return (int)(len - 2 + sizeof(mark) - 1);
}

bool bridge_unmark(struct http_head *head, const char *bytes)
{
	const struct http_field *found = http_head_find(head, bytes, NAME);
	bool marked = false;

	while (found) {
		size_t i = (size_t)(found - head->fields);

		marked = found->value.len == strlen("until-close") &&
			 memcmp(bytes + found->value.at, "until-close", found->value.len) == 0;
		memmove(&head->fields[i], &head->fields[i + 1],
			(head->nfields - i - 1) * sizeof(head->fields[0]));
		head->nfields--;
		found = http_head_find(head, bytes, NAME);
	}
	return marked;
}
