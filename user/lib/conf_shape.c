/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compares a document with the libcyaml schema and says every difference in one line for
 * people. libcyaml compares too, but stops at the first, speaks of events, and lets pass
 * what an operator did not mean: "80x" is 80, "010" is 8, "-1" is 2^64-1, "fasle" is true,
 * a NUL ends a string.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "conf_impl.h"
#include "nearest.h"

#define WORDS_MAX 512 /* bytes of a list of alternatives */

struct shape {
	struct conf_report *report;
	yaml_document_t *yaml;
	const cyaml_schema_value_t *root;
};

__attribute__((format(printf, 3, 4))) static void
complain(struct shape *shape, const yaml_node_t *node, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	conf_report_vat(shape->report, node->start_mark.line, node->start_mark.column, format,
			args);
	va_end(args);
}

static void words_add(char *words, const char *word)
{
	size_t len = strlen(words);

	snprintf(words + len, WORDS_MAX - len, "%s%s", len ? ", " : "", word);
}

static const char *kind(const yaml_node_t *node)
{
	switch (node->type) {
	case YAML_MAPPING_NODE:
		return "a mapping";
	case YAML_SEQUENCE_NODE:
		return "a list";
	default:
		return node->data.scalar.length ? "a single value" : "empty";
	}
}

static bool is_bool(const char *text)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off" };

	for (size_t i = 0; i < CYAML_ARRAY_LEN(words); i++)
		if (!strcasecmp(words[i], text))
			return true;
	return false;
}

