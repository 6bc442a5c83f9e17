/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What names may look like: file names, package names, versions, architectures,
 * tenants, upload ids, digests. Everything that becomes part of a path or of a
 * generated index passes through here first. Pure.
 */
#ifndef SLUICE_NAME_H
#define SLUICE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MAX_LEN	  200 /* package and file names, versions */
#define NAME_TENANT_MAX	  63
#define NAME_DIGEST_LEN	  64 /* SHA-256 in hex */
#define NAME_UPLOAD_LEN	  32 /* 128 random bits in hex */
#define NAME_FILENAME_MAX 240

/* A plain file's name: printable ASCII without "/", not starting with "." or "-". */
bool name_filename_valid(const char *text);
/* A package's name: letters, digits and "+-._"; starts with a letter or digit. */
bool name_package_valid(const char *text);
/* A version: letters, digits and "+-._~:^"; starts with a letter or digit. */
bool name_version_valid(const char *text);
/* An architecture: lower-case letters, digits, "-" and "_". */
bool name_arch_valid(const char *text);
/* A tenant: letters, digits and "._-"; starts with a letter or digit. */
bool name_tenant_valid(const char *text);
/* Exactly len lower-case hex digits. */
bool name_hex_valid(const char *text, size_t len);

/* Writes 2 * len hex digits and a NUL. */
void name_hex(const uint8_t *bytes, size_t len, char *ret_text);
/* The reverse; text must be exactly 2 * len digits. 0 or -EINVAL. */
int name_unhex(const char *text, uint8_t *ret_bytes, size_t len);

/* Parses decimal digits only (no sign, no blank), up to max. 0, -EINVAL or -ERANGE. */
int name_number(const char *text, uint64_t max, uint64_t *ret_number);

#endif
