/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the conf*.c files share and nobody else sees.
 *
 *   bytes ─ conf_doc_open() ─▶ document (values with positions)
 *         ─ conf_doc_check() ─▶ shaped like the schema, words and numbers strict
 *         ─ libcyaml ─▶ struct conf ─ conf_fill_defaults(), conf_check() ─▶ caller
 *
 * libcyaml fills the structs; the document says where a value stands (libcyaml forgets it)
 * and whether it was given at all (libcyaml cannot tell 0 from absent).
 */
#ifndef SLUICE_CONF_IMPL_H
#define SLUICE_CONF_IMPL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cyaml/cyaml.h>
#include <yaml.h>

#include "conf.h"

#define CONF_FILE_MAX	 (4u << 20) /* bytes of a configuration file */
#define CONF_REPORT_MAX	 20	    /* mistakes listed at once */
#define CONF_SECRET_MAX	 1024	    /* characters of a secret */
#define CONF_TENANTS_MAX 4096	    /* tenants in one file */

/* Mistakes found, one line each: "NAME:LINE:COL: text". */
struct conf_report {
	const char *name;
	char *text; /* malloc'd */
	unsigned count;
	bool oom;
};

void conf_report_at(struct conf_report *report, size_t line, size_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void conf_report_vat(struct conf_report *report, size_t line, size_t column, const char *format,
		     va_list args);

struct conf_doc {
	yaml_document_t yaml;
	bool loaded;
};

/* Parses text into doc. 0, -ENOMEM, or -EINVAL with the mistake reported. */
int conf_doc_open(struct conf_doc *doc, struct conf_report *report, const void *yaml, size_t len);
/* Nothing but comments, or an empty value. */
bool conf_doc_empty(struct conf_doc *doc);
/* Compares doc with the schema and reports every difference. */
void conf_doc_check(struct conf_doc *doc, struct conf_report *report);
/* The same with another file's schema: cluster files are read as strictly. */
void conf_doc_compare(struct conf_doc *doc, const cyaml_schema_value_t *schema,
		      struct conf_report *report);
/*
 * Finds the value at a path like "services[2].origins[0].address". Returns whether it is
 * there; the position is its own, or that of the innermost part of the path that exists.
 */
bool conf_doc_find(struct conf_doc *doc, const char *path, size_t *ret_line, size_t *ret_column);
void conf_doc_close(struct conf_doc *doc);

/* The one key of the schema that a file must not use. */
#define CONF_SECRET_KEY "secret"
/* The schema of struct conf; the same for the file and for the memfd. */
extern const cyaml_schema_value_t conf_schema;

int conf_fill_defaults(struct conf *conf, struct conf_doc *doc);
void conf_check(const struct conf *conf, struct conf_doc *doc, struct conf_report *report);

/* The enums' words, by value; conf_words.c ties them to the enums. */
#define CONF_GUARD_MODE_WORDS 4
#define CONF_BRIDGE_WORDS     2
#define CONF_FAIL_WORDS	      2
#define CONF_ENGINE_WORDS     4
#define CONF_CONGESTION_WORDS 4
#define CONF_IDENTITY_WORDS   4
#define CONF_LOG_FORMAT_WORDS 2
extern const cyaml_strval_t conf_guard_mode_words[CONF_GUARD_MODE_WORDS];
extern const cyaml_strval_t conf_bridge_words[CONF_BRIDGE_WORDS];
extern const cyaml_strval_t conf_fail_words[CONF_FAIL_WORDS];
extern const cyaml_strval_t conf_engine_words[CONF_ENGINE_WORDS];
extern const cyaml_strval_t conf_congestion_words[CONF_CONGESTION_WORDS];
extern const cyaml_strval_t conf_identity_words[CONF_IDENTITY_WORDS];
extern const cyaml_strval_t conf_log_format_words[CONF_LOG_FORMAT_WORDS];

/* libcyaml without messages: for data that conf_doc_check() or the parent vouches for. */
extern const cyaml_config_t conf_cyaml_quiet;

#endif
