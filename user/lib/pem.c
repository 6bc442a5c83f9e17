/* SPDX-License-Identifier: BSD-2-Clause */
#include "pem.h"

#include <stdlib.h>
#include <string.h>

char *pem_text(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = len < 0 ? NULL : malloc((size_t)len + 1);
	if (!text)
		return NULL;
	/* Nothing may be NULL. */
	if (len)
		memcpy(text, data, (size_t)len);
	text[len] = '\0';
	return text;
}

int pem_no_password(char *buffer, int size, int writing, void *arg)
{
	return -1;
}
