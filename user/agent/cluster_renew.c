/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new certificate for the key this node has, over the connection that the old one opens. The CA's
 * own may be new as well; it must be of the same key, so nobody who answers can become another CA.
 * Old and new are both good meanwhile: killed between the two files, nothing is lost.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/pki.h"

/* Is the first certificate of text of the same key as the file's? *ret_first: that one alone. */
static bool same_key(const char *text, const char *path, char **ret_first)
{
	char old[NAME_DIGEST_LEN + 1], new[NAME_DIGEST_LEN + 1], *have = NULL;
	bool same = text && !pki_first(text, ret_first) && !pki_fingerprint(*ret_first, new) &&
		    !file_read(path, PKI_PEM_MAX, &have, NULL) && !pki_fingerprint(have, old) &&
		    !strcmp(old, new);

	free(have);
	return same;
}

static int save(const struct http *http, const char *body)
{
	json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
	char *own = NULL, *ca = NULL;
	int err = -EKEYREJECTED;

	if (same_key(json_string_value(json_object_get(json, "certificate")), http->certificate,
		     &own) &&
	    same_key(json_string_value(json_object_get(json, "ca")), http->ca, &ca))
		err = file_write(http->ca, ca, strlen(ca), 0600);
	fault_point("ca-taken");
	if (!err)
		err = file_write(http->certificate, own, strlen(own), 0600);
	fault_point("certificate-taken");
	json_decref(json);
	free(own);
	free(ca);
	return err;
}

int node_renew(struct node *node, const struct http *http)
{
	char *key = NULL, *request = NULL, *text = NULL, *body = NULL, *why = NULL;
	json_t *json = NULL;
	char url[160];
	long status = -1;
	int err = file_read(http->key, PKI_PEM_MAX, &key, NULL);

	if (!err)
		err = pki_request_make(key, node->name, &request);
	if (!err)
		json = json_pack("{s:s}", "request", request);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	snprintf(url, sizeof(url), "%s/v1/renew", node->server);
	if (text)
		status = http_call(http, url, text, &body, &why);
	if (!err)
		err = status == 200 && body ? save(http, body) : -ECONNREFUSED;
	if (err)
		log_error("the certificate cannot be renewed: %s", why ? why
								   : status > 0 && status != 200
									   ? body ? body : "refused"
									   : strerror(-err));
	else
		log_info("the certificate is renewed");
	json_decref(json);
	free(request);
	free(text);
	free(body);
	free(why);
	free(key);
	return err ? -ECONNREFUSED : 0;
}