/* Plain decimal, no sign, no leading zero, and it fits into size bytes. */
static bool is_uint(const char *text, uint32_t size)
{
	uint64_t value = 0, most = UINT64_MAX >> (64 - 8 * size);

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (*text < '0' || *text > '9' || value > (most - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	return true;
}

static void check_enum(struct shape *shape, const cyaml_schema_value_t *schema,
		       const yaml_node_t *node, const char *name, const char *text)
{
	char words[WORDS_MAX] = "";

	for (uint32_t i = 0; i < schema->enumeration.count; i++) {
		if (!strcmp(schema->enumeration.strings[i].str, text))
			return;
		words_add(words, schema->enumeration.strings[i].str);
	}
	complain(shape, node, "%s is '%s'; write one of: %s", name, text, words);
}

static void check_scalar(struct shape *shape, const cyaml_schema_value_t *schema,
			 const yaml_node_t *node, const char *name)
{
	const char *text = (const char *)node->data.scalar.value;
	size_t len = node->data.scalar.length;
	/* What may be longer than a long line is a text: a template, a script. */
	bool lines = schema->type == CYAML_STRING && schema->string.max > 4096;

	for (size_t i = 0; i < len; i++) {
		if (lines && (text[i] == '\n' || text[i] == '\t'))
			continue;
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			complain(shape, node, "%s holds a control character; remove it", name);
			return;
		}
	}
	if (!len) {
		complain(shape, node, "%s is empty; give it a value or remove the line", name);
		return;
	}
	switch (schema->type) {
	case CYAML_UINT:
		if (!is_uint(text, schema->data_size))
			complain(shape, node, "%s is '%s'; write a whole number from 0 to %llu",
				 name, text,
				 (unsigned long long)(UINT64_MAX >> (64 - 8 * schema->data_size)));
		break;
	case CYAML_BOOL:
		if (!is_bool(text))
			complain(shape, node, "%s is '%s'; write true or false", name, text);
		break;
	case CYAML_ENUM:
		check_enum(shape, schema, node, name, text);
		break;
	default:
		if (len > schema->string.max)
			complain(shape, node, "%s is %zu characters long; at most %u are allowed",
				 name, len, schema->string.max);
	}
}

static void check_value(struct shape *shape, const cyaml_schema_value_t *schema,
			const yaml_node_t *node, const char *name);

static void check_sequence(struct shape *shape, const cyaml_schema_value_t *schema,
			   const yaml_node_t *node, const char *name)
{
	const yaml_node_item_t *item, *first = node->data.sequence.items.start;
	size_t count = (size_t)(node->data.sequence.items.top - first);

	if (count < schema->sequence.min)
		complain(shape, node, "%s is an empty list; add an entry or remove the line", name);
	if (count > schema->sequence.max) {
		complain(shape, yaml_document_get_node(shape->yaml, first[schema->sequence.max]),
			 "%s has %zu entries; at most %u are allowed", name, count,
			 schema->sequence.max);
		return;
	}
	for (item = first; item < node->data.sequence.items.top; item++)
		check_value(shape, schema->sequence.entry,
			    yaml_document_get_node(shape->yaml, *item), name);
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_value_t *schema, const char *key)
{
	const cyaml_schema_field_t *field;

	for (field = schema->mapping.fields; field->key; field++)
		if (!strcmp(field->key, key))
			return field;
	return NULL;
}

/* The parts of the file that have this key: it may only be indented wrongly. */
static void find_parts(const struct shape *shape, const char *key, char *words)
{
	const cyaml_schema_field_t *part;

	if (!strcmp(key, CONF_SECRET_KEY))
		return;
	for (part = shape->root->mapping.fields; part->key; part++) {
		const cyaml_schema_value_t *value = &part->value;

		if (value->type == CYAML_SEQUENCE)
			value = value->sequence.entry;
		if (value->type == CYAML_MAPPING && find_field(value, key))
			words_add(words, part->key);
	}
}

static void complain_unknown_key(struct shape *shape, const cyaml_schema_value_t *schema,
				 const yaml_node_t *key, const char *name)
{
	const char *typed = (const char *)key->data.scalar.value, *colon = *name ? ": " : "";
	struct nearest nearest = { .typed = typed };
	const cyaml_schema_field_t *field;
	char words[WORDS_MAX] = "", parts[WORDS_MAX] = "";

	for (field = schema->mapping.fields; field->key; field++) {
		if (!strcmp(field->key, CONF_SECRET_KEY))
			continue;
		words_add(words, field->key);
		nearest_offer(&nearest, field->key);
	}
	find_parts(shape, typed, parts);
	/* One slip is likelier than a wrong place, which is likelier than several slips. */
	if (nearest.word && (nearest.far < 2 || !*parts))
		complain(shape, key, "%s%sno key '%s' exists here; did you mean '%s'? Known: %s",
			 name, colon, typed, nearest.word, words);
	else if (*parts)
		complain(shape, key, "%s%sno key '%s' exists here; it belongs into: %s", name,
			 colon, typed, parts);
	else if (schema != shape->root && find_field(shape->root, typed))
		complain(shape, key, "%s%sno key '%s' exists here; it begins a line of its own",
			 name, colon, typed);
	else
		complain(shape, key, "%s%sno key '%s' exists here; known: %s", name, colon, typed,
			 words);
}

static bool given_before(struct shape *shape, const yaml_node_t *node, const yaml_node_pair_t *pair,
			 const char *key)
{
	const yaml_node_pair_t *other;

	for (other = node->data.mapping.pairs.start; other < pair; other++) {
		const yaml_node_t *name = yaml_document_get_node(shape->yaml, other->key);

		if (name->type == YAML_SCALAR_NODE &&
		    !strcmp((const char *)name->data.scalar.value, key))
			return true;
	}
	return false;
}

static void check_pair(struct shape *shape, const cyaml_schema_value_t *schema,
		       const yaml_node_t *node, const yaml_node_pair_t *pair, const char *name)
{
	const yaml_node_t *key = yaml_document_get_node(shape->yaml, pair->key);
	const cyaml_schema_field_t *field;
	const char *text;

	if (key->type != YAML_SCALAR_NODE || !key->data.scalar.length ||
	    strlen((const char *)key->data.scalar.value) != key->data.scalar.length) {
		complain(shape, key, "this is no key; write 'key: value'");
		return;
	}
	text = (const char *)key->data.scalar.value;
	field = find_field(schema, text);
	if (field && !strcmp(text, CONF_SECRET_KEY))
		complain(shape, key,
			 "secrets do not belong into this file; put it into a file of mode 0600 "
			 "and name that with secret_file");
	else if (!field)
		complain_unknown_key(shape, schema, key, name);
	else if (given_before(shape, node, pair, text))
		complain(shape, key, "'%s' is given twice; remove one of them", text);
	else
		check_value(shape, &field->value, yaml_document_get_node(shape->yaml, pair->value),
			    text);
}

static void check_mapping(struct shape *shape, const cyaml_schema_value_t *schema,
			  const yaml_node_t *node, const char *name)
{
	const cyaml_schema_field_t *field;
	const yaml_node_pair_t *pair;

	/* Bounds given_before() on files that repeat a key a million times. */
	if (node->data.mapping.pairs.top - node->data.mapping.pairs.start > 1000) {
		complain(shape, node, "far too many keys; see sluice.yaml(5)");
		return;
	}
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++)
		check_pair(shape, schema, node, pair, name);
	for (field = schema->mapping.fields; field->key; field++) {
		if (field->value.flags & CYAML_FLAG_OPTIONAL)
			continue;
		if (!given_before(shape, node, node->data.mapping.pairs.top, field->key))
			complain(shape, node, "an entry of %s lacks '%s'; add '%s: ...'", name,
				 field->key, field->key);
	}
}

static void check_value(struct shape *shape, const cyaml_schema_value_t *schema,
			const yaml_node_t *node, const char *name)
{
	switch (schema->type) {
	case CYAML_MAPPING:
		if (node->type == YAML_MAPPING_NODE)
			check_mapping(shape, schema, node, name);
		else
			complain(shape, node, "%s is %s; write 'key: value' lines below it",
				 *name ? name : "the file", kind(node));
		break;
	case CYAML_SEQUENCE:
		if (node->type == YAML_SEQUENCE_NODE)
			check_sequence(shape, schema, node, name);
		else
			complain(shape, node, "%s is %s; write a list, one '- ...' for each entry",
				 name, kind(node));
		break;
	default:
		if (node->type == YAML_SCALAR_NODE)
			check_scalar(shape, schema, node, name);
		else
			complain(shape, node, "%s is %s; write a single value", name, kind(node));
	}
}

void conf_doc_compare(struct conf_doc *doc, const cyaml_schema_value_t *schema,
		      struct conf_report *report)
{
	yaml_node_t *root = yaml_document_get_root_node(&doc->yaml);
	struct shape shape = { .report = report, .yaml = &doc->yaml, .root = schema };

	if (!conf_doc_empty(doc))
		check_value(&shape, schema, root, "");
}

void conf_doc_check(struct conf_doc *doc, struct conf_report *report)
{
	conf_doc_compare(doc, &conf_schema, report);
}
