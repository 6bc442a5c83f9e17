/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files bundle*.c share, and the extra ways in that sluice-bundle itself needs. */
#ifndef SLUICE_BUNDLE_IMPL_H
#define SLUICE_BUNDLE_IMPL_H

#include <jansson.h>

#include "bundle.h"

/* ---- sources: bytes at offsets ------------------------------------------------------------- */

/* A container's bytes: one file, its parts, or a file on a web server. */
struct bundle_source {
	uint64_t size;
	/* Reads up to len bytes at offset (below size): bytes read or -errno. Not 0. */
	ssize_t (*read)(struct bundle_source *source, void *buffer, size_t len, uint64_t offset);
	void (*close)(struct bundle_source *source);
	char name[256]; /* for messages */
};

/* A file, or NAME.001, NAME.002, … when path is NAME or one of them. 0 or -errno with error. */
int bundle_source_file(const char *path, struct bundle_source **ret_source,
		       struct bundle_error *error);
/* The same for descriptors' bytes of any kind; takes fd also when it fails. */
int bundle_source_fd(int fd, const char *name, struct bundle_source **ret_source,
		     struct bundle_error *error);

/* ---- places: where blobs are ------------------------------------------------------------------
 */

struct bundle_entry {
	char digest[NAME_DIGEST_LEN + 1];
	uint64_t offset, size;
};

struct bundle_place {
	struct bundle_source *source; /* a tar; NULL for a directory */
	int dir;		      /* a directory; -1 for a tar */
	uint64_t index_offset, index_size;
	struct bundle_entry *entries; /* a tar's blobs, in its order */
	size_t entries_count;
	const struct bundle_entry **sorted; /* the same by digest */
	char name[256];
};

/* Lists a tar's entries; refuses every shape but the one documented. Takes source on success. */
int bundle_tar_scan(struct bundle_source *source, struct bundle_place *ret_place,
		    struct bundle_error *error);
void bundle_place_close(struct bundle_place *place);

/* As bundle_open(), for places that are open already; takes them, also when it fails. */
int bundle_open_places(struct bundle_place *places, size_t count, const struct bundle_trust *trust,
		       struct bundle **ret_bundle, struct bundle_error *error);
/* A file, parts or a directory. */
int bundle_place_open(const char *path, struct bundle_place *ret_place, struct bundle_error *error);
const struct bundle_entry *bundle_place_find(const struct bundle_place *place, const char *digest);

#define BUNDLE_PLACES_MAX 8

struct bundle {
	struct bundle_place places[BUNDLE_PLACES_MAX];
	size_t places_count;
	struct bundle_manifest *manifest;
	struct bundle_blob manifest_blob, oci_blob;
	char *json, *index;
	size_t index_len;
};

/* Where a blob was found. */
struct bundle_at {
	const struct bundle_place *place;
	int fd; /* directories; -1 in a tar */
	uint64_t offset, size;
};

/* The first place that has it; -ENODATA: none. */
int bundle_at_find(const struct bundle *bundle, const char *digest, struct bundle_at *ret);
/* Reads exactly size bytes into a string. -EBADMSG: there are fewer. */
int bundle_at_text(const struct bundle_at *at, uint64_t size, char **ret_text);
void bundle_at_done(struct bundle_at *at);

/* ---- what follows from the manifest -------------------------------------------------------- */

/* The statement that is signed. malloc'd, NULL: out of memory. */
char *bundle_statement_make(const struct bundle_manifest *manifest,
			    const struct bundle_blob *manifest_blob);
/* The OCI manifest, and index.json with the signatures (documents, one a line). */
char *bundle_oci_make(const struct bundle_manifest *manifest,
		      const struct bundle_blob *manifest_blob);
char *bundle_index_make(const struct bundle_manifest *manifest, const struct bundle_blob *oci,
			const char *signatures);
/* The index.json of one image alone. */
char *bundle_image_index_make(const struct bundle_item *item);
void bundle_oci_blob(const struct bundle *bundle, struct bundle_blob *ret_blob);
#define BUNDLE_LAYOUT "{\"imageLayoutVersion\": \"1.0.0\"}\n"

/* ---- reading JSON strictly ----------------------------------------------------------------- */

struct bundle_reader {
	struct bundle_error *error;
	const char *where; /* "item etcd", for messages */
	int err;	   /* the first failure; later calls do nothing */
};

__attribute__((format(printf, 2, 3))) void bundle_reader_fail(struct bundle_reader *reader,
							      const char *format, ...);
/* object must be one, with no keys but these (blank-separated). */
bool bundle_reader_keys(struct bundle_reader *reader, const json_t *object, const char *keys);
/* Absent: NULL, refused when wanted. max in bytes. */
char *bundle_reader_text(struct bundle_reader *reader, const json_t *object, const char *key,
			 size_t max, bool wanted);
uint64_t bundle_reader_number(struct bundle_reader *reader, const json_t *object, const char *key,
			      uint64_t least, uint64_t most, bool wanted);
/* An array's elements' count and zeroed memory for them; 0 and NULL when absent. */
void *bundle_reader_array(struct bundle_reader *reader, const json_t *object, const char *key,
			  size_t max, size_t element, const json_t **ret_array, size_t *ret_count);
void bundle_reader_list(struct bundle_reader *reader, const json_t *object, const char *key,
			bool (*valid)(const char *), struct bundle_list *ret_list);
void bundle_reader_blob(struct bundle_reader *reader, const json_t *object,
			struct bundle_blob *ret_blob);
void bundle_reader_item(struct bundle_reader *reader, const json_t *json, struct bundle_item *item);
void bundle_item_free(struct bundle_item *item);
void bundle_list_free(struct bundle_list *list);

/* Sets error and returns err, for "return bundle_failed(…)". */
__attribute__((format(printf, 3, 4))) int bundle_failed(struct bundle_error *error, int err,
							const char *format, ...);
int bundle_blob_failed(struct bundle_error *error, const char *digest, int err, const char *why);

/* ---- words ----------------------------------------------------------------------------------- */

/* "/a/b": absolute, no "." or "..", no empty part, printable. */
bool bundle_path_valid(const char *path);
/* The same without the first "/". */
bool bundle_relative_valid(const char *path);
bool bundle_variable_valid(const char *name);
bool bundle_os_valid(const char *text);
/* Checks a template; variables are not looked up. */
bool bundle_template_valid(const char *text);
/* Compares "major.minor…" numbers as numbers. */
bool bundle_kernel_valid(const char *text);

#endif
