/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The repository's signing keys: a GnuPG home below the state directory, used through
 * gpg(1) alone. Which keys sign is the list in STATE/signing-keys; all of them do, so that
 * a key can be rotated without a moment when clients trust neither.
 */
#ifndef REPO_SIGN_H
#define REPO_SIGN_H

#include "../lib/spawn.h"
#include "problem.h"
#include "store.h"

#define SIGN_KEYS_MAX	     4
#define SIGN_FINGERPRINT_LEN 40

struct sign_keys {
	char fingerprint[SIGN_KEYS_MAX][SIGN_FINGERPRINT_LEN + 1];
	unsigned count;
};

/* No keys is no error: count is 0. 0 or -errno. */
int sign_keys_load(struct store *store, struct sign_keys *ret_keys);
/* Makes a key (armored NULL) or imports a secret one without passphrase, and lets it sign. */
int sign_key_add(struct store *store, const char *user_id, const char *armored,
		 char ret_fingerprint[SIGN_FINGERPRINT_LEN + 1], struct problem *problem);
/* From now on the key no longer signs; its secret part stays in the GnuPG home. */
int sign_key_retire(struct store *store, const char *fingerprint, struct problem *problem);

/*
 * Signs cwd/input: a clear-signed file (clear), or an armored detached signature. It is done when
 * sign_wait() has said so, which must follow. Each 0, or -1 and *problem.
 */
int sign_start(struct store *store, const struct sign_keys *keys, const char *cwd,
	       const char *input, const char *output, bool clear, struct spawn_child *ret_child,
	       struct problem *problem);
int sign_wait(struct spawn_child *child, struct problem *problem);
/* Around signing: the last one to end stops the gpg-agent that was started. */
void sign_begin(void);
void sign_end(struct store *store);

#endif
