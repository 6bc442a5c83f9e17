/* SPDX-License-Identifier: BSD-2-Clause */
/* What reading and writing PEM through libcrypto takes beside its own calls. */
#ifndef SLUICE_PEM_H
#define SLUICE_PEM_H

#include <openssl/bio.h>

/* What was written into a memory BIO, malloc'd; NULL when memory is out. */
char *pem_text(BIO *bio);
/* A pem_password_cb: an encrypted key must not make libcrypto ask on a terminal. */
int pem_no_password(char *buffer, int size, int writing, void *arg);

#endif
