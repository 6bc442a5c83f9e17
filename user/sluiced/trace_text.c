/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VALUE_MAX 2048 /* of a text in a worker's line */

static void format_time(int64_t us, char *ret, size_t size)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm utc;
	size_t len;

	gmtime_r(&seconds, &utc);
	len = strftime(ret, size, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(ret + len, size - len, ".%03dZ", (int)(us / 1000 % 1000));
}

static json_t *protocol_of(uint8_t proto)
{
	static const struct {
		uint8_t number;
		const char *name;
	} known[] = { { IPPROTO_TCP, "tcp" },
		      { IPPROTO_UDP, "udp" },
		      { IPPROTO_ICMP, "icmp" },
		      { IPPROTO_ICMPV6, "icmp6" } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].number == proto)
			return json_string(known[i].name);
	return proto ? json_integer(proto) : json_null();
}

static json_t *flags_of(uint8_t flags)
{
	static const char *const names[] = {
		"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"
	};
	char text[40] = "";

	for (unsigned i = 0; i < 8; i++)
		if (flags & 1u << i) {
			strcat(text, *text ? "," : "");
			strcat(text, names[i]);
		}
	return json_string(text);
}

static json_t *address_of(const struct sl_sample *sample)
{
	char text[INET6_ADDRSTRLEN];

	if (sample->family == 4)
		inet_ntop(AF_INET, sample->saddr + 12, text, sizeof(text));
	else if (sample->family == 6)
		inet_ntop(AF_INET6, sample->saddr, text, sizeof(text));
	else
		return json_null();
	return json_string(text);
}

/* Only TCP's are looked at. */
static json_t *port_of(uint16_t port)
{
	return port ? json_integer(ntohs(port)) : json_null();
}

static const char *reason_of(uint32_t verdict)
{
	static const char *const names[] = {
#define X(id, field, drop, text) #field,
		SL_VERDICTS(X)
#undef X
	};

	return verdict < SL_V_COUNT ? names[verdict] : "unknown";
}

json_t *trace_drop(const struct sl_sample *sample, const char *tenant, int64_t time_us)
{
	const uint8_t *mac = sample->smac;
	char when[40], hardware[18];

	format_time(time_us, when, sizeof(when));
	snprintf(hardware, sizeof(hardware), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:s, s:I}", "type", "drop",
		"time", when, "tenant", tenant, "reason", reason_of(sample->verdict), "hook",
		sample->hook == SL_HOOK_XDP ? "xdp" : "tc", "family", (int)sample->family,
		"protocol", protocol_of(sample->proto), "source", address_of(sample), "source_port",
		port_of(sample->sport), "port", port_of(sample->dport), "flags",
		flags_of(sample->tcp_flags), "mac", hardware, "length", (json_int_t)sample->length);
}

json_t *trace_left_out(const char *tenant, const char *kind, uint64_t count, const char *why)
{
	return json_pack("{s:s, s:s?, s:s, s:I, s:s}", "type", "left_out", "tenant", tenant, "kind",
			 kind, "count", (json_int_t)count, "why", why);
}

/* ---- from workers ------------------------------------------------------------------------------
 */

/* Nothing that a terminal would take for a command. */
static bool is_printable(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
			return false;
	return len <= VALUE_MAX;
}

/* What relay/access.c writes, and as what. */
static const struct {
	const char *key;
	bool number;
} members[] = {
	{ "time", false },   { "id", false },	     { "tenant", false },  { "client", false },
	{ "method", false }, { "path", false },	     { "route", false },   { "service", false },
	{ "origin", false }, { "status", true },     { "in", true },	   { "out", true },
	{ "engine", false }, { "connect_ms", true }, { "first_ms", true }, { "total_ms", true },
	{ "end", false },
};

json_t *trace_request(const char *line, size_t len, uint64_t *ret_left_out)
{
	json_t *from = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *to;
	json_int_t left_out;
	const char *tenant;

	*ret_left_out = 0;
	tenant = json_string_value(json_object_get(from, "tenant"));
	to = tenant && *tenant && is_printable(tenant) ? json_pack("{s:s}", "type", "request")
						       : NULL;
	for (size_t i = 0; to && i < sizeof(members) / sizeof(members[0]); i++) {
		json_t *value = json_object_get(from, members[i].key);
		bool fits = members[i].number ? json_is_number(value)
					      : json_is_string(value) &&
							is_printable(json_string_value(value));

		if (fits)
			json_object_set(to, members[i].key, value);
		else if (json_is_null(value))
			json_object_set_new(to, members[i].key, json_null());
	}
	left_out = json_integer_value(json_object_get(from, "left_out"));
	if (to && left_out > 0)
		*ret_left_out = (uint64_t)left_out;
	json_decref(from);
	return to;
}
