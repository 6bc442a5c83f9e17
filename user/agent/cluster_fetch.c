/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Brings an item's blobs into DIR/bundle, a bundle in directory form, and verifies every one of
 * them, also those that were there: "exists, so skip" is never trusted. A blob grows as
 * blobs/sha256/HEX.partial and goes on where it broke off.
 */
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "../lib/digest.h"
#include "../lib/fault.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "swarm.h"

#define TELL_MS	   500
#define TRIES	   5
#define WRONG_MOST 2
#define PAUSE_MS   1000
#define RETRY_MS   5000
#define KEEP_FREE  (4 * 1024 * 1024) /* the journal and dpkg want to write, too */

struct fetch {
	struct work work;
	struct swarm *swarm;
	uint64_t total, done, told_bytes;
	int64_t told, begun;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is fetched twice, after a wrong list of pieces, does not make more than the whole. */
static unsigned percent(const struct fetch *fetch)
{
	return fetch->done < fetch->total ? (unsigned)(fetch->done * 100 / fetch->total) : 100;
}

static void tell(struct fetch *fetch, bool always)
{
	int64_t now = now_ms(), since = now - fetch->told;
	uint64_t rate;

	if (!always && since < TELL_MS)
		return;
	rate = since > 0 ? (fetch->done - fetch->told_bytes) * 1000 / (uint64_t)since : 0;
	fetch->told = now;
	fetch->told_bytes = fetch->done;
	journal_tell_sources(fetch->work.node, fetch->work.desired, "sending", percent(fetch),
			     fetch->done, rate, swarm_sources(fetch->swarm, always));
}

static int arrived(uint64_t bytes, void *arg)
{
	struct fetch *fetch = arg;

	fetch->done += bytes;
	tell(fetch, false);
	return fetch->work.node->ending;
}

/* One attempt. 0 when the blob is whole and right. */
static int try_blob(struct fetch *fetch, const struct bundle_blob *blob)
{
	char partial[CLUSTER_PATH_MAX], path[CLUSTER_PATH_MAX], url[256], *why = NULL;
	char paths[3][CLUSTER_PATH_MAX], hex[NAME_DIGEST_LEN + 1];
	struct node *node = fetch->work.node;
	struct http http;
	uint64_t size = 0, before = fetch->done;
	long status = 200;
	int fd, err = 0;
	off_t have;

	node_http(node, &http, paths);
	node_blob_path(node, blob->digest, ".partial", partial);
	node_blob_path(node, blob->digest, "", path);
	fd = open(partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return outcome_fail(&fetch->work.outcome, -errno, "%s: %s", partial,
				    strerror(errno));
	have = lseek(fd, 0, SEEK_END);
	if (have > (off_t)blob->size && !ftruncate(fd, 0))
		have = lseek(fd, 0, SEEK_SET);
	snprintf(url, sizeof(url), "%s/v1/blob/%s", node->server, blob->digest);
	if (have < (off_t)blob->size || !blob->size)
		status = http_fetch(&http, url, fd, (uint64_t)have, arrived, fetch, &why);
	fault_point("blob-arrived");
	if (status < -1)
		err = outcome_fail(&fetch->work.outcome, (int)status, "%s: %s", partial, why);
	else if (status == 404)
		err = outcome_fail(&fetch->work.outcome, -ENOENT,
				   "blob %s is not in the control machine's bundle, or that is "
				   "not there",
				   blob->digest);
	else if (status != 200 && status != 206)
		err = outcome_fail(&fetch->work.outcome, -ECONNRESET, "blob %s: %s (%ld)",
				   blob->digest, why ? why : "the control machine refuses", status);
	if (!err)
		err = digest_file(fd, hex, &size);
	if (!err && size != blob->size)
		err = outcome_fail(&fetch->work.outcome, -ECONNRESET, "blob %s is cut short",
				   blob->digest);
	else if (!err && strcmp(hex, blob->digest) != 0)
		err = outcome_fail(&fetch->work.outcome, -EBADMSG,
				   "blob %s arrived with other bytes", blob->digest);
	if (!err && (fsync(fd) || rename(partial, path)))
		err = outcome_fail(&fetch->work.outcome, -errno, "%s: %s", path, strerror(errno));
	/* A full disk takes no word of it either, unless something goes. */
	if (err == -EBADMSG || status < -1)
		unlink(partial);
	fault_point("blob-kept");
	if (err)
		fetch->done = before;
	close(fd);
	free(why);
	return err ? err : file_sync_directory(path);
}

static int fetch_blob(struct fetch *fetch, const struct bundle_blob *blob)
{
	unsigned wrong = 0;
	int err = -EIO;

	for (unsigned i = 0; i < TRIES && err && !fetch->work.node->ending; i++) {
		err = try_blob(fetch, blob);
		if (err == -ENOSPC || err == -EDQUOT || err == -EROFS || !err)
			break;
		/* Once, a piece of before may have been bad; TLS changes nothing on the way. */
		wrong += err == -EBADMSG;
		if (wrong == WRONG_MOST)
			return outcome_fail(&fetch->work.outcome, err,
					    "blob %s arrives with other bytes: on the control "
					    "machine, sluice-bundle verify",
					    blob->digest);
		log_warn("%s", fetch->work.outcome.why);
		journal_complain(fetch->work.node, fetch->work.desired, "sending", percent(fetch),
				 &fetch->work.outcome);
		node_wait(fetch->work.node, PAUSE_MS << i);
	}
	return err;
}

/* False: the blob that is here is damaged, and was removed. */
static bool verify(struct fetch *fetch, const struct bundle_blob *blob)
{
	char path[CLUSTER_PATH_MAX], hex[NAME_DIGEST_LEN + 1] = "";
	uint64_t size = 0;
	bool good;
	int fd;

	node_blob_path(fetch->work.node, blob->digest, "", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	good = !digest_file(fd, hex, &size) && !strcmp(hex, blob->digest) && size == blob->size;
	close(fd);
	if (!good) {
		log_warn("blob %s is damaged on this machine's disk: it is fetched again",
			 blob->digest);
		unlink(path);
	}
	return good;
}

/* What is still to come of a blob. */
static uint64_t left_of(const struct node *node, const struct bundle_blob *blob)
{
	char partial[CLUSTER_PATH_MAX];
	struct stat have;

	node_blob_path(node, blob->digest, ".pieces", partial);
	/* A file with holes. */
	if (!stat(partial, &have) && (uint64_t)have.st_blocks * 512 <= blob->size)
		return blob->size - (uint64_t)have.st_blocks * 512;
	node_blob_path(node, blob->digest, ".partial", partial);
	return stat(partial, &have) || (uint64_t)have.st_size > blob->size
		       ? blob->size
		       : blob->size - (uint64_t)have.st_size;
}

/* Better before than in the middle. */
static int check_space(struct fetch *fetch, uint64_t needed)
{
	struct statvfs own;
	char path[CLUSTER_PATH_MAX];

	node_path(fetch->work.node, "bundle", path);
	if (!needed || statvfs(path, &own) ||
	    needed + KEEP_FREE <= (uint64_t)own.f_bavail * own.f_frsize)
		return 0;
	return outcome_fail(&fetch->work.outcome, -ENOSPC,
			    "%s: %llu MiB are needed, %llu MiB are free: make room, then retry",
			    path, (unsigned long long)((needed + KEEP_FREE + (1 << 20) - 1) >> 20),
			    (unsigned long long)(own.f_bavail * own.f_frsize) >> 20);
}

/* From peers as well; what peers and pieces are not for comes the plain way. */
static int exchange(struct fetch *fetch, const struct bundle_blob *blobs, size_t count,
		    const bool *missing)
{
	bool *left = calloc(count + 1, sizeof(*left));
	int err = left ? swarm_load(fetch->swarm, fetch->work.bundle) : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++) {
		left[i] = missing[i];
		if (!missing[i])
			swarm_has(fetch->swarm, blobs[i].digest);
	}
	if (!err)
		err = swarm_fetch(fetch->swarm, blobs, count, left, arrived, fetch,
				  &fetch->work.outcome);
	tell(fetch, true);
	for (size_t i = 0; i < count && !err; i++)
		if (left[i]) {
			err = fetch_blob(fetch, &blobs[i]);
			if (!err)
				swarm_has(fetch->swarm, blobs[i].digest);
		}
	free(left);
	return err;
}

/* What is there counts as done at once; the rest is sent. */
static int stage(struct fetch *fetch, const struct bundle_blob *blobs, size_t count, bool *missing)
{
	uint64_t needed = 0;
	int err;

	for (size_t i = 0; i < count; i++) {
		fetch->total += blobs[i].size;
		missing[i] = !verify(fetch, &blobs[i]);
		if (missing[i])
			needed += left_of(fetch->work.node, &blobs[i]);
		else
			fetch->done += blobs[i].size;
	}
	fetch->begun = fetch->told = now_ms();
	fetch->told_bytes = fetch->done;
	tell(fetch, true);
	err = check_space(fetch, needed);
	if (!err && swarm_active(fetch->swarm))
		return exchange(fetch, blobs, count, missing);
	for (size_t i = 0; i < count && !err; i++)
		if (missing[i]) {
			/* What mode swarm began has holes: of no use here. */
			store_drop(fetch->work.node, blobs[i].digest);
			err = fetch_blob(fetch, &blobs[i]);
		}
	return err;
}

static int fetch_item(struct fetch *fetch)
{
	const char *name = json_string_value(json_object_get(fetch->work.desired, "name"));
	struct node *node = fetch->work.node;
	struct bundle_blob *blobs = NULL;
	size_t count = 0;
	bool *missing;
	int64_t took;
	int err = node_bring_bundle(node, fetch->work.document, &fetch->work.bundle,
				    &fetch->work.outcome);

	if (err)
		return err;
	fetch->work.item = bundle_manifest_item(bundle_manifest(fetch->work.bundle), name);
	if (!fetch->work.item)
		return outcome_fail(&fetch->work.outcome, -ENOENT, "the bundle has no item %s",
				    name);
	err = bundle_item_blobs(bundle_manifest(fetch->work.bundle), fetch->work.item, &blobs,
				&count);
	missing = calloc(count + 1, sizeof(*missing));
	if (!err)
		err = missing ? stage(fetch, blobs, count, missing) : -ENOMEM;
	took = now_ms() - fetch->begun;
	if (!err)
		err = journal_move(node, fetch->work.desired, "staged", 100, fetch->done,
				   took > 0 ? fetch->done * 1000 / (uint64_t)took : 0, NULL);
	/* From the disk once more: what was written is not yet what will be read. */
	for (size_t i = 0; i < count && !err; i++)
		if (missing[i] && !verify(fetch, &blobs[i]))
			err = outcome_fail(&fetch->work.outcome, -EIO,
					   "blob %s does not stay as it was written: look at the "
					   "disk",
					   blobs[i].digest);
	if (!err)
		err = journal_move(node, fetch->work.desired, "verified", 100, fetch->done, 0,
				   NULL);
	free(missing);
	free(blobs);
	return err;
}

/* Anything left to bring for this item? */
static bool wants_fetch(struct node *node, const json_t *item)
{
	const char *name = json_string_value(json_object_get(item, "name"));
	const char *id = json_string_value(json_object_get(item, "id"));
	const char *run = json_string_value(json_object_get(item, "run"));
	struct journal_item known;

	if (*name == '@' || !json_is_true(json_object_get(item, "stage")) ||
	    strcmp(json_string_value(json_object_get(item, "action")), "install") != 0)
		return false;
	if (!journal_item(node, name, &known))
		return true;
	if (!strcmp(known.id, id) && !strcmp(known.run, run))
		return !strcmp(known.state, "sending") || !strcmp(known.state, "staged");
	/* Another run: what is healthy with the same id is only checked again. */
	return strcmp(known.id, id) != 0 || strcmp(known.state, "healthy") != 0 ||
	       json_is_true(json_object_get(item, "redo"));
}

static bool fetch_next(struct node *node, struct swarm *swarm, json_t *document)
{
	struct fetch *fetch;
	const json_t *item;
	size_t i;
	int err;

	json_array_foreach (json_object_get(document, "items"), i, item) {
		if (!wants_fetch(node, item))
			continue;
		fetch = calloc(1, sizeof(*fetch));
		if (!fetch)
			return false;
		fetch->swarm = swarm;
		fetch->work.node = node;
		fetch->work.document = document;
		fetch->work.desired = item;
		log_info("%s: fetching", json_string_value(json_object_get(item, "name")));
		err = fetch_item(fetch);
		bundle_close(fetch->work.bundle);
		if (err && !node->ending) {
			log_error("%s: %s", json_string_value(json_object_get(item, "name")),
				  fetch->work.outcome.why);
			/* A link that is down comes back; what is wrong stays so. */
			if (err == -ECONNRESET) {
				journal_complain(node, item, "sending", percent(fetch),
						 &fetch->work.outcome);
				node_wait(node, RETRY_MS);
			} else {
				journal_move(node, item, "failed", 0, 0, 0, &fetch->work.outcome);
			}
		}
		free(fetch);
		return true;
	}
	return false;
}

void *fetch_thread(void *arg)
{
	struct node *node = arg;
	struct swarm *swarm = node->swarm;
	int64_t generation, tidied = -1;
	json_t *document;
	bool busy;

	do {
		document = journal_document(node);
		swarm_follow(swarm, document);
		busy = document &&
		       (fetch_next(node, swarm, document) || swarm_seed(swarm, document));
		generation = json_integer_value(json_object_get(document, "generation"));
		if (document && !busy && generation != tidied && node_tidy(node, document))
			tidied = generation;
		json_decref(document);
	} while (busy ? !node->ending : node_wait(node, PAUSE_MS));
	return NULL;
}
