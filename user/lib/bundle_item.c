/* SPDX-License-Identifier: BSD-2-Clause */
/* The manifest's items: JSON in, struct bundle_item out; see docs/bundle.md. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_impl.h"

#define TITLE_MAX 240

static const char *const type_names[] = {
	[BUNDLE_DEB] = "deb",
	[BUNDLE_TARBALL] = "tarball",
	[BUNDLE_IMAGE] = "image",
};
_Static_assert(sizeof(type_names) / sizeof(type_names[0]) == BUNDLE_TYPES, "type_names");

static const char *const role_names[] = {
	[BUNDLE_COMPONENT] = "component",
	[BUNDLE_SOFTWARE] = "software",
};
_Static_assert(sizeof(role_names) / sizeof(role_names[0]) == BUNDLE_ROLES, "role_names");

static const char *const when_names[] = { [BUNDLE_BEFORE] = "before", [BUNDLE_AFTER] = "after" };
_Static_assert(sizeof(when_names) / sizeof(when_names[0]) == BUNDLE_WHENS, "when_names");

static const char *const phase_names[] = {
	[BUNDLE_PREPARE] = "prepare",
	[BUNDLE_INSTALL] = "install",
	[BUNDLE_HEALTH] = "health",
	[BUNDLE_UNINSTALL] = "uninstall",
};
_Static_assert(sizeof(phase_names) / sizeof(phase_names[0]) == BUNDLE_PHASES, "phase_names");

const char *bundle_type_name(enum bundle_type type)
{
	return type_names[type];
}

const char *bundle_role_name(enum bundle_role role)
{
	return role_names[role];
}

const char *bundle_phase_name(enum bundle_phase phase)
{
	return phase_names[phase];
}

static unsigned read_word(struct bundle_reader *reader, const json_t *object, const char *key,
			  const char *const *words, unsigned count)
{
	const char *text = json_string_value(json_object_get(object, key));

	for (unsigned i = 0; text && i < count; i++)
		if (!strcmp(words[i], text))
			return i;
	bundle_reader_fail(reader, "'%s' is none of its words", key);
	return 0;
}

/* A text that must please valid(). */
static char *read_valid(struct bundle_reader *reader, const json_t *object, const char *key,
			bool wanted, bool (*valid)(const char *))
{
	char *text = bundle_reader_text(reader, object, key, 1024, wanted);

	if (text && !valid(text))
		bundle_reader_fail(reader, "'%s' may not be '%.80s'", key, text);
	return text;
}

/* "name=version", as apt-get takes it. */
static bool request_valid(const char *text)
{
	char name[NAME_MAX_LEN + 1];
	size_t len = strcspn(text, "=");

	if (len > NAME_MAX_LEN || text[len] != '=' || strlen(text + len + 1) > NAME_MAX_LEN)
		return false;
	memcpy(name, text, len);
	name[len] = '\0';
	return name_package_valid(name) && name_version_valid(text + len + 1);
}

