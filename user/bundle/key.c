/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-bundle key new, key show. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/digest.h"
#include "../lib/signed.h"
#include "cli.h"
#include "file.h"
#include "gpg.h"

#define KEY_MAX (64 * 1024)

/* Never over a key that is there. */
static int put(const char *base, const char *end, const char *text, unsigned mode)
{
	char path[4096];
	size_t len = strlen(text);
	int fd, err = 0;

	snprintf(path, sizeof(path), "%.4000s%s", base, end);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return cli_fail("%s: %s", path, strerror(errno));
	if (write(fd, text, len) != (ssize_t)len || fsync(fd))
		err = errno ? errno : EIO;
	close(fd);
	return err ? cli_fail("%s: %s", path, strerror(err)) : 0;
}

static int key_new_run(struct cli *cli, int argc, char **argv)
{
	char *private = NULL, *public = NULL, *secret = NULL, path[4096];
	struct bundle_error error;
	const char *name = strrchr(argv[0], '/');
	int err, status = 0;

	for (int i = 0; i < 3; i++) {
		static const char *const ends[] = { ".key", ".pub", ".gpg" };

		snprintf(path, sizeof(path), "%.4000s%s", argv[0], ends[i]);
		if (!access(path, F_OK))
			return cli_fail("%s is there already; it is not replaced", path);
	}
	err = signed_key_make(&private, &public);
	if (err)
		return cli_fail("no key could be made: %s", strerror(-err));
	err = gpg_key_make(name ? name + 1 : argv[0], &secret, &error);
	if (err)
		status = cli_fail("%s", error.text);
	if (!status)
		status = put(argv[0], ".key", private, 0600);
	if (!status)
		status = put(argv[0], ".gpg", secret, 0600);
	if (!status)
		status = put(argv[0], ".pub", public, 0644);
	if (!status && !cli_print_json(cli, json_pack("{s:s}", "public", public)))
		printf("%s.key and %s.gpg sign: keep them; %s.pub is what others trust\n", argv[0],
		       argv[0], argv[0]);
	explicit_bzero(private, strlen(private));
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(private);
	free(public);
	free(secret);
	return status;
}

/* SHA-256 over the PEM: short enough to read out over a telephone. */
static int print_key(const char *pem, json_t *list)
{
	uint8_t digest[DIGEST_SIZE];
	char hex[NAME_DIGEST_LEN + 1];

	if (digest_bytes(pem, strlen(pem), digest))
		return cli_fail("no digest");
	name_hex(digest, sizeof(digest), hex);
	json_array_append_new(list, json_pack("{s:s, s:s}", "fingerprint", hex, "public", pem));
	return 0;
}

static int key_show_run(struct cli *cli, int argc, char **argv)
{
	static const char end[] = "-----END PUBLIC KEY-----\n";
	char *text, *public = NULL, *at, *next;
	json_t *list = json_array(), *key;
	size_t len, i;
	int err = file_read_regular(argv[0], KEY_MAX, &text, &len), status = 0;

	if (err) {
		json_decref(list);
		return cli_fail("%s: %s", argv[0], strerror(-err));
	}
	/* A private key shows its public half; a set of public keys each one. */
	if (!signed_key_public(text, &public))
		status = print_key(public, list);
	for (at = public ? NULL : text; !status && at; at = next) {
		char *from = strstr(at, "-----BEGIN PUBLIC KEY-----"), saved;

		next = from ? strstr(from, end) : NULL;
		if (!next)
			break;
		next += sizeof(end) - 1;
		saved = *next;
		*next = '\0';
		status = print_key(from, list);
		*next = saved;
	}
	if (!status && !json_array_size(list))
		status = cli_fail("%s holds no key", argv[0]);
	if (!status && !cli->options.json)
		json_array_foreach (list, i, key)
			printf("%s\n%s", json_string_value(json_object_get(key, "fingerprint")),
			       json_string_value(json_object_get(key, "public")));
	if (!status)
		cli_print_json(cli, list);
	else
		json_decref(list);
	explicit_bzero(text, len);
	free(text);
	free(public);
	return status;
}

const struct cli_command key_new_command = {
	"key new", "NAME",	"make keys: NAME.key, NAME.gpg, NAME.pub", 1, 1, NULL, 0,
	NULL,	   key_new_run,
};
const struct cli_command key_show_command = {
	"key show", "FILE",	  "public keys of a file, and fingerprints", 1, 1, NULL, 0,
	NULL,	    key_show_run,
};
