/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The published trees over HTTP. Which view a tenant reads is decided by its signed
 * identity; a package in it is asked for in the database once more, so that visibility
 * taken away holds at once, before the next publish.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api.h"
#include "publish.h"

static int open_beneath(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int open_in_view(struct store *store, const char *view, const char *path)
{
	char current[PUBLISH_VIEW_MAX + 16];
	int dir, fd;

	snprintf(current, sizeof(current), "%s/current", view);
	dir = open_beneath(store->published, current, O_PATH | O_DIRECTORY, RESOLVE_BENEATH);
	if (dir < 0)
		return dir;
	fd = open_beneath(dir, path, O_RDONLY | O_NONBLOCK, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	close(dir);
	return fd;
}

/* A path's part that is a hash already makes the best ETag: it is the same on every node. */
static const char *hash_in(const char *path, char ret_hash[NAME_DIGEST_LEN + 1])
{
	const char *part = NULL;

	if (!strncmp(path, "apt/pool/", 9))
		part = path + 9 + 3;
	else if (!strncmp(path, "rpm/packages/", 13))
		part = path + 13 + 3;
	else if (strstr(path, "/by-hash/SHA256/"))
		part = strstr(path, "/by-hash/SHA256/") + 16;
	if (!part || strlen(path) < (size_t)(part - path))
		return NULL;
	snprintf(ret_hash, NAME_DIGEST_LEN + 1, "%s", part);
	return name_hex_valid(ret_hash, NAME_DIGEST_LEN) ? ret_hash : NULL;
}

static bool is_package(const char *path)
{
	return !strncmp(path, "apt/pool/", 9) || !strncmp(path, "rpm/packages/", 13);
}

static bool is_text(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (!strcmp(name, "/InRelease") || !strcmp(name, "/Release") ||
			!strcmp(name, "/Release.gpg") || !strcmp(name, "/repomd.xml.asc"));
}

/*
 * A package that this viewer may see. A tenant's tree holds its own; public ones are in the public
 * tree. One that has just become the other is in neither where its index says, but it is there.
 */
static int open_package(struct repod *repod, const char *view, const char *path, const char *sha256)
{
	int fd = open_in_view(repod->store, view, path);

	if (fd == -ENOENT)
		fd = open_in_view(repod->store, "public", path);
	if (fd == -ENOENT && catalog_digest_used(db_reader(repod->db), sha256))
		fd = store_blob_open(repod->store, sha256);
	return fd;
}

/*
 * An index that is named by its hash, too: a tenant whose first own package is published while its
 * apt is half-way through the public tree still asks for what that one named.
 */
static int open_index(struct repod *repod, const char *view, const char *path)
{
	int fd = open_in_view(repod->store, view, path);

	return fd == -ENOENT && publish_is_hashed(path) ? open_in_view(repod->store, "public", path)
							: fd;
}

static void serve(struct request *request, const char *view, const char *viewer, const char *path)
{
	struct repod *repod = request->repod;
	char hash[NAME_DIGEST_LEN + 1];
	const char *etag = hash_in(path, hash);
	int fd = -ENOENT;

	if (!is_package(path))
		fd = open_index(repod, view, path);
	else if (etag && catalog_digest_visible(db_reader(repod->db), etag, viewer))
		fd = open_package(repod, view, path, etag);
	if (fd < 0) {
		problem_set(&request->problem, 404, "not-found", NULL,
			    "there is no such file in what is published");
		reply_problem(request);
		return;
	}
	serve_file(request, fd, etag,
		   is_text(path) ? "text/plain; charset=utf-8" : "application/octet-stream", NULL);
}

void tree_own(struct request *request)
{
	char view[PUBLISH_VIEW_MAX];

	publish_view_of(request->repod->store, request->who.viewer, view);
	/* Management's own apt reads what everybody may. */
	serve(request, view, request->who.viewer ? request->who.viewer : "", request->path + 1);
}

/* /views/public/…, /views/tenant-NAME/…: for replication and for looking. */
void tree_view(struct request *request)
{
	char view[PUBLISH_VIEW_MAX];
	const char *slash = strchr(request->rest, '/');
	size_t len = slash ? (size_t)(slash - request->rest) : 0;

	if (!len || len >= sizeof(view) ||
	    (strncmp(slash, "/apt/", 5) != 0 && strncmp(slash, "/rpm/", 5) != 0)) {
		problem_set(&request->problem, 404, "not-found", NULL, "there is nothing here");
		reply_problem(request);
		return;
	}
	memcpy(view, request->rest, len);
	view[len] = '\0';
	serve(request, view, NULL, slash + 1);
}
