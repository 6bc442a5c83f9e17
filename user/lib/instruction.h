/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an instruction to a VM is: the payload of a signed document (lib/signed.h), which
 * says for one instance of one tenant what is still to be done.
 *
 *   {"version": 1, "tenant": "blue", "instance": "ID", "generation": 3, "expires": SECONDS,
 *    "operations": [{"id": "…", "action": "install", "packages": ["nginx"], "expires": SECONDS}]}
 *
 * The generation only rises; an agent refuses a lower one. Each operation expires by itself, and
 * the document with the last of them; an operation that does not say when, as signers before this
 * one wrote it, expires with its document. Pure: sluice-repod writes such payloads, and so does
 * sluice-repo when the signing key lives with the operator.
 */
#ifndef SLUICE_INSTRUCTION_H
#define SLUICE_INSTRUCTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define INSTRUCTION_OPERATIONS_MAX 64  /* unfinished, of one instance */
#define INSTRUCTION_PACKAGES_MAX   100 /* of one operation */
#define INSTRUCTION_EVENTS_MAX	   32  /* of one report */
#define INSTRUCTION_ID_LEN	   16
#define INSTRUCTION_INSTANCE_MAX   127
#define INSTRUCTION_SLACK	   300 /* seconds that clocks may differ by when one expires */

/* An instance's id: letters, digits and "._-:"; starts with a letter or digit. */
bool instruction_instance_valid(const char *text);
/* One operation: id, action, packages ("name" or "name=version"; upgrade has none), expires? */
bool instruction_operation_valid(const json_t *operation);

/*
 * The payload's text, malloc'd; NULL when memory is out. Does not take operations. expires: later
 * when one of them is.
 */
char *instruction_payload(const char *tenant, const char *instance, int64_t generation,
			  int64_t expires, const json_t *operations);
/* Parses and checks; NULL when anything is missing, wrong or too much. */
json_t *instruction_parse(const char *payload, size_t len);

#endif
