/* SPDX-License-Identifier: BSD-2-Clause */
#include "sign.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/spawn.h"

#define HOME	 "gnupg"
#define LIST	 "signing-keys"
#define GPG_TIME 120
#define KEY_MAX	 (48 * 1024)

struct gpg {
	const char *argv[32];
	unsigned argc;
	char home[128];
};

static void gpg_start(struct gpg *gpg, struct store *store)
{
	static const char *const first[] = { "gpg",   "--batch", "--no-tty",
					     "--yes", "--quiet", "--homedir" };

	memset(gpg, 0, sizeof(*gpg));
	snprintf(gpg->home, sizeof(gpg->home), "%s/" HOME, store->path);
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		gpg->argv[gpg->argc++] = first[i];
	gpg->argv[gpg->argc++] = gpg->home;
}

static void gpg_add(struct gpg *gpg, const char *word)
{
	if (gpg->argc + 1 < sizeof(gpg->argv) / sizeof(gpg->argv[0]))
		gpg->argv[gpg->argc++] = word;
}

/* Takes why. */
static int failed(char *why, struct problem *problem)
{
	problem_set(problem, 500, "signing", "is gpg installed, and its home intact?", "%s",
		    why ? why : "out of memory");
	free(why);
	return -1;
}

static int gpg_run(struct gpg *gpg, const char *cwd, const char *input, int output, char **ret_text,
		   struct problem *problem)
{
	struct spawn spawn = { gpg->argv, cwd, input, output, GPG_TIME };
	char *why;
	int err = spawn_run(&spawn, ret_text, &why);

	if (err)
		failed(why, problem);
	return err;
}

/* A key may be made while a publish signs: who ends first leaves the agent to the other. */
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;

void sign_begin(void)
{
	pthread_mutex_lock(&users_lock);
	users++;
	pthread_mutex_unlock(&users_lock);
}

void sign_end(struct store *store)
{
	char home[128], *why = NULL;
	const char *argv[] = { "gpgconf", "--homedir", home, "--kill", "all", NULL };
	struct spawn spawn = { argv, NULL, NULL, -1, GPG_TIME };

	snprintf(home, sizeof(home), "%s/" HOME, store->path);
	pthread_mutex_lock(&users_lock);
	if (!--users)
		spawn_run_last(&spawn, NULL, &why);
	pthread_mutex_unlock(&users_lock);
	free(why);
}

int sign_keys_load(struct store *store, struct sign_keys *ret_keys)
{
	struct sign_keys keys = { .count = 0 };
	char line[SIGN_FINGERPRINT_LEN + 2];
	int fd = openat(store->dir, LIST, O_RDONLY | O_CLOEXEC);
	FILE *file;

	if (fd < 0 && errno != ENOENT)
		return -errno;
	file = fd < 0 ? NULL : fdopen(fd, "r");
	while (file && keys.count < SIGN_KEYS_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strlen(line) == SIGN_FINGERPRINT_LEN)
			strcpy(keys.fingerprint[keys.count++], line);
	}
	if (file)
		fclose(file);
	*ret_keys = keys;
	return 0;
}

