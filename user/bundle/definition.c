/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads bundle.yaml through a libcyaml schema, as strictly as sluice.yaml, and sorts the items:
 * components before software, and everything required before what requires it. The manifest's own
 * parser checks values again (user/lib/bundle_manifest.c); here are the mistakes that a line number
 * helps with.
 */
#include "definition.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/conf_impl.h"
#include "file.h"
#include "order.h"

#define FILE_MAX (4 * 1024 * 1024)

/* clang-format off */
#define OPT CYAML_FLAG_OPTIONAL
#define UINT(key, type, member) CYAML_FIELD_UINT(key, OPT, type, member)
#define BOOL(key, type, member) CYAML_FIELD_BOOL(key, OPT, type, member)
#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, OPT | CYAML_FLAG_POINTER, type, member, 1, 1024)
#define NEED(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, 1024)
#define LONG(key, flag, type, member) CYAML_FIELD_STRING_PTR(key, flag | CYAML_FLAG_POINTER, type, member, 1, BUNDLE_TEXT_MAX)
#define LIST(key, type, member, entry) CYAML_FIELD_SEQUENCE(key, OPT | CYAML_FLAG_POINTER, type, member, entry, 1, BUNDLE_LIST_MAX)

static const cyaml_schema_value_t word_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255) };

static const cyaml_schema_field_t port_fields[] = {
	CYAML_FIELD_UINT("port", CYAML_FLAG_DEFAULT, struct definition_port, port),
	TEXT("protocol", struct definition_port, protocol),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t port_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct definition_port, port_fields) };

static const cyaml_schema_field_t variable_fields[] = {
	NEED("name", struct definition_variable, name),
	TEXT("title", struct definition_variable, title),
	LONG("value", OPT, struct definition_variable, value),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t variable_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct definition_variable, variable_fields) };

static const cyaml_schema_field_t config_fields[] = {
	NEED("path", struct definition_config, path),
	TEXT("owner", struct definition_config, owner),
	TEXT("group", struct definition_config, group),
	TEXT("mode", struct definition_config, mode),
	TEXT("when", struct definition_config, when),
	LONG("text", OPT, struct definition_config, text),
	TEXT("file", struct definition_config, file),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t config_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct definition_config, config_fields) };

static const cyaml_schema_field_t step_fields[] = {
	LONG("run", CYAML_FLAG_DEFAULT, struct definition_step, run),
	UINT("timeout", struct definition_step, timeout),
	UINT("tries", struct definition_step, tries),
	UINT("interval", struct definition_step, interval),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t step_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct definition_step, step_fields) };

static const cyaml_strval_t role_words[] = { { "component", BUNDLE_COMPONENT }, { "software", BUNDLE_SOFTWARE } };

static const cyaml_schema_field_t item_fields[] = {
	NEED("name", struct definition_item, name),
	CYAML_FIELD_ENUM("role", CYAML_FLAG_STRICT, struct definition_item, role, role_words, CYAML_ARRAY_LEN(role_words)),
	TEXT("version", struct definition_item, version),
	TEXT("title", struct definition_item, title),
	LIST("os", struct definition_item, os, &word_entry),
	TEXT("architecture", struct definition_item, architecture),
	TEXT("kernel", struct definition_item, kernel),
	UINT("space", struct definition_item, space),
	UINT("memory", struct definition_item, memory),
	LIST("ports", struct definition_item, ports, &port_entry),
	LIST("requires", struct definition_item, requires, &word_entry),
	LIST("conflicts", struct definition_item, conflicts, &word_entry),
	LIST("packages", struct definition_item, packages, &word_entry),
	BOOL("recommends", struct definition_item, recommends),
	TEXT("tarball", struct definition_item, tarball),
	TEXT("target", struct definition_item, target),
	TEXT("image", struct definition_item, image),
	TEXT("reference", struct definition_item, reference),
	LIST("variables", struct definition_item, variables, &variable_entry),
	LIST("configs", struct definition_item, configs, &config_entry),
	LIST("prepare", struct definition_item, prepare, &step_entry),
	LIST("install", struct definition_item, install, &step_entry),
	LIST("health", struct definition_item, health, &step_entry),
	LIST("uninstall", struct definition_item, uninstall, &step_entry),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t item_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct definition_item, item_fields) };

static const cyaml_schema_field_t root_fields[] = {
	NEED("name", struct definition, name),
	CYAML_FIELD_UINT("version", CYAML_FLAG_DEFAULT, struct definition, version),
	TEXT("title", struct definition, title),
	TEXT("os", struct definition, os),
	TEXT("architecture", struct definition, architecture),
	TEXT("status", struct definition, status),
	BOOL("machine_sources", struct definition, machine_sources),
	LIST("debs", struct definition, debs, &word_entry),
	CYAML_FIELD_SEQUENCE("items", CYAML_FLAG_POINTER, struct definition, items, &item_entry, 1, BUNDLE_ITEMS_MAX),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t root = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct definition, root_fields) };
/* clang-format on */

struct load {
	struct definition *definition;
	struct conf_doc doc;
	struct conf_report report;
	char *folder; /* the definition's, with a "/" at its end, or "" */
};

__attribute__((format(printf, 3, 4))) static void complain(struct load *load, const char *path,
							   const char *format, ...)
{
	size_t line, column;
	va_list args;

	conf_doc_find(&load->doc, path, &line, &column);
	va_start(args, format);
	conf_report_vat(&load->report, line, column, format, args);
	va_end(args);
}

