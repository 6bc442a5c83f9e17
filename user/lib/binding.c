/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One binding: JSON to struct and back.
 */
#include "binding.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../bpf/abi.h"

#define TIME_MAX INT64_C(253402300799) /* the year 9999 ends */

static const char *const keys[] = { "tenant",  "mac",	  "addresses", "instance",
				    "project", "expires", NULL };

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, BINDING_WHY_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

int binding_mac_parse(const char *text, uint8_t ret[6])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t mac[6], any = 0;

	if (strlen(text) != BINDING_MAC_TEXT - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++) {
		const char *high = strchr(hex, text[3 * i] | 0x20);
		const char *low = strchr(hex, text[3 * i + 1] | 0x20);

		if (!high || !low || text[3 * i + 2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)((high - hex) << 4 | (low - hex));
		any |= mac[i];
	}
	if ((mac[0] & 1) || !any)
		return -EINVAL;
	memcpy(ret, mac, sizeof(mac));
	return 0;
}

void binding_mac_text(const uint8_t mac[6], char ret[BINDING_MAC_TEXT])
{
	snprintf(ret, BINDING_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
}

/* "2026-11-21T22:00:00Z". 0 or -EINVAL. */
static int parse_time(const char *text, int64_t *ret)
{
	static const char form[] = "0000-00-00T00:00:00Z";
	struct tm tm = { 0 }, again;
	time_t time;

	if (strlen(text) != sizeof(form) - 1)
		return -EINVAL;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return -EINVAL;
	sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
	       &tm.tm_min, &tm.tm_sec);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	again = tm;
	time = timegm(&again);
	/* timegm(3) makes a date of the 31st of June. */
	if (time <= 0 || again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday ||
	    again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec)
		return -EINVAL;
	*ret = time;
	return 0;
}

