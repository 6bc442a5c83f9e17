/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Publishing: the packages of the database as signed apt and rpm trees of plain files.
 *
 *   STATE/published/public/current ─▶ 000007	what everybody may see
 *   STATE/published/tenant-blue/current ─▶ 000009	public, and what is blue's alone
 *   …/000009/apt/{dists,pool}, …/000009/rpm/{repodata,packages}
 *   …/000009/manifest	which packages are in it; a view that would be the same stays
 *   …/000009/retired	what is only kept for clients half-way, and since when
 *
 * A view is built beside the current one, synced, and switched by renaming a symlink.
 * Pool paths hold the package's digest, index files are fetched by hash, and both stay
 * for a grace period after they left the index: a client that read the old InRelease
 * can finish. Packages are hard links to blobs: deleting a blob takes nothing from a tree.
 *
 * A tenant without packages of its own has no view; it is served the public one. A tenant's
 * view holds its own packages alone; its indices begin with the public ones, and public
 * packages are served from the public view. So publishing a public package costs each tenant
 * an index and a signature, however many public packages there are.
 */
#ifndef REPO_PUBLISH_H
#define REPO_PUBLISH_H

#include <jansson.h>
#include <stdint.h>

#include "package.h"
#include "problem.h"
#include "repod.h"
#include "sign.h"

struct publisher;

int publish_start(struct repod *repod, struct publisher **ret_publisher);
void publish_stop(struct publisher *publisher);

/*
 * Publishes what changed. expected: the generation the caller has seen, or -1; another one
 * is 412. A second call while one runs is 409. Returns the report, or NULL and *problem.
 */
json_t *publish_run(struct publisher *publisher, const char *who, int64_t expected,
		    struct problem *problem);
/* {"generation", "views": [{"view", "generation", "packages"}]}; NULL and *problem. */
json_t *publish_show(struct publisher *publisher, struct problem *problem);

#define PUBLISH_VIEW_MAX (7 + NAME_TENANT_MAX + 1)
/* "tenant-blue" when that view is published, else "public"; viewer NULL or "": public. */
void publish_view_of(struct store *store, const char *viewer, char ret_view[PUBLISH_VIEW_MAX]);

/* ---- shared by the publish_*.c files ---- */

struct publish_entry {
	enum package_kind kind;
	bool is_public;
	char *arch, *filename, *sha256, *tenants;
};

struct publish_list {
	struct publish_entry *entries;
	size_t count, room;
};

#define PUBLISH_SIGNATURES 3 /* InRelease, Release.gpg, repomd.xml.asc */

/* One view being built; zeroed but for what the caller sets: repod to generation, and problem. */
struct publish_build {
	struct repod *repod;
	const struct publish_list *packages;
	const struct sign_keys *keys;
	const char *view, *tenant; /* tenant NULL: the public view */
	char path[256];		   /* absolute, of the tree being built */
	char old_path[256];	   /* of the current one; "" when there is none */
	int dir, old_dir;	   /* the same, opened; old_dir -1 when there is none */
	char public_path[256];	   /* for a tenant's view: the public one that is current */
	int public_dir;
	uint64_t generation;
	/* Of the same publish, not finished yet, with the same packages: its index files serve. */
	struct publish_build *like;
	char *manifest;		     /* what it holds, as text */
	uint64_t old_generation;     /* the current one's; 0 when there is none */
	bool built, ready, switched; /* how far it is: switched is what clients see */
	unsigned own_debs, own_rpms; /* of a tenant: those that are not public */
	unsigned debs, rpms, retired;
	struct spawn_child signing[PUBLISH_SIGNATURES]; /* gpg at work on it */
	unsigned signing_count;
	struct problem *problem;
};

/* The number behind VIEW/current; 0 when the view is not published. */
uint64_t publish_generation(struct store *store, const char *view);
/*
 * Several views are published together, so that the disk is waited for three times and not three
 * times each: begin all, finish those that are built, switch those that are ready, end all.
 *
 * begin: builds the view when it changed; before: the one that was begun before this one, or NULL.
 * signed: waits for its signatures, which are made while the next ones are begun. finish: adds what
 * clients half-way may still ask for. switch: all of it is on disk first, then each is switched to
 * by itself. 0, or -1 and the problem. end: closes and clears up.
 */
int publish_view_begin(struct publish_build *build, struct publish_build *before);
int publish_view_signed(struct publish_build *build);
int publish_view_finish(struct publish_build *build);
int publish_views_switch(struct publish_build *builds, unsigned count);
void publish_view_end(struct publish_build *build);

bool publish_visible(const struct publish_entry *entry, const char *tenant);
/* Where an entry lies within a tree: "apt/pool/ab/abcd…/x_1_all.deb". */
int publish_entry_path(const struct publish_entry *entry, char *out, size_t size);
/* Is this path within a tree an index file that is named by its hash? */
bool publish_is_hashed(const char *path);
/* Hard-links from_dir/from to to_dir/to, making directories; a copy where links end. */
int publish_link(int from_dir, const char *from, int to_dir, const char *to);
/* Hard-links every file below from_dir/path to the same path below to_dir. */
int publish_link_tree(int from_dir, int to_dir, const char *path);
/* Appends a file's bytes to fd. */
int publish_append(int from_dir, const char *from, int fd);
/* mkdir -p below dir of everything in path before its last '/'. */
int publish_make_parents(int dir, const char *path);

#define PUBLISH_ARCHES_MAX 64
/*
 * The configured architectures and those of all packages; "all" belongs to each. Every view has the
 * same, so that a tenant's index always finds the public one it begins with.
 */
unsigned publish_arches(const struct publish_build *build, const char *arches[PUBLISH_ARCHES_MAX]);
int publish_apt(struct publish_build *build);
/* Has gpg sign cwd/input, while other things are done. */
int publish_sign(struct publish_build *build, const char *cwd, const char *input,
		 const char *output, bool clear);
int publish_rpm(struct publish_build *build);
/* Takes over what clients half-way may still ask for. */
int publish_carry(struct publish_build *build);

#endif
