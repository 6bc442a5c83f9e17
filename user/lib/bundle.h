/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading bundles: the one file that installs a cluster (docs/bundle.md). sluice-bundle writes and
 * checks them, the control machine and its agents read them.
 *
 *   bundle_open()      where is a tar, its parts, or a directory (what "sluice-bundle pull" fills);
 *                      signature and manifest are checked here, the container's shape too
 *   bundle_manifest()  what is inside, as structs
 *   bundle_copy()      one blob to a file, checked against its digest on the way
 *
 * Everything in a bundle is untrusted until its signature is verified, and bounded also then.
 * Nothing here logs; a failure leaves one sentence, and the blob's digest where there is one, in a
 * struct bundle_error. No function of a bundle is safe from two threads at once.
 */
#ifndef SLUICE_BUNDLE_H
#define SLUICE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "name.h"

#define BUNDLE_FORMAT	    1
#define BUNDLE_MANIFEST_MAX (16 * 1024 * 1024) /* bytes of JSON */
#define BUNDLE_INDEX_MAX    (256 * 1024)       /* index.json */
#define BUNDLE_BLOBS_MAX    65536
#define BUNDLE_BLOB_MAX	    (((uint64_t)8 << 30) - 1) /* what a ustar header can say */
#define BUNDLE_ITEMS_MAX    512
#define BUNDLE_PACKAGES_MAX 8192	/* of one item */
#define BUNDLE_LIST_MAX	    256		/* entries of any other list */
#define BUNDLE_TEXT_MAX	    (64 * 1024) /* a template, a step */
#define BUNDLE_PARTS_MAX    999
#define BUNDLE_PART_SIZE    (((uint64_t)4 << 30) - ((uint64_t)1 << 20)) /* what FAT can hold */
#define BUNDLE_VERSION_MAX  (((uint64_t)1 << 53) - 1)

struct bundle_error {
	char text[512];			/* one line, ready to show; names file or blob */
	char blob[NAME_DIGEST_LEN + 1]; /* whose fault it is, or empty */
};

/* ---- the manifest ------------------------------------------------------------------------ */

struct bundle_blob {
	char digest[NAME_DIGEST_LEN + 1]; /* SHA-256, hex */
	uint64_t size;
};

enum bundle_type { BUNDLE_DEB, BUNDLE_TARBALL, BUNDLE_IMAGE, BUNDLE_TYPES };
enum bundle_role { BUNDLE_COMPONENT, BUNDLE_SOFTWARE, BUNDLE_ROLES };
enum bundle_when { BUNDLE_BEFORE, BUNDLE_AFTER, BUNDLE_WHENS }; /* the item's payload */
enum bundle_phase {
	BUNDLE_PREPARE,	  /* before the payload: deb closure, tarball, image */
	BUNDLE_INSTALL,	  /* after payload and configs */
	BUNDLE_HEALTH,	  /* 0 exit: healthy; repeated up to tries */
	BUNDLE_UNINSTALL, /* before the payload is taken away */
	BUNDLE_PHASES
};

struct bundle_list {
	char **words;
	size_t count;
};

struct bundle_port {
	uint16_t port;
	bool udp;
};

struct bundle_package {
	char *name, *version, *architecture;
	char *filename; /* in the apt tree: "pool/" follows by this */
	struct bundle_blob blob;
	uint64_t installed; /* bytes, dpkg's Installed-Size */
};

struct bundle_variable {
	char *name, *title; /* title may be NULL */
	char *value;	    /* the default; NULL: the cluster file must give one */
};

struct bundle_config {
	char *path; /* absolute, plain */
	char *owner, *group;
	unsigned mode;
	enum bundle_when when;
	char *text; /* a template: bundle_expand() */
};

struct bundle_step {
	char *run;		  /* for /bin/sh -eu; variables are in its environment */
	unsigned timeout;	  /* seconds, 1..86400 */
	unsigned tries, interval; /* health: how often, seconds between */
};

struct bundle_steps {
	struct bundle_step *list;
	size_t count;
};

struct bundle_needs {
	struct bundle_list os;	   /* "debian 12"; empty: any */
	char *architecture;	   /* Debian's word; NULL: any */
	char *kernel;		   /* least "major.minor"; NULL: any */
	uint64_t space;		   /* bytes on / while and after installing, blobs not counted */
	uint64_t memory;	   /* bytes; 0: not said */
	struct bundle_port *ports; /* which must be free before the first installation */
	size_t ports_count;
	struct bundle_list requires;  /* items, on the same node, installed before */
	struct bundle_list conflicts; /* items that may not be on the same node */
};

struct bundle_item {
	char *name, *version, *title; /* title may be NULL */
	enum bundle_type type;
	enum bundle_role role;
	struct bundle_needs needs;
	/* BUNDLE_DEB: "name=version", what apt-get install is given; and its whole closure */
	struct bundle_list install;
	struct bundle_package *packages;
	size_t packages_count;
	/* BUNDLE_TARBALL */
	struct bundle_blob tarball;
	char *tarball_name; /* file name */
	char *target;	    /* absolute directory it is unpacked into, for this item alone */
	/* BUNDLE_IMAGE */
	char *reference;	  /* "registry.example/app:1.2" */
	struct bundle_blob image; /* its OCI manifest; its blobs are in image_blobs */
	struct bundle_blob *image_blobs;
	size_t image_blobs_count;
	/* all types */
	struct bundle_variable *variables;
	size_t variables_count;
	struct bundle_config *configs;
	size_t configs_count;
	struct bundle_steps steps[BUNDLE_PHASES];
};

/* A file of the signed apt tree: "dists/stable/InRelease", "key.gpg", "pool/x_1_amd64.deb". */
struct bundle_file {
	char *path;
	struct bundle_blob blob;
};

