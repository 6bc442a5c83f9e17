/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes identity headers. Everything comes from the connection and its port binding;
 * the lines go into the request for the origin (lib/http_message). Secrets stay in
 * here: nothing of them is logged or returned.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "identity.h"

#define MAC_SIZE 32 /* HMAC-SHA256 */

/* One piece of what is signed. */
struct piece {
	const void *bytes;
	size_t len;
};

/* HMAC with SHA-256, without a key: fetching both per request costs more than the HMAC. */
static EVP_MAC_CTX *hmac;

int identity_init(void)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx = NULL;
	EVP_MAC *mac;

	if (hmac)
		return 0;
	/* Nothing is read from openssl.cnf, so that this also works inside the sandbox. */
	if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		return -ENOTSUP;
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (mac)
		ctx = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac); /* the context holds its own reference */
	if (!ctx || !EVP_MAC_CTX_set_params(ctx, params)) {
		EVP_MAC_CTX_free(ctx);
		return -ENOTSUP;
	}
	hmac = ctx;
	return 0;
}

/* ret is the lower-case hex HMAC-SHA256 over the pieces, with a NUL. 0 or -ENOTSUP. */
static int sign(const char *secret, const struct piece *pieces, size_t n,
		char ret[2 * MAC_SIZE + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char mac[MAC_SIZE];
	size_t len = 0;
	EVP_MAC_CTX *ctx;
	bool ok;

	if (identity_init())
		return -ENOTSUP;
	ctx = EVP_MAC_CTX_dup(hmac);
	ok = ctx && EVP_MAC_init(ctx, (const unsigned char *)secret, strlen(secret), NULL);
	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_MAC_update(ctx, pieces[i].bytes, pieces[i].len);
	ok = ok && EVP_MAC_final(ctx, mac, &len, sizeof(mac)) && len == sizeof(mac);
	EVP_MAC_CTX_free(ctx);
	if (!ok)
		return -ENOTSUP;
	for (size_t i = 0; i < sizeof(mac); i++) {
		ret[2 * i] = hex[mac[i] >> 4];
		ret[2 * i + 1] = hex[mac[i] & 15];
	}
	ret[2 * MAC_SIZE] = '\0';
	return 0;
}

/* Appends to out[0..size) at *at. False when it does not fit. */
__attribute__((format(printf, 4, 5))) static bool append(char *out, size_t size, size_t *at,
							 const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(out + *at, size - *at, format, args);
	va_end(args);
	/* vsnprintf needs room for a NUL, which is no part of the result. */
	if (n < 0 || (size_t)n >= size - *at)
		return false;
	*at += n;
	return true;
}

/* Visible ASCII: no value can end its line or start another. */
static bool is_clean(const char *text)
{
	for (; *text; text++)
		if (*text <= 0x20 || *text >= 0x7f)
			return false;
	return true;
}

static void client_text(const struct in6_addr *client, char ret[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(client))
		inet_ntop(AF_INET, client->s6_addr + 12, ret, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, client, ret, INET6_ADDRSTRLEN);
}

static int write_sluice(const char *secret, const struct identity_input *in, const char *client,
			char *out, size_t size)
{
	const char *instance = in->instance ? in->instance : "";
	char time[24], mac[2 * MAC_SIZE + 1];
	size_t at = 0;
	int err;

	if (!is_clean(in->tenant) || !is_clean(instance))
		return -EINVAL;
	if (!append(out, size, &at, "X-Sluice-Tenant: %s\r\nX-Sluice-Client: %s\r\n", in->tenant,
		    client))
		return -E2BIG;
	if (*instance && !append(out, size, &at, "X-Sluice-Instance: %s\r\n", instance))
		return -E2BIG;
	if (!secret)
		return at;
	snprintf(time, sizeof(time), "%lld", (long long)in->time);

	struct piece pieces[] = {
		{ "v1\n", 3 }, { in->tenant, strlen(in->tenant) },
		{ "\n", 1 },   { instance, strlen(instance) },
		{ "\n", 1 },   { client, strlen(client) },
		{ "\n", 1 },   { in->method, in->method_len },
		{ "\n", 1 },   { in->target, in->target_len },
		{ "\n", 1 },   { time, strlen(time) },
		{ "\n", 1 },
	};

	err = sign(secret, pieces, sizeof(pieces) / sizeof(pieces[0]), mac);
	if (err)
		return err;
	if (!append(out, size, &at, "X-Sluice-Time: %s\r\nX-Sluice-Signature: v1=%s\r\n", time,
		    mac))
		return -E2BIG;
	return at;
}

/* Which header a namespace of neutron's is told in, and its id; NULL for other names. */
static const char *neutron_header(const char *network, const char **ret_id)
{
	static const struct {
		const char *prefix, *header;
	} kinds[] = {
		{ "qrouter-", "X-Neutron-Router-ID" },
		{ "qdhcp-", "X-Neutron-Network-ID" },
		{ "ovnmeta-", "X-OVN-Network-ID" },
	};
	const char *slash = network ? strrchr(network, '/') : NULL;
	const char *name = slash ? slash + 1 : network;

	for (size_t i = 0; name && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(name, kinds[i].prefix, len) || !name[len])
			continue;
		*ret_id = name + len;
		return kinds[i].header;
	}
	return NULL;
}

static int write_neutron(const struct identity_input *in, const char *client, char *out,
			 size_t size)
{
	const char *id, *header = neutron_header(in->network, &id);
	size_t at = 0;

	if (!header)
		return -ENOENT;
	if (!is_clean(id))
		return -EINVAL;
	if (!append(out, size, &at, "X-Forwarded-For: %s\r\n%s: %s\r\n", client, header, id))
		return -E2BIG;
	return at;
}

static int write_nova(const char *secret, const struct identity_input *in, const char *client,
		      char *out, size_t size)
{
	char mac[2 * MAC_SIZE + 1];
	struct piece piece;
	size_t at = 0;
	int err;

	if (!secret)
		return -ENOKEY;
	if (!in->instance || !*in->instance || !in->project || !*in->project)
		return -ENOENT;
	if (!is_clean(in->instance) || !is_clean(in->project))
		return -EINVAL;
	piece = (struct piece){ in->instance, strlen(in->instance) };
	err = sign(secret, &piece, 1, mac);
	if (err)
		return err;
	if (!append(out, size, &at,
		    "X-Forwarded-For: %s\r\nX-Instance-ID: %s\r\nX-Tenant-ID: %s\r\n"
		    "X-Instance-ID-Signature: %s\r\n",
		    client, in->instance, in->project, mac))
		return -E2BIG;
	return at;
}

int identity_write(enum conf_identity identity, const char *secret, const struct identity_input *in,
		   char *out, size_t size)
{
	char client[INET6_ADDRSTRLEN];

	if (secret && !*secret)
		secret = NULL;
	client_text(&in->client, client);
	switch (identity) {
	case CONF_IDENTITY_NONE:
		return 0;
	case CONF_IDENTITY_SLUICE:
		return write_sluice(secret, in, client, out, size);
	case CONF_IDENTITY_NEUTRON:
		return write_neutron(in, client, out, size);
	case CONF_IDENTITY_NOVA:
		return write_nova(secret, in, client, out, size);
	}
	return -EINVAL;
}