/* Writes a file of the state directory so that it is there whole or not at all. */
static int write_whole(struct store *store, const char *name, const char *text)
{
	char temporary[64];
	size_t len = strlen(text);
	int fd, err = 0;

	snprintf(temporary, sizeof(temporary), ".%s", name);
	fd = openat(store->dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		err = -EIO;
	if (!err)
		err = store_sync(fd, "key-sync");
	close(fd);
	if (!err && renameat(store->dir, temporary, store->dir, name))
		err = -errno;
	return err ? err : store_sync(store->dir, "key-dir-sync");
}

/* key.asc and key.gpg hold the public halves of all keys that sign. */
static int export_keys(struct store *store, const struct sign_keys *keys, bool armor,
		       struct problem *problem)
{
	const char *name = armor ? "key.asc" : "key.gpg", *temporary = armor ? ".asc" : ".gpg";
	struct gpg gpg;
	int fd, err;

	fd = openat(store->dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return problem_errno(problem, -errno, "key");
	gpg_start(&gpg, store);
	if (armor)
		gpg_add(&gpg, "--armor");
	gpg_add(&gpg, "--export");
	for (unsigned i = 0; i < keys->count; i++)
		gpg_add(&gpg, keys->fingerprint[i]);
	err = gpg_run(&gpg, NULL, NULL, fd, NULL, problem);
	if (!err && fsync(fd))
		err = problem_errno(problem, -errno, "key");
	close(fd);
	if (!err && renameat(store->dir, temporary, store->dir, name))
		err = problem_errno(problem, -errno, "key");
	return err ? -1 : 0;
}

static int save_keys(struct store *store, const struct sign_keys *keys, struct problem *problem)
{
	char text[SIGN_KEYS_MAX * (SIGN_FINGERPRINT_LEN + 1) + 1] = "";
	int err;

	for (unsigned i = 0; i < keys->count; i++) {
		strcat(text, keys->fingerprint[i]);
		strcat(text, "\n");
	}
	if (export_keys(store, keys, true, problem) || export_keys(store, keys, false, problem))
		return -1;
	err = write_whole(store, LIST, text);
	return err ? problem_errno(problem, err, "key") : 0;
}

/* gpg's status lines (doc/DETAILS): KEY_CREATED T FPR, IMPORT_OK REASON FPR. */
static bool find_fingerprint(const char *status, char ret_fingerprint[SIGN_FINGERPRINT_LEN + 1])
{
	const char *line = strstr(status, "KEY_CREATED "), *word;

	if (line)
		word = strchr(line + strlen("KEY_CREATED "), ' ');
	else
		word = (line = strstr(status, "IMPORT_OK "))
			       ? strchr(line + strlen("IMPORT_OK "), ' ')
			       : NULL;
	if (!word)
		return false;
	word++;
	if (strspn(word, "0123456789ABCDEF") != SIGN_FINGERPRINT_LEN)
		return false;
	memcpy(ret_fingerprint, word, SIGN_FINGERPRINT_LEN);
	ret_fingerprint[SIGN_FINGERPRINT_LEN] = '\0';
	return true;
}

static bool has_secret(struct store *store, const char *fingerprint)
{
	struct problem ignored;
	struct gpg gpg;
	char *text;

	gpg_start(&gpg, store);
	gpg_add(&gpg, "--list-secret-keys");
	gpg_add(&gpg, fingerprint);
	if (gpg_run(&gpg, NULL, NULL, -1, &text, &ignored))
		return false;
	free(text);
	return true;
}

/* With keys_lock. */
static int add_key(struct store *store, const char *user_id, const char *armored,
		   char ret_fingerprint[SIGN_FINGERPRINT_LEN + 1], struct problem *problem)
{
	/* RSA 3072: what every apt and rpm in use can verify. */
	const char *const create[] = {
		"--pinentry-mode", "loopback", "--passphrase", "",     "--quick-generate-key",
		user_id,	   "rsa3072",  "sign",	       "never"
	};
	char *status = NULL;
	struct sign_keys keys;
	struct gpg gpg;
	int err;

	err = sign_keys_load(store, &keys);
	if (err)
		return problem_errno(problem, err, "key");
	if (keys.count == SIGN_KEYS_MAX)
		return problem_set(problem, 409, "exists", "retire one first",
				   "%d keys sign already", SIGN_KEYS_MAX);
	if (armored && strlen(armored) > KEY_MAX)
		return problem_set(problem, 413, "too-large", NULL, "no key is that large");
	if (mkdirat(store->dir, HOME, 0700) && errno != EEXIST)
		return problem_errno(problem, -errno, "key");
	sign_begin();
	gpg_start(&gpg, store);
	gpg_add(&gpg, "--status-fd");
	gpg_add(&gpg, "1");
	if (armored)
		gpg_add(&gpg, "--import");
	else
		for (size_t i = 0; i < sizeof(create) / sizeof(create[0]); i++)
			gpg_add(&gpg, create[i]);
	err = gpg_run(&gpg, NULL, armored, -1, &status, problem);
	if (!err &&
	    (!find_fingerprint(status, ret_fingerprint) || !has_secret(store, ret_fingerprint)))
		err = problem_set(
			problem, 422, "bad-key",
			"gpg --armor --export-secret-keys FINGERPRINT makes what is wanted",
			"this is no secret key in armor, without passphrase");
	free(status);
	for (unsigned i = 0; !err && i < keys.count; i++)
		if (!strcmp(keys.fingerprint[i], ret_fingerprint))
			goto out;
	if (!err) {
		strcpy(keys.fingerprint[keys.count++], ret_fingerprint);
		err = save_keys(store, &keys, problem);
	}
out:
	sign_end(store);
	return err ? -1 : 0;
}

/* Two that change the list at once would lose one change. */
static pthread_mutex_t keys_lock = PTHREAD_MUTEX_INITIALIZER;

int sign_key_add(struct store *store, const char *user_id, const char *armored,
		 char ret_fingerprint[SIGN_FINGERPRINT_LEN + 1], struct problem *problem)
{
	int result;

	pthread_mutex_lock(&keys_lock);
	result = add_key(store, user_id, armored, ret_fingerprint, problem);
	pthread_mutex_unlock(&keys_lock);
	return result;
}

static int retire_key(struct store *store, const char *fingerprint, struct problem *problem)
{
	struct sign_keys keys, left = { .count = 0 };
	int err = sign_keys_load(store, &keys);

	if (err)
		return problem_errno(problem, err, "key");
	for (unsigned i = 0; i < keys.count; i++)
		if (strcmp(keys.fingerprint[i], fingerprint) != 0)
			strcpy(left.fingerprint[left.count++], keys.fingerprint[i]);
	if (left.count == keys.count)
		return problem_set(problem, 404, "not-found", "\"sluice-repo key show\" lists them",
				   "no signing key has this fingerprint");
	if (!left.count)
		return problem_set(problem, 409, "last-key", "make or import another one first",
				   "it is the only key that signs");
	return save_keys(store, &left, problem);
}

int sign_key_retire(struct store *store, const char *fingerprint, struct problem *problem)
{
	int result;

	pthread_mutex_lock(&keys_lock);
	result = retire_key(store, fingerprint, problem);
	pthread_mutex_unlock(&keys_lock);
	return result;
}

int sign_start(struct store *store, const struct sign_keys *keys, const char *cwd,
	       const char *input, const char *output, bool clear, struct spawn_child *ret_child,
	       struct problem *problem)
{
	struct gpg gpg;
	struct spawn spawn = { gpg.argv, cwd, NULL, -1, GPG_TIME };
	char *why;

	gpg_start(&gpg, store);
	gpg_add(&gpg, "--digest-algo");
	gpg_add(&gpg, "SHA512");
	gpg_add(&gpg, "--armor");
	for (unsigned i = 0; i < keys->count; i++) {
		gpg_add(&gpg, "--local-user");
		gpg_add(&gpg, keys->fingerprint[i]);
	}
	gpg_add(&gpg, "--output");
	gpg_add(&gpg, output);
	gpg_add(&gpg, clear ? "--clear-sign" : "--detach-sign");
	gpg_add(&gpg, input);
	return spawn_begin(&spawn, ret_child, &why) ? failed(why, problem) : 0;
}

int sign_wait(struct spawn_child *child, struct problem *problem)
{
	char *why;

	return spawn_end(child, NULL, &why) ? failed(why, problem) : 0;
}
