/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a machine that nobody knows yet sends to become a node, and certificates: whatever is
 * signed is for the name that was asked for, and bears the request's key.
 */
#include <errno.h>

#include "../../user/lib/pki.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

static char *ca, *ca_key;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	assert(!pki_key_make(&ca_key) && !pki_ca_make(ca_key, "edge", &ca));
	return 0;
}

static void check_request(const char *text)
{
	char asked[NAME_DIGEST_LEN + 1], got[NAME_DIGEST_LEN + 1], *certificate = NULL;
	int known = pki_request_fingerprint(text, asked);
	int err = pki_node_make(ca, ca_key, text, "n1", &certificate);

	assert(!err || err == -EBADMSG || err == -EKEYREJECTED);
	if (err)
		return;
	assert(!known && !pki_fingerprint(certificate, got) && !strcmp(asked, got));
	free(certificate);
}

static void check_certificate(const char *text, const uint8_t *data, size_t size)
{
	char hex[NAME_DIGEST_LEN + 1], whole[NAME_DIGEST_LEN + 1], again[NAME_DIGEST_LEN + 1];
	char *first = NULL;

	pki_fingerprint_der(data, size, hex);
	if (pki_first(text, &first))
		return;
	assert(!pki_hash(text, whole) && !pki_hash(first, again) && !strcmp(whole, again));
	free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_request(text);
	check_certificate(text, data, size);
	free(text);
	return 0;
}
