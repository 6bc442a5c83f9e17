/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys that sign instructions: STATE/instruct.key, and STATE/instruct.pub with all that may. */
#include "instruct.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/signed.h"

char *instruct_key_read(struct store *store, const char *name)
{
	int fd = openat(store->dir, name, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : calloc(1, 8192);

	if (text && read(fd, text, 8191) <= 0) {
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	return text;
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

static int create_key(struct store *store, struct problem *problem)
{
	char *private_pem, *public_pem;
	int err;

	if (!faccessat(store->dir, "instruct.key", F_OK, 0))
		return problem_set(problem, 409, "exists",
				   "agents would refuse what another key signs",
				   "there is a key already");
	err = signed_key_make(&private_pem, &public_pem);
	if (err)
		return problem_errno(problem, err, "key");
	err = write_key(store, "instruct.pub", public_pem, 0644);
	if (!err)
		err = write_key(store, "instruct.key", private_pem, 0600);
	explicit_bzero(private_pem, strlen(private_pem));
	free(private_pem);
	free(public_pem);
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

int instruct_key_trust(struct store *store, const char *public_pem, struct problem *problem)
{
	static const char probe[] = "{\"payload\":\"AAAA\",\"signature\":\""
				    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
				    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"}";
	char *payload;
	size_t len;
	int err;

	/* Nothing is signed by it; but -EINVAL says that it holds no key at all. */
	if (strlen(public_pem) > 4096 ||
	    signed_open(public_pem, probe, strlen(probe), &payload, &len) != -EKEYREJECTED)
		return problem_set(problem, 422, "bad-key",
				   "openssl pkey -pubout writes what is wanted",
				   "this is no Ed25519 public key in PEM");
	pthread_mutex_lock(&keys_lock);
	err = write_key(store, "instruct.pub", public_pem, 0644);
	pthread_mutex_unlock(&keys_lock);
	return err ? problem_errno(problem, err, "key") : 0;
}