/* Makes *path relative to the definition. */
static void resolve(struct load *load, char **path)
{
	char *whole;

	if (!*path || **path == '/')
		return;
	if (asprintf(&whole, "%s%s", load->folder, *path) < 0) {
		load->report.oom = true;
		return;
	}
	free(*path);
	*path = whole;
}

static void check_payload(struct load *load, struct definition_item *item, const char *at)
{
	int payloads = !!item->packages_count + !!item->tarball + !!item->image;

	if (payloads != 1)
		complain(load, at, "item %s needs one of 'packages', 'tarball', 'image'",
			 item->name);
	if (item->packages_count &&
	    (!load->definition->os || !load->definition->architecture || !load->definition->status))
		complain(load, at,
			 "packages need 'os', 'architecture' and 'status' at the top of the file");
	if (!item->packages_count && !item->version)
		complain(load, at, "item %s needs a 'version'", item->name);
	if (item->tarball && !item->target)
		complain(load, at, "item %s needs a 'target' for its tarball", item->name);
	if (item->image && !item->reference)
		complain(load, at, "item %s needs a 'reference' for its image", item->name);
	resolve(load, &item->tarball);
}

static void check_configs(struct load *load, struct definition_item *item, const char *at)
{
	for (unsigned i = 0; i < item->configs_count; i++) {
		struct definition_config *config = &item->configs[i];
		char where[64], *text;
		size_t len;
		int err;

		snprintf(where, sizeof(where), "%s.configs[%u]", at, i);
		if (!config->text == !config->file) {
			complain(load, where, "%s needs one of 'text' and 'file'", config->path);
			continue;
		}
		if (config->text)
			continue;
		resolve(load, &config->file);
		err = file_read_regular(config->file, BUNDLE_TEXT_MAX, &text, &len);
		if (err || strlen(text) != len || !len) {
			complain(load, where, "%s: %s", config->file,
				 err == -EFBIG ? "larger than 64 KiB"
				 : err	       ? strerror(-err)
					       : "empty, or no text");
			if (!err)
				free(text);
			continue;
		}
		/* libcyaml frees it as it would its own: both malloc. */
		config->text = text;
	}
}

static void check_all(struct load *load)
{
	struct definition *definition = load->definition;
	struct bundle_error error;
	char at[32];

	if (!name_package_valid(definition->name))
		complain(load, "name", "'%s' is no name: letters, digits and +-._",
			 definition->name);
	if (!definition->version)
		complain(load, "version", "versions begin with 1");
	if (definition->status && strcmp(definition->status, "machine") != 0 &&
	    strcmp(definition->status, "empty") != 0)
		resolve(load, &definition->status);
	for (unsigned i = 0; i < definition->debs_count; i++)
		resolve(load, &definition->debs[i]);
	for (unsigned i = 0; i < definition->items_count; i++) {
		snprintf(at, sizeof(at), "items[%u]", i);
		if (!name_package_valid(definition->items[i].name))
			complain(load, at, "'%s' is no name: letters, digits and +-._",
				 definition->items[i].name);
		check_payload(load, &definition->items[i], at);
		check_configs(load, &definition->items[i], at);
	}
	if (!load->report.count && order_items(definition, &error))
		complain(load, "items", "%s", error.text);
}

static int fill(struct load *load, const char *text, size_t len)
{
	cyaml_err_t err = cyaml_load_data((const uint8_t *)text, len, &conf_cyaml_quiet, &root,
					  (cyaml_data_t **)&load->definition, NULL);

	if (err == CYAML_ERR_OOM)
		return -ENOMEM;
	if (err != CYAML_OK)
		conf_report_at(&load->report, 0, 0, "%s", cyaml_strerror(err));
	return 0;
}

static int set_folder(struct load *load, const char *path)
{
	const char *slash = strrchr(path, '/');

	load->folder = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
	return load->folder ? 0 : -ENOMEM;
}

int definition_load(const char *path, struct definition **ret_definition, char **ret_why)
{
	struct load load = { .report = { .name = path } };
	char *text = NULL;
	size_t len;
	int err = file_read_regular(path, FILE_MAX, &text, &len);

	*ret_why = NULL;
	if (err) {
		if (asprintf(ret_why, "%s: %s", path,
			     err == -EFBIG ? "larger than 4 MiB" : strerror(-err)) < 0)
			*ret_why = NULL;
		return err;
	}
	err = set_folder(&load, path);
	if (!err)
		err = conf_doc_open(&load.doc, &load.report, text, len);
	if (!err && conf_doc_empty(&load.doc))
		conf_report_at(&load.report, 0, 0, "the file is empty; see sluice-bundle(1)");
	else if (!err)
		conf_doc_compare(&load.doc, &root, &load.report);
	if (!err && !load.report.count)
		err = fill(&load, text, len);
	if (!err && !load.report.count)
		check_all(&load);
	conf_doc_close(&load.doc);
	free(load.folder);
	free(text);
	if (!err && !load.report.count && !load.report.oom) {
		*ret_definition = load.definition;
		return 0;
	}
	definition_free(load.definition);
	*ret_why = load.report.text;
	return load.report.oom ? -ENOMEM : err ? err : -EINVAL;
}

void definition_free(struct definition *definition)
{
	if (definition)
		cyaml_free(&conf_cyaml_quiet, &root, definition, 0);
}
