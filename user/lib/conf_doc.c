/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The YAML text as libyaml's document: every value with its line and column, found again
 * by path when a check complains about it later.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf_impl.h"

#define DEPTH_MAX 16 /* the schema has 6 */

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
	const char *began = parser->context ? parser->context : "";
	yaml_mark_t mark = parser->problem_mark;
	size_t line, column;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	/* What has no end is noticed far below: the mistake is where it began. */
	if (strstr(began, "scanning a simple key") || strstr(began, "scanning a quoted scalar"))
		mark = parser->context_mark;
	line = mark.line;
	column = mark.column;
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

static const yaml_char_t *event_anchor(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor;
	case YAML_ALIAS_EVENT:
		return event->data.alias.anchor;
	default:
		return NULL;
	}
}

struct scan {
	struct conf_report *report;
	unsigned depth, documents;
};

/* 0, or -EINVAL when the rest is not worth reading. */
static int scan_event(struct scan *scan, const yaml_event_t *event)
{
	const char *problem = NULL;

	if (event_anchor(event))
		problem = "anchors and aliases are not read; write the value out";
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++scan->documents > 1)
			problem = "a second document begins; remove the line '---'";
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++scan->depth > DEPTH_MAX)
			problem = "nested too deeply; see sluice.yaml(5)";
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		scan->depth--;
		break;
	default:
		break;
	}
	if (!problem)
		return 0;
	conf_report_at(scan->report, event->start_mark.line, event->start_mark.column, "%s",
		       problem);
	return -EINVAL;
}

/*
 * Reads the text once without keeping it, and stops where libyaml would become slow: its time
 * is quadratic in the nesting and in the number of anchors.
 */
static int scan_text(struct conf_report *report, const void *yaml, size_t len)
{
	struct scan scan = { .report = report };
	yaml_event_type_t type = YAML_NO_EVENT;
	yaml_parser_t parser;
	yaml_event_t event;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, yaml, len);
	while (!err && type != YAML_STREAM_END_EVENT) {
		if (!yaml_parser_parse(&parser, &event)) {
			err = report_syntax(&parser, report, yaml, len);
			break;
		}
		type = event.type;
		err = scan_event(&scan, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return err;
}

int conf_doc_open(struct conf_doc *doc, struct conf_report *report, const void *yaml, size_t len)
{
	yaml_parser_t parser;
	int err = scan_text(report, yaml, len);

	if (err < 0)
		return err;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, yaml, len);
	doc->loaded = yaml_parser_load(&parser, &doc->yaml);
	if (!doc->loaded)
		err = report_syntax(&parser, report, yaml, len);
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