struct bundle_manifest {
	char *name, *title; /* title may be NULL */
	uint64_t version;   /* of the bundle: it only rises */
	uint64_t created;   /* seconds since 1970 */
	/* what the closures were resolved against */
	char *base_os;			       /* "debian 12", or NULL without deb items */
	char *architecture;		       /* "amd64"; likewise */
	char base_status[NAME_DIGEST_LEN + 1]; /* SHA-256 of its dpkg status, or empty */
	/* the apt tree; files_count is 0 without deb items */
	char *suite, *component;
	struct bundle_file *files;
	size_t files_count;
	/* In an order in which everything required comes first; components before software. */
	struct bundle_item *items;
	size_t items_count;
	/* Every blob, once, in the order of the container: by apt tree, then by item. */
	struct bundle_blob *blobs;
	size_t blobs_count;
};

const char *bundle_type_name(enum bundle_type type);	/* "deb", "tarball", "image" */
const char *bundle_role_name(enum bundle_role role);	/* "component", "software" */
const char *bundle_phase_name(enum bundle_phase phase); /* "prepare", … */

/* Parses and checks everything, references between items and blobs too. 0, -EBADMSG, -ENOMEM. */
int bundle_manifest_parse(const char *json, size_t len, struct bundle_manifest **ret_manifest,
			  struct bundle_error *error);
void bundle_manifest_free(struct bundle_manifest *manifest);
const struct bundle_item *bundle_manifest_item(const struct bundle_manifest *manifest,
					       const char *name);
/*
 * The blobs that installing this item needs: its packages and the whole apt tree but other items'
 * packages; or its tarball; or its image's blobs. In container order; the caller frees *ret_blobs.
 */
int bundle_item_blobs(const struct bundle_manifest *manifest, const struct bundle_item *item,
		      struct bundle_blob **ret_blobs, size_t *ret_count);

/*
 * Replaces ${NAME} by what lookup() returns for it, "$$" by "$". NULL from lookup: -ENOENT with
 * the line in error. -EBADMSG: an unfinished or empty "${". The result is malloc'd.
 */
int bundle_expand(const char *text, const char *(*lookup)(const char *name, void *arg), void *arg,
		  char **ret_text, struct bundle_error *error);

struct bundle_unpacked {
	uint64_t bytes, entries;
	bool opened; /* its "./" shuts others out, which the target does not */
};
/*
 * Unpacks an item's tarball (tar; plain, gzip, xz or zstd) from fd's position into the directory
 * target; NULL: only checks it. More than limit bytes (needs.space), the same name twice, paths or
 * links that lead out of the target, and devices are refused with -EBADMSG, and what is no
 * directory with a set-id bit when it is only checked; what was unpacked until then stays. Files
 * belong to the caller and keep their modes, without set-id bits; the target itself can be entered
 * and listed by all. Changes the working directory while it runs: of the calling thread alone, if
 * that has unshare(CLONE_FS) behind it.
 */
int bundle_untar(int fd, const char *target, uint64_t limit, struct bundle_unpacked *ret_unpacked,
		 struct bundle_error *error);

/* ---- the container ------------------------------------------------------------------------ */

struct bundle;

struct bundle_trust {
	const char *keys; /* public keys in PEM, one after another: any of them; NULL: unsigned */
	uint64_t least;	  /* versions below are refused with -ESTALE */
	const char *name; /* the name it must have, or NULL */
};

/*
 * Opens a bundle: paths are a tar (or "x.sluice" or "x.sluice.001" of a split one) or a directory;
 * more than one: the first is a delta or incomplete, blobs are looked for in all of them in order.
 * Reads heads only, not the blobs. 0, or with error: -EBADMSG (damaged, truncated, not a bundle),
 * -EKEYREJECTED (no trusted key signed it), -ESTALE (older than trust->least), -EINVAL (trust holds
 * no key), -ENOENT and other -errno of files.
 */
int bundle_open(const char *const *paths, size_t count, const struct bundle_trust *trust,
		struct bundle **ret_bundle, struct bundle_error *error);
void bundle_close(struct bundle *bundle);

const struct bundle_manifest *bundle_manifest(const struct bundle *bundle);
/* The manifest's own bytes, as signed, and their digest and size. */
const char *bundle_manifest_json(const struct bundle *bundle, struct bundle_blob *ret_blob);
/* The index.json of the first path: what a copy of it, complete or not, begins with. */
const char *bundle_index(const struct bundle *bundle, size_t *ret_len);
/* Is the blob there, with the right size? Its content is not read. */
bool bundle_has(const struct bundle *bundle, const char *digest);

/* Up to len bytes of a blob from offset. Bytes read (0 at its end) or -errno; not verified. */
ssize_t bundle_read(struct bundle *bundle, const char *digest, void *buffer, size_t len,
		    uint64_t offset);
/* Called with bytes as they pass; not 0 stops with -ECANCELED. */
typedef int bundle_progress(uint64_t bytes, void *arg);
/*
 * Writes a blob to fd from its current position (fd -1: only reads) and verifies it. -EBADMSG when
 * its bytes are not what the digest says: what was written must not be used then. -ENODATA: absent.
 */
int bundle_copy(struct bundle *bundle, const char *digest, int fd, bundle_progress *progress,
		void *arg, struct bundle_error *error);
/* The same to a function, which gets every byte in order; not 0 stops with what it returned. */
typedef int bundle_sink(const void *bytes, size_t len, void *arg);
int bundle_stream(struct bundle *bundle, const char *digest, bundle_sink *sink, void *arg,
		  struct bundle_error *error);

#endif
