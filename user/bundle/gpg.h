/* SPDX-License-Identifier: BSD-2-Clause */
/* The OpenPGP key that signs a bundle's apt tree, in a GnuPG home that lives as long as needed. */
#ifndef BUNDLE_GPG_H
#define BUNDLE_GPG_H

#include <stdint.h>

struct bundle_error;
struct gpg;

/* Makes a key and returns its secret half in ASCII armor, malloc'd. */
int gpg_key_make(const char *user_id, char **ret_secret, struct bundle_error *error);
/* Imports a secret key without passphrase. */
int gpg_open(const char *secret, struct gpg **ret_gpg, struct bundle_error *error);
void gpg_close(struct gpg *gpg);
/* Exports the public half to a file: what apt's signed-by takes. */
int gpg_export(struct gpg *gpg, const char *path, struct bundle_error *error);
/* Signs in clear; the signature says it was made at when, or as soon as the key existed. */
int gpg_sign(struct gpg *gpg, uint64_t when, const char *input, const char *output,
	     struct bundle_error *error);

#endif
