/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "pki.h"

void peer_address(struct MHD_Connection *connection, char *ret_text, size_t size)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info ? info->client_addr : NULL;
	const struct sockaddr_in6 *six = (const void *)address;
	const struct sockaddr_in *four = (const void *)address;

	*ret_text = '\0';
	if (address && address->sa_family == AF_INET)
		inet_ntop(AF_INET, &four->sin_addr, ret_text, (socklen_t)size);
	else if (address && address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &six->sin6_addr, ret_text, (socklen_t)size);
}

static const char *read_certificate(gnutls_session_t session, char *name, size_t size,
				    char *fingerprint)
{
	const gnutls_datum_t *list;
	gnutls_x509_crt_t certificate;
	const char *why = NULL;
	unsigned count = 0, status = ~0u;

	list = gnutls_certificate_get_peers(session, &count);
	if (!list || !count)
		return "no client certificate";
	if (gnutls_certificate_verify_peers2(session, &status) < 0 || status)
		return "a client certificate that this cluster's CA did not sign, or the clock is "
		       "wrong";
	if (gnutls_x509_crt_init(&certificate) < 0)
		return "out of memory";
	if (gnutls_x509_crt_import(certificate, &list[0], GNUTLS_X509_FMT_DER) < 0 ||
	    gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
					  &size) < 0 ||
	    !gnutls_x509_crt_check_key_purpose(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0) ||
	    pki_fingerprint_der(list[0].data, list[0].size, fingerprint))
		why = "a certificate that is not a node's";
	gnutls_x509_crt_deinit(certificate);
	return why;
}

const char *peer_certificate(struct MHD_Connection *connection, char *ret_name, size_t size,
			     char ret_fingerprint[NAME_DIGEST_LEN + 1])
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	if (!info || !info->tls_session)
		return "no TLS";
	return read_certificate(info->tls_session, ret_name, size, ret_fingerprint);
}
