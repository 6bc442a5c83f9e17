/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys that sign instructions: STATE/instruct.key, and STATE/instruct.pub with all that may:
 * that one's public half first, then whom operators trust.
 */
#include "instruct.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/signed.h"

#define KEYS_TEXT_MAX 4096 /* of whom somebody wants to trust */

/* *ret_text is malloc'd, NULL where there is none. -errno: it could not be looked at. */
static int read_key(struct store *store, const char *name, char **ret_text)
{
	int fd = openat(store->dir, name, O_RDONLY | O_CLOEXEC), err = 0;
	char *text;
	ssize_t n;

	*ret_text = NULL;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	text = calloc(1, 8192);
	n = text ? read(fd, text, 8191) : -1;
	if (n < 0)
		err = text ? -errno : -ENOMEM;
	if (n <= 0) {
		free(text);
		text = NULL;
	}
	close(fd);
	*ret_text = text;
	return err;
}

static int write_key(struct store *store, const char *name, const char *text, mode_t mode)
{
	int fd, err = 0;

	unlinkat(store->dir, ".instruct", 0);
	fd = openat(store->dir, ".instruct", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -EIO;
	if (!err)
		err = store_sync(fd, "instruct-key-sync");
	close(fd);
	if (!err && renameat(store->dir, ".instruct", store->dir, name))
		err = -errno;
	return err ? err : store_sync(store->dir, "instruct-dir-sync");
}

/* Of two at once, one would leave its public half and the other its secret one. */
static pthread_mutex_t keys_lock = PTHREAD_MUTEX_INITIALIZER;

char *instruct_key_secret(struct store *store)
{
	char *secret;

	read_key(store, "instruct.key", &secret);
	return secret;
}

/* The public half of our own key, malloc'd; NULL: there is none. 0 or -errno. */
static int own_key(struct store *store, char **ret_own)
{
	char *secret;
	int err = read_key(store, "instruct.key", &secret);

	*ret_own = NULL;
	if (!secret)
		return err;
	if (signed_key_public(secret, ret_own))
		*ret_own = NULL;
	explicit_bzero(secret, strlen(secret));
	free(secret);
	return 0;
}

/* All that may sign, as far as they can be read, malloc'd; -errno when that is not all. */
static int all_keys(struct store *store, char **ret_keys)
{
	char *own, *all, *both;
	int own_err = own_key(store, &own), err = read_key(store, "instruct.pub", &all);

	/* Where trusting an operator took its place, as it once did, it is there all the same. */
	if (own && all && !signed_keys_add(own, all, &both)) {
		free(all);
		all = both;
	}
	if (all)
		free(own);
	*ret_keys = all ? all : own;
	return own_err ? own_err : err;
}

char *instruct_key_public(struct store *store)
{
	char *keys;

	all_keys(store, &keys);
	return keys;
}

static int write_public(struct store *store, const char *text)
{
	return write_key(store, "instruct.pub", text, 0644);
}

static int too_many(struct problem *problem)
{
	return problem_set(problem, 409, "too-many-keys",
			   "\"sluice-repo instruct-key distrust\" makes room",
			   "there are %d keys already, as many as an agent takes", SIGNED_KEYS_MAX);
}

static int create_key(struct store *store, struct problem *problem)
{
	char *private_pem, *public_pem, *trusted, *all = NULL;
	int err;

	if (!faccessat(store->dir, "instruct.key", F_OK, AT_SYMLINK_NOFOLLOW))
		return problem_set(problem, 409, "exists",
				   "agents would refuse what another key signs",
				   "there is a key already");
	if (errno != ENOENT)
		return problem_errno(problem, -errno, "key");
	err = all_keys(store, &trusted);
	if (!err)
		err = signed_key_make(&private_pem, &public_pem);
	if (err) {
		free(trusted);
		return problem_errno(problem, err, "key");
	}
	if (trusted)
		err = signed_keys_add(public_pem, trusted, &all);
	/* From then on it is among those that may sign, whatever comes. */
	if (!err)
		err = write_key(store, "instruct.key", private_pem, 0600);
	if (!err)
		err = write_public(store, all ? all : public_pem);
	explicit_bzero(private_pem, strlen(private_pem));
	free(private_pem);
	free(public_pem);
	free(trusted);
	free(all);
	if (err == -E2BIG)
		return too_many(problem);
	return err ? problem_errno(problem, err, "key") : 0;
}

int instruct_key_create(struct store *store, struct problem *problem)
{
	int result;

	pthread_mutex_lock(&keys_lock);
	result = create_key(store, problem);
	pthread_mutex_unlock(&keys_lock);
	return result;
}

static int bad_key(struct problem *problem)
{
	return problem_set(problem, 422, "bad-key", "openssl pkey -pubout writes what is wanted",
			   "this is no Ed25519 public key in PEM");
}

int instruct_key_trust(struct store *store, const char *public_pem, struct problem *problem)
{
	char *had, *all = NULL;
	int err;

	if (strlen(public_pem) > KEYS_TEXT_MAX)
		return bad_key(problem);
	pthread_mutex_lock(&keys_lock);
	/* What cannot be read must not be written over. */
	err = all_keys(store, &had);
	if (!err)
		err = signed_keys_add(had ? had : "", public_pem, &all);
	if (!err)
		err = write_public(store, all);
	pthread_mutex_unlock(&keys_lock);
	free(had);
	free(all);
	if (err == -EINVAL)
		return bad_key(problem);
	if (err == -E2BIG)
		return too_many(problem);
	return err ? problem_errno(problem, err, "key") : 0;
}

static int distrust(struct store *store, const char *public_pem, struct problem *problem)
{
	char *had, *own = NULL, *left = NULL;
	int err = all_keys(store, &had);

	if (!err)
		err = own_key(store, &own);
	if (err) {
		free(had);
		return problem_errno(problem, err, "key");
	}
	err = own ? signed_keys_remove(own, public_pem, &left) : -ENOENT;
	if (!err) {
		problem_set(problem, 409, "own-key",
			    "only keys that were trusted can be taken back",
			    "the repository signs with this key itself");
	} else if (err == -ENOENT) {
		err = signed_keys_remove(had ? had : "", public_pem, &left);
		if (!err)
			err = write_public(store, left);
		if (err == -ENOENT)
			problem_set(problem, 404, "not-found",
				    "\"sluice-repo instruct-key show\" shows which are",
				    "this key is not trusted");
		else if (err)
			problem_errno(problem, err, "key");
	} else if (err == -EINVAL) {
		bad_key(problem);
	} else {
		problem_errno(problem, err, "key");
	}
	free(had);
	free(own);
	free(left);
	return problem->status ? -1 : 0;
}

int instruct_key_distrust(struct store *store, const char *public_pem, struct problem *problem)
{
	int result;

	if (strlen(public_pem) > KEYS_TEXT_MAX)
		return bad_key(problem);
	pthread_mutex_lock(&keys_lock);
	result = distrust(store, public_pem, problem);
	pthread_mutex_unlock(&keys_lock);
	return result;
}
