/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The YAML text as libyaml's document: every value with its line and column, found again
 * by path when a check complains about it later.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf_impl.h"

/* libyaml's words are about its grammar; most people want to know which key to press. */
static const char *syntax_hint(const yaml_parser_t *parser, const char *yaml, size_t len)
{
	size_t at = parser->problem_mark.index;

	if (parser->error == YAML_READER_ERROR)
		return "save the file as UTF-8 text";
	if (at < len && yaml[at] == '\t')
		return "indent with spaces, not with tabs";
	return "check indentation, quotes, and that a space follows each ':' and '-'";
}

static int report_syntax(const yaml_parser_t *parser, struct conf_report *report, const char *yaml,
			 size_t len)
{
	const char *problem = parser->problem ? parser->problem : "not YAML";
	size_t line = parser->problem_mark.line, column = parser->problem_mark.column;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR) {
		/* The reader fails before there are lines: count them. */
		line = column = 0;
		for (size_t i = 0; i < parser->problem_offset && i < len; i++) {
			column++;
			if (yaml[i] == '\n') {
				line++;
				column = 0;
			}
		}
	}
	conf_report_at(report, line, column, "%s; %s", problem, syntax_hint(parser, yaml, len));
	return -EINVAL;
}

int conf_doc_open(struct conf_doc *doc, struct conf_report *report, const void *yaml, size_t len)
{
	yaml_document_t next;
	yaml_parser_t parser;
	yaml_node_t *root;
	int err = -EINVAL;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, yaml, len);
	if (!yaml_parser_load(&parser, &doc->yaml)) {
		err = report_syntax(&parser, report, yaml, len);
		goto out_parser;
	}
	doc->loaded = true;
	if (!yaml_document_get_root_node(&doc->yaml)) {
		err = 0;
		goto out_parser;
	}
	if (!yaml_parser_load(&parser, &next)) {
		err = report_syntax(&parser, report, yaml, len);
		goto out_parser;
	}
	root = yaml_document_get_root_node(&next);
	if (root)
		conf_report_at(report, root->start_mark.line, root->start_mark.column,
			       "a second document begins; remove the line '---' before it");
	else
		err = 0;
	yaml_document_delete(&next);

out_parser:
	yaml_parser_delete(&parser);
	return err;
}

bool conf_doc_empty(struct conf_doc *doc)
{
	const yaml_node_t *root = yaml_document_get_root_node(&doc->yaml);

	return !root || (root->type == YAML_SCALAR_NODE && !root->data.scalar.length);
}

static yaml_node_t *mapping_get(yaml_document_t *yaml, const yaml_node_t *node, const char *key,
				size_t len)
{
	const yaml_node_pair_t *pair;

	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = yaml_document_get_node(yaml, pair->key);

		if (name->type == YAML_SCALAR_NODE && name->data.scalar.length == len &&
		    !memcmp(name->data.scalar.value, key, len))
			return yaml_document_get_node(yaml, pair->value);
	}
	return NULL;
}

static yaml_node_t *sequence_get(yaml_document_t *yaml, const yaml_node_t *node,
				 unsigned long index)
{
	const yaml_node_item_t *first;

	if (node->type != YAML_SEQUENCE_NODE)
		return NULL;
	first = node->data.sequence.items.start;
	if (index >= (unsigned long)(node->data.sequence.items.top - first))
		return NULL;
	return yaml_document_get_node(yaml, first[index]);
}

bool conf_doc_find(struct conf_doc *doc, const char *path, size_t *ret_line, size_t *ret_column)
{
	yaml_node_t *node = yaml_document_get_root_node(&doc->yaml), *next = node;

	*ret_line = *ret_column = 0;
	if (!node)
		return false;
	while (*path) {
		size_t len = strcspn(path, ".[");

		if (*path == '[') {
			char *end;

			next = sequence_get(&doc->yaml, node, strtoul(path + 1, &end, 10));
			path = end + 1;
		} else {
			next = mapping_get(&doc->yaml, node, path, len);
			path += len;
		}
		if (!next)
			break;
		node = next;
		if (*path == '.')
			path++;
	}
	*ret_line = node->start_mark.line;
	*ret_column = node->start_mark.column;
	return next != NULL;
}

void conf_doc_close(struct conf_doc *doc)
{
	if (doc->loaded)
		yaml_document_delete(&doc->yaml);
	doc->loaded = false;
}