static void write_time(int64_t time, char ret[24])
{
	time_t value = (time_t)time;
	struct tm tm;

	gmtime_r(&value, &tm);
	strftime(ret, 24, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* A word that can stand in a header, a log line and a map. */
static bool is_word(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789-_.");

	return len > 0 && len < SL_NAME_MAX && !text[len] && text[0] != '.' && text[0] != '-' &&
	       text[0] != '_';
}

static int read_word(json_t *object, const char *key, const char **ret, char *why)
{
	json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (!value)
		return refuse(why, "%s is missing; add it", key);
	if (!text || strlen(text) != json_string_length(value) || !is_word(text))
		return refuse(why,
			      "%s is no name; write at most %d letters, digits, '.', '_', '-', "
			      "beginning with a letter or digit",
			      key, SL_NAME_MAX - 1);
	*ret = text;
	return 0;
}

/* What is wrong with an address as a machine's own, or NULL. */
static const char *address_problem(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t meta[4] = SL_META_IP4;
	struct in6_addr in6;

	memcpy(&in6, a, sizeof(in6));
	if (!memcmp(a, mapped, sizeof(mapped))) {
		const uint8_t *ip = a + 12;

		if (!memcmp(ip, meta, sizeof(meta)))
			return "is the metadata address itself";
		return ip[0] == 0 || ip[0] == 127 || ip[0] >= 224 ? "is no machine's own" : NULL;
	}
	if (IN6_IS_ADDR_LINKLOCAL(&in6))
		return "is link-local, which a machine is known by its MAC under; leave it out";
	if (IN6_IS_ADDR_MULTICAST(&in6) || IN6_IS_ADDR_UNSPECIFIED(&in6) ||
	    IN6_IS_ADDR_LOOPBACK(&in6))
		return "is no machine's own";
	return NULL;
}

static int read_address(json_t *value, uint8_t ret[16], char *why)
{
	const char *text = json_string_value(value), *problem;
	uint8_t address[16] = { [10] = 0xff, [11] = 0xff };

	if (!text || strlen(text) != json_string_length(value) ||
	    (inet_pton(AF_INET, text, address + 12) != 1 &&
	     (inet_pton(AF_INET6, text, address) != 1 ||
	      !memcmp(address, (const uint8_t[12]){ [10] = 0xff, [11] = 0xff }, 12))))
		return refuse(why,
			      "%s%.64s%s is no address; write IPv4 or IPv6 addresses in quotes, "
			      "without a prefix length",
			      text ? "'" : "", text ? text : "what stands in addresses",
			      text ? "'" : "");
	problem = address_problem(address);
	if (problem)
		return refuse(why, "address '%.64s' %s", text, problem);
	memcpy(ret, address, sizeof(address));
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static int read_addresses(json_t *object, uint8_t ret[][16], unsigned *ret_count, char *why)
{
	json_t *list = json_object_get(object, "addresses");
	size_t count = json_array_size(list);

	if (!json_is_array(list))
		return refuse(why, "addresses is %s; write a list, e.g. [\"10.0.0.5\"]",
			      list ? "no list" : "missing");
	if (count > BINDING_ADDRESSES_MAX)
		return refuse(why, "addresses has %zu entries; at most %d are allowed", count,
			      BINDING_ADDRESSES_MAX);
	for (size_t i = 0; i < count; i++) {
		int err = read_address(json_array_get(list, i), ret[i], why);

		if (err)
			return err;
	}
	qsort(ret, count, 16, by_bytes);
	for (size_t i = 1; i < count; i++)
		if (!memcmp(ret[i - 1], ret[i], 16))
			return refuse(why, "addresses lists one twice; remove it");
	*ret_count = (unsigned)count;
	return 0;
}

static int read_expires(json_t *object, int64_t *ret, char *why)
{
	json_t *value = json_object_get(object, "expires");
	const char *text = json_string_value(value);

	*ret = 0;
	if (!value || json_is_null(value))
		return 0;
	if (json_is_integer(value) && json_integer_value(value) > 0 &&
	    json_integer_value(value) <= TIME_MAX) {
		*ret = json_integer_value(value);
		return 0;
	}
	if (text && strlen(text) == json_string_length(value) && !parse_time(text, ret))
		return 0;
	return refuse(why, "expires is no time; write e.g. \"2026-12-31T23:59:59Z\", or seconds "
			   "since 1970");
}

static bool known_key(const char *key)
{
	for (int i = 0; keys[i]; i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

/* One block: the struct, its addresses, its strings. */
struct binding *binding_copy(const struct binding *from)
{
	size_t lengths[3] = { strlen(from->tenant) + 1, strlen(from->instance) + 1,
			      strlen(from->project) + 1 };
	struct binding *binding = malloc(sizeof(*binding) + 16 * (size_t)from->naddresses +
					 lengths[0] + lengths[1] + lengths[2]);
	char *text;

	if (!binding)
		return NULL;
	*binding = *from;
	binding->addresses = (void *)(binding + 1);
	memcpy(binding->addresses, from->addresses, 16 * (size_t)from->naddresses);
	text = (char *)(binding->addresses + from->naddresses);
	binding->tenant = memcpy(text, from->tenant, lengths[0]);
	text += lengths[0];
	binding->instance = memcpy(text, from->instance, lengths[1]);
	text += lengths[1];
	binding->project = memcpy(text, from->project, lengths[2]);
	return binding;
}

int binding_read(json_t *object, struct binding **ret, char why[BINDING_WHY_MAX])
{
	uint8_t addresses[BINDING_ADDRESSES_MAX][16];
	struct binding binding = { .addresses = addresses };
	const char *key, *mac;
	json_t *value;
	int err;

	if (!json_is_object(object))
		return refuse(why, "this is no object; write {\"tenant\": ..., \"mac\": ..., "
				   "\"addresses\": [...], \"instance\": ..., \"project\": ...}");
	json_object_foreach (object, key, value)
		if (!known_key(key))
			return refuse(why,
				      "no key '%.64s' exists here; known: tenant, mac, addresses, "
				      "instance, project, expires",
				      key);
	err = read_word(object, "tenant", &binding.tenant, why);
	if (!err)
		err = read_word(object, "instance", &binding.instance, why);
	if (!err)
		err = read_word(object, "project", &binding.project, why);
	if (err)
		return err;
	value = json_object_get(object, "mac");
	mac = json_string_value(value);
	if (!mac || strlen(mac) != json_string_length(value) || binding_mac_parse(mac, binding.mac))
		return refuse(why, "mac is %s; write one machine's, e.g. \"fa:16:3e:00:00:05\"",
			      value ? "no MAC address" : "missing");
	err = read_addresses(object, addresses, &binding.naddresses, why);
	if (!err)
		err = read_expires(object, &binding.expires, why);
	if (err)
		return err;
	*ret = binding_copy(&binding);
	return *ret ? 0 : -ENOMEM;
}

json_t *binding_write(const struct binding *binding)
{
	char mac[BINDING_MAC_TEXT], text[INET6_ADDRSTRLEN], time[24];
	json_t *addresses = json_array(), *object;

	for (unsigned i = 0; i < binding->naddresses; i++) {
		const uint8_t *a = binding->addresses[i];
		struct in6_addr in6;
		bool v4;

		memcpy(&in6, a, sizeof(in6));
		v4 = IN6_IS_ADDR_V4MAPPED(&in6);
		inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a + 12 : a, text, sizeof(text));
		json_array_append_new(addresses, json_string(text));
	}
	binding_mac_text(binding->mac, mac);
	object = json_pack("{s:s, s:s, s:o, s:s, s:s}", "tenant", binding->tenant, "mac", mac,
			   "addresses", addresses, "instance", binding->instance, "project",
			   binding->project);
	if (object && binding->expires) {
		write_time(binding->expires, time);
		json_object_set_new(object, "expires", json_string(time));
	}
	return object;
}

bool binding_has(const struct binding *binding, const uint8_t address[16])
{
	return bsearch(address, binding->addresses, binding->naddresses, 16, by_bytes) != NULL;
}

bool binding_same(const struct binding *a, const struct binding *b)
{
	return !strcmp(a->instance, b->instance) && !strcmp(a->project, b->project);
}
