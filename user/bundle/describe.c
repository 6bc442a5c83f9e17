/* SPDX-License-Identifier: BSD-2-Clause */
#include "describe.h"

#include <string.h>

#include "../lib/bundle_impl.h"
#include "definition.h"

#define STEP_TIME    300
#define HEALTH_TRIES 30
#define HEALTH_PAUSE 2

/* Sets a member unless it is not there; NULL json stays NULL. */
static void set_text(json_t *json, const char *key, const char *text)
{
	if (text)
		json_object_set_new(json, key, json_string(text));
}

static void set_words(json_t *json, const char *key, char *const *words, unsigned count)
{
	json_t *list = count ? json_array() : NULL;

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, json_string(words[i]));
	if (count)
		json_object_set_new(json, key, list);
}

static json_t *needs(const struct definition_item *item, uint64_t space)
{
	json_t *json = json_object(), *ports = item->ports_count ? json_array() : NULL;

	set_words(json, "os", item->os, item->os_count);
	set_text(json, "architecture", item->architecture);
	set_text(json, "kernel", item->kernel);
	space += (uint64_t)item->space << 20;
	if (space)
		json_object_set_new(json, "space", json_integer((json_int_t)space));
	if (item->memory)
		json_object_set_new(json, "memory", json_integer((json_int_t)item->memory << 20));
	for (unsigned i = 0; i < item->ports_count; i++)
		json_array_append_new(
			ports,
			json_pack("{s:i, s:s}", "port", (int)item->ports[i].port, "protocol",
				  item->ports[i].protocol ? item->ports[i].protocol : "tcp"));
	if (ports)
		json_object_set_new(json, "ports", ports);
	set_words(json, "requires", item->requires, item->requires_count);
	set_words(json, "conflicts", item->conflicts, item->conflicts_count);
	return json;
}

static json_t *variables(const struct definition_item *item)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < item->variables_count; i++) {
		json_t *json = json_object();

		set_text(json, "name", item->variables[i].name);
		set_text(json, "title", item->variables[i].title);
		set_text(json, "value", item->variables[i].value);
		json_array_append_new(list, json);
	}
	return list;
}

static json_t *configs(const struct definition_item *item)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < item->configs_count; i++) {
		const struct definition_config *config = &item->configs[i];

		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "path", config->path, "owner",
				  config->owner ? config->owner : "root", "group",
				  config->group ? config->group : "root", "mode",
				  config->mode ? config->mode : "0644", "when",
				  config->when ? config->when : "after", "text", config->text));
	}
	return list;
}

static void set_steps(json_t *json, enum bundle_phase phase, const struct definition_step *steps,
		      unsigned count)
{
	bool health = phase == BUNDLE_HEALTH;
	json_t *list = count ? json_array() : NULL;

	for (unsigned i = 0; i < count; i++) {
		const struct definition_step *step = &steps[i];
		uint32_t tries = step->tries ? step->tries : health ? HEALTH_TRIES : 1;
		uint32_t pause = step->interval ? step->interval : tries > 1 ? HEALTH_PAUSE : 0;

		json_array_append_new(
			list, json_pack("{s:s, s:I, s:I, s:I}", "run", step->run, "timeout",
					(json_int_t)(step->timeout ? step->timeout : STEP_TIME),
					"tries", (json_int_t)tries, "interval", (json_int_t)pause));
	}
	if (list)
		json_object_set_new(json, bundle_phase_name(phase), list);
}

json_t *describe_item(const struct definition_item *item, const char *version, uint64_t space,
		      const char *name, json_t *payload, json_t *install)
{
	json_t *json = json_object(), *steps = json_object();

	set_text(json, "name", item->name);
	set_text(json, "version", version);
	set_text(json, "title", item->title);
	set_text(json, "type",
		 bundle_type_name(item->packages_count ? BUNDLE_DEB
				  : item->tarball      ? BUNDLE_TARBALL
						       : BUNDLE_IMAGE));
	set_text(json, "role", bundle_role_name(item->role));
	json_object_set_new(json, "needs", needs(item, space));
	if (install)
		json_object_set_new(json, "install", install);
	json_object_set_new(json, name, payload);
	if (item->variables_count)
		json_object_set_new(json, "variables", variables(item));
	if (item->configs_count)
		json_object_set_new(json, "configs", configs(item));
	set_steps(steps, BUNDLE_PREPARE, item->prepare, item->prepare_count);
	set_steps(steps, BUNDLE_INSTALL, item->install, item->install_count);
	set_steps(steps, BUNDLE_HEALTH, item->health, item->health_count);
	set_steps(steps, BUNDLE_UNINSTALL, item->uninstall, item->uninstall_count);
	if (json_object_size(steps))
		json_object_set_new(json, "steps", steps);
	else
		json_decref(steps);
	return json;
}
