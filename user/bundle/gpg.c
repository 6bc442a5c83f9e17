/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gpg with a home of its own below TMPDIR, or /tmp: its agent's socket needs a short path.
 * Signatures are the same for the same input: RSA with PKCS#1 padding has no random part, and the
 * time is the one given.
 */
#include "gpg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/spawn.h"
#include "cleanup.h"

#define GPG_TIME	120
#define FINGERPRINT_LEN 40
#define HOME_MAX	60 /* sockets in it have at most 107 characters */

struct gpg {
	char home[HOME_MAX + 24];
	char fingerprint[FINGERPRINT_LEN + 1];
	uint64_t created;
};

static int run(struct gpg *gpg, const char *const *words, const char *input, char **ret_text,
	       struct bundle_error *error)
{
	const char *argv[24] = { "gpg",	    "--batch",	 "--no-tty", "--yes",
				 "--quiet", "--homedir", gpg->home };
	struct spawn spawn = { argv, NULL, input, -1, GPG_TIME };
	unsigned argc = 7;
	char *why = NULL;
	int err;

	while (*words && argc + 1 < sizeof(argv) / sizeof(argv[0]))
		argv[argc++] = *words++;
	err = spawn_run(&spawn, ret_text, &why);
	if (err)
		bundle_failed(error, err, "%.480s", why ? why : "out of memory");
	free(why);
	return err;
}

static int make_home(struct gpg **ret_gpg, struct bundle_error *error)
{
	struct gpg *gpg = calloc(1, sizeof(*gpg));
	const char *folder = getenv("TMPDIR");

	if (!gpg)
		return bundle_failed(error, -ENOMEM, "out of memory");
	if (!folder || folder[0] != '/' || strlen(folder) > HOME_MAX)
		folder = "/tmp";
	snprintf(gpg->home, sizeof(gpg->home), "%s/sluice-gpg.XXXXXX", folder);
	if (!mkdtemp(gpg->home)) {
		bundle_failed(error, -errno, "%s: %s", gpg->home, strerror(errno));
		free(gpg);
		return -EIO;
	}
	cleanup_add(gpg->home);
	*ret_gpg = gpg;
	return 0;
}

void gpg_close(struct gpg *gpg)
{
	const char *argv[] = { "gpgconf", "--homedir", NULL, "--kill", "all", NULL };
	struct spawn spawn = { argv, NULL, NULL, -1, GPG_TIME };
	char *why;

	if (!gpg)
		return;
	argv[2] = gpg->home;
	spawn_run(&spawn, NULL, &why);
	free(why);
	cleanup_remove(gpg->home);
	free(gpg);
}

int gpg_key_make(const char *user_id, char **ret_secret, struct bundle_error *error)
{
	/* RSA 3072: what every apt in use can verify. */
	const char *make[] = {
		"--pinentry-mode", "loopback", "--passphrase", "",	"--quick-generate-key",
		user_id,	   "rsa3072",  "sign",	       "never", NULL
	};
	const char *export[] = { "--armor", "--export-secret-keys", NULL };
	struct gpg *gpg;
	int err = make_home(&gpg, error);

	if (err)
		return err;
	err = run(gpg, make, NULL, NULL, error);
	if (!err)
		err = run(gpg, export, NULL, ret_secret, error);
	gpg_close(gpg);
	return err;
}

/* gpg's doc/DETAILS: "sec" has the creation time in field 6, "fpr" the fingerprint in field 10. */
static int find_key(struct gpg *gpg, struct bundle_error *error)
{
	const char *list[] = { "--with-colons", "--list-secret-keys", NULL };
	char *text = NULL, *line;
	unsigned long long created;
	int err = run(gpg, list, NULL, &text, error);

	if (err)
		return err;
	line = strstr(text, "sec:");
	if (!line || sscanf(line, "sec:%*[^:]:%*[^:]:%*[^:]:%*[^:]:%llu", &created) != 1 ||
	    !(line = strstr(line, "\nfpr:::::::::")) ||
	    strspn(line + 13, "0123456789ABCDEF") != FINGERPRINT_LEN) {
		err = bundle_failed(error, -EINVAL, "this is no secret OpenPGP key in armor");
	} else {
		memcpy(gpg->fingerprint, line + 13, FINGERPRINT_LEN);
		gpg->created = created;
	}
	free(text);
	return err;
}

int gpg_open(const char *secret, struct gpg **ret_gpg, struct bundle_error *error)
{
	const char *import[] = { "--import", NULL };
	struct gpg *gpg;
	int err = make_home(&gpg, error);

	if (err)
		return err;
	err = run(gpg, import, secret, NULL, error);
	if (!err)
		err = find_key(gpg, error);
	if (err)
		gpg_close(gpg);
	else
		*ret_gpg = gpg;
	return err;
}

int gpg_export(struct gpg *gpg, const char *path, struct bundle_error *error)
{
	const char *words[] = { "--output", path, "--export", gpg->fingerprint, NULL };

	return run(gpg, words, NULL, NULL, error);
}

int gpg_sign(struct gpg *gpg, uint64_t when, const char *input, const char *output,
	     struct bundle_error *error)
{
	char time[32];
	const char *words[] = { "--faked-system-time",
				time,
				"--digest-algo",
				"SHA512",
				"--armor",
				"--local-user",
				gpg->fingerprint,
				"--output",
				output,
				"--clear-sign",
				input,
				NULL };

	snprintf(time, sizeof(time), "%llu!",
		 (unsigned long long)(when > gpg->created ? when : gpg->created));
	return run(gpg, words, NULL, NULL, error);
}