static bool reference_valid(const char *text)
{
	size_t len = strlen(text);

	return len && len <= 255 && text[0] != '-' &&
	       strspn(text,
		      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@") ==
		       len;
}

static void read_ports(struct bundle_reader *reader, const json_t *needs, struct bundle_needs *ret)
{
	static const char *const protocols[] = { "tcp", "udp" };
	const json_t *array;

	ret->ports = bundle_reader_array(reader, needs, "ports", BUNDLE_LIST_MAX,
					 sizeof(*ret->ports), &array, &ret->ports_count);
	for (size_t i = 0; i < ret->ports_count && !reader->err; i++) {
		const json_t *json = json_array_get(array, i);

		if (!bundle_reader_keys(reader, json, "port protocol"))
			return;
		ret->ports[i].port =
			(uint16_t)bundle_reader_number(reader, json, "port", 1, 65535, true);
		ret->ports[i].udp = read_word(reader, json, "protocol", protocols, 2) == 1;
	}
}

static void read_needs(struct bundle_reader *reader, const json_t *json, struct bundle_needs *needs)
{
	if (!json)
		return;
	if (!bundle_reader_keys(reader, json,
				"os architecture kernel space memory ports requires conflicts"))
		return;
	bundle_reader_list(reader, json, "os", bundle_os_valid, &needs->os);
	needs->architecture = read_valid(reader, json, "architecture", false, name_arch_valid);
	needs->kernel = read_valid(reader, json, "kernel", false, bundle_kernel_valid);
	needs->space = bundle_reader_number(reader, json, "space", 0, (uint64_t)1 << 50, false);
	needs->memory = bundle_reader_number(reader, json, "memory", 0, (uint64_t)1 << 50, false);
	read_ports(reader, json, needs);
	bundle_reader_list(reader, json, "requires", name_package_valid, &needs->requires);
	bundle_reader_list(reader, json, "conflicts", name_package_valid, &needs->conflicts);
}

static void read_packages(struct bundle_reader *reader, const json_t *json,
			  struct bundle_item *item)
{
	const json_t *array;

	item->packages =
		bundle_reader_array(reader, json, "packages", BUNDLE_PACKAGES_MAX,
				    sizeof(*item->packages), &array, &item->packages_count);
	for (size_t i = 0; i < item->packages_count && !reader->err; i++) {
		const json_t *from = json_array_get(array, i);
		struct bundle_package *package = &item->packages[i];

		if (!bundle_reader_keys(reader, from,
					"name version architecture filename sha256 size installed"))
			return;
		package->name = read_valid(reader, from, "name", true, name_package_valid);
		package->version = read_valid(reader, from, "version", true, name_version_valid);
		package->architecture =
			read_valid(reader, from, "architecture", true, name_arch_valid);
		package->filename = read_valid(reader, from, "filename", true, name_filename_valid);
		bundle_reader_blob(reader, from, &package->blob);
		package->installed =
			bundle_reader_number(reader, from, "installed", 0, (uint64_t)1 << 50, true);
	}
}

static void read_tarball(struct bundle_reader *reader, const json_t *json, struct bundle_item *item)
{
	if (!bundle_reader_keys(reader, json, "filename sha256 size target"))
		return;
	item->tarball_name = read_valid(reader, json, "filename", true, name_filename_valid);
	item->target = read_valid(reader, json, "target", true, bundle_path_valid);
	bundle_reader_blob(reader, json, &item->tarball);
}

static void read_image(struct bundle_reader *reader, const json_t *json, struct bundle_item *item)
{
	const json_t *array;

	if (!bundle_reader_keys(reader, json, "reference sha256 size blobs"))
		return;
	item->reference = read_valid(reader, json, "reference", true, reference_valid);
	bundle_reader_blob(reader, json, &item->image);
	item->image_blobs =
		bundle_reader_array(reader, json, "blobs", BUNDLE_LIST_MAX,
				    sizeof(*item->image_blobs), &array, &item->image_blobs_count);
	for (size_t i = 0; i < item->image_blobs_count && !reader->err; i++)
		if (bundle_reader_keys(reader, json_array_get(array, i), "sha256 size"))
			bundle_reader_blob(reader, json_array_get(array, i), &item->image_blobs[i]);
}

static void read_payload(struct bundle_reader *reader, const json_t *json, struct bundle_item *item)
{
	const char *own = item->type == BUNDLE_DEB ? "packages" : type_names[item->type];
	static const char *const all[] = { "packages", "tarball", "image" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!json_object_get(json, all[i]) != !!strcmp(all[i], own))
			bundle_reader_fail(reader, "'%s' does not fit its type", all[i]);
	if (item->type == BUNDLE_DEB) {
		bundle_reader_list(reader, json, "install", request_valid, &item->install);
		read_packages(reader, json, item);
		if (!item->install.count)
			bundle_reader_fail(reader, "'install' is missing");
	} else if (json_object_get(json, "install")) {
		bundle_reader_fail(reader, "'install' does not fit its type");
	} else if (item->type == BUNDLE_TARBALL) {
		read_tarball(reader, json_object_get(json, "tarball"), item);
	} else {
		read_image(reader, json_object_get(json, "image"), item);
	}
}

static void read_variables(struct bundle_reader *reader, const json_t *json,
			   struct bundle_item *item)
{
	const json_t *array;

	item->variables =
		bundle_reader_array(reader, json, "variables", BUNDLE_LIST_MAX,
				    sizeof(*item->variables), &array, &item->variables_count);
	for (size_t i = 0; i < item->variables_count && !reader->err; i++) {
		const json_t *from = json_array_get(array, i);
		struct bundle_variable *variable = &item->variables[i];

		if (!bundle_reader_keys(reader, from, "name title value"))
			return;
		variable->name = read_valid(reader, from, "name", true, bundle_variable_valid);
		variable->title = bundle_reader_text(reader, from, "title", TITLE_MAX, false);
		/* A default may well be empty. */
		if (json_string_length(json_object_get(from, "value")))
			variable->value =
				bundle_reader_text(reader, from, "value", BUNDLE_TEXT_MAX, false);
		else if (json_is_string(json_object_get(from, "value")))
			variable->value = strdup("");
		else if (json_object_get(from, "value"))
			bundle_reader_fail(reader, "'value' is no text");
	}
}

static unsigned read_mode(struct bundle_reader *reader, const json_t *json)
{
	const char *text = json_string_value(json_object_get(json, "mode"));

	if (!text || strlen(text) != 4 || strspn(text, "01234567") != 4) {
		bundle_reader_fail(reader, "'mode' is not four octal digits");
		return 0;
	}
	return (unsigned)strtoul(text, NULL, 8);
}

static void read_configs(struct bundle_reader *reader, const json_t *json, struct bundle_item *item)
{
	const json_t *array;

	item->configs = bundle_reader_array(reader, json, "configs", BUNDLE_LIST_MAX,
					    sizeof(*item->configs), &array, &item->configs_count);
	for (size_t i = 0; i < item->configs_count && !reader->err; i++) {
		const json_t *from = json_array_get(array, i);
		struct bundle_config *config = &item->configs[i];

		if (!bundle_reader_keys(reader, from, "path owner group mode when text"))
			return;
		config->path = read_valid(reader, from, "path", true, bundle_path_valid);
		config->owner = read_valid(reader, from, "owner", true, name_package_valid);
		config->group = read_valid(reader, from, "group", true, name_package_valid);
		config->mode = read_mode(reader, from);
		config->when = read_word(reader, from, "when", when_names, BUNDLE_WHENS);
		config->text = bundle_reader_text(reader, from, "text", BUNDLE_TEXT_MAX, true);
		if (config->text && !bundle_template_valid(config->text))
			bundle_reader_fail(reader, "the text of %s has a \"${\" without a name",
					   config->path);
	}
}

static void read_steps(struct bundle_reader *reader, const json_t *json, struct bundle_item *item)
{
	const json_t *array;

	if (!json || !bundle_reader_keys(reader, json, "prepare install health uninstall"))
		return;
	for (unsigned phase = 0; phase < BUNDLE_PHASES; phase++) {
		struct bundle_steps *steps = &item->steps[phase];

		steps->list = bundle_reader_array(reader, json, phase_names[phase], BUNDLE_LIST_MAX,
						  sizeof(*steps->list), &array, &steps->count);
		for (size_t i = 0; i < steps->count && !reader->err; i++) {
			const json_t *from = json_array_get(array, i);
			struct bundle_step *step = &steps->list[i];

			if (!bundle_reader_keys(reader, from, "run timeout tries interval"))
				return;
			step->run = bundle_reader_text(reader, from, "run", BUNDLE_TEXT_MAX, true);
			step->timeout = (unsigned)bundle_reader_number(reader, from, "timeout", 1,
								       86400, true);
			step->tries = (unsigned)bundle_reader_number(reader, from, "tries", 1,
								     10000, true);
			step->interval = (unsigned)bundle_reader_number(reader, from, "interval", 0,
									3600, true);
		}
	}
}

void bundle_reader_item(struct bundle_reader *reader, const json_t *json, struct bundle_item *item)
{
	char where[NAME_MAX_LEN + 16] = "item ";
	const char *before = reader->where;

	if (!bundle_reader_keys(reader, json,
				"name version title type role needs install packages tarball image "
				"variables configs steps"))
		return;
	item->name = read_valid(reader, json, "name", true, name_package_valid);
	if (!item->name || reader->err || strlen(item->name) > NAME_MAX_LEN) {
		bundle_reader_fail(reader, "an item's name is too long");
		return;
	}
	strcat(where, item->name);
	reader->where = where;
	item->version = read_valid(reader, json, "version", true, name_version_valid);
	item->title = bundle_reader_text(reader, json, "title", TITLE_MAX, false);
	item->type = read_word(reader, json, "type", type_names, BUNDLE_TYPES);
	item->role = read_word(reader, json, "role", role_names, BUNDLE_ROLES);
	read_needs(reader, json_object_get(json, "needs"), &item->needs);
	read_payload(reader, json, item);
	read_variables(reader, json, item);
	read_configs(reader, json, item);
	read_steps(reader, json_object_get(json, "steps"), item);
	reader->where = before;
}

static void needs_free(struct bundle_needs *needs)
{
	bundle_list_free(&needs->os);
	free(needs->architecture);
	free(needs->kernel);
	free(needs->ports);
	bundle_list_free(&needs->requires);
	bundle_list_free(&needs->conflicts);
}

void bundle_item_free(struct bundle_item *item)
{
	free(item->name);
	free(item->version);
	free(item->title);
	needs_free(&item->needs);
	bundle_list_free(&item->install);
	for (size_t i = 0; i < item->packages_count; i++) {
		free(item->packages[i].name);
		free(item->packages[i].version);
		free(item->packages[i].architecture);
		free(item->packages[i].filename);
	}
	free(item->packages);
	free(item->tarball_name);
	free(item->target);
	free(item->reference);
	free(item->image_blobs);
	for (size_t i = 0; i < item->variables_count; i++) {
		free(item->variables[i].name);
		free(item->variables[i].title);
		free(item->variables[i].value);
	}
	free(item->variables);
	for (size_t i = 0; i < item->configs_count; i++) {
		free(item->configs[i].path);
		free(item->configs[i].owner);
		free(item->configs[i].group);
		free(item->configs[i].text);
	}
	free(item->configs);
	for (unsigned phase = 0; phase < BUNDLE_PHASES; phase++) {
		for (size_t i = 0; i < item->steps[phase].count; i++)
			free(item->steps[phase].list[i].run);
		free(item->steps[phase].list);
	}
}
