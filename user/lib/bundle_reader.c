/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strict reading of a bundle's JSON: every value has a type, a bound and a place in the message;
 * after the first failure the rest is not looked at. Also the words that may stand in it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_impl.h"

int bundle_failed(struct bundle_error *error, int err, const char *format, ...)
{
	va_list args;

	memset(error, 0, sizeof(*error));
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return err;
}

int bundle_blob_failed(struct bundle_error *error, const char *digest, int err, const char *why)
{
	bundle_failed(error, err, "blob %s: %s", digest, why);
	snprintf(error->blob, sizeof(error->blob), "%s", digest);
	return err;
}

void bundle_reader_fail(struct bundle_reader *reader, const char *format, ...)
{
	char why[400];
	va_list args;

	if (reader->err)
		return;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	reader->err =
		bundle_failed(reader->error, -EBADMSG, "manifest: %s: %s", reader->where, why);
}

static bool word_in(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)) && len; at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

bool bundle_reader_keys(struct bundle_reader *reader, const json_t *object, const char *keys)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		bundle_reader_fail(reader, "an object is missing");
	if (reader->err)
		return false;
	json_object_foreach ((json_t *)object, key, value)
		if (strchr(key, ' ') || !word_in(keys, key))
			bundle_reader_fail(reader, "unknown key '%.60s'", key);
	return !reader->err;
}

char *bundle_reader_text(struct bundle_reader *reader, const json_t *object, const char *key,
			 size_t max, bool wanted)
{
	const json_t *value = json_object_get(object, key);
	char *text;

	if (reader->err)
		return NULL;
	if (!value) {
		if (wanted)
			bundle_reader_fail(reader, "'%s' is missing", key);
		return NULL;
	}
	if (!json_is_string(value) || !json_string_length(value) ||
	    json_string_length(value) > max) {
		bundle_reader_fail(reader, "'%s' is no text of 1 to %zu bytes", key, max);
		return NULL;
	}
	text = strdup(json_string_value(value));
	if (!text)
		reader->err = bundle_failed(reader->error, -ENOMEM, "out of memory");
	return text;
}

uint64_t bundle_reader_number(struct bundle_reader *reader, const json_t *object, const char *key,
			      uint64_t least, uint64_t most, bool wanted)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if (reader->err || (!value && !wanted))
		return 0;
	if (!json_is_integer(value) || number < 0 || (uint64_t)number < least ||
	    (uint64_t)number > most) {
		bundle_reader_fail(reader, "'%s' is no number from %llu to %llu", key,
				   (unsigned long long)least, (unsigned long long)most);
		return 0;
	}
	return (uint64_t)number;
}

void *bundle_reader_array(struct bundle_reader *reader, const json_t *object, const char *key,
			  size_t max, size_t element, const json_t **ret_array, size_t *ret_count)
{
	const json_t *array = json_object_get(object, key);
	size_t count = json_array_size(array);
	void *memory;

	*ret_count = 0;
	*ret_array = array;
	if (reader->err || !array)
		return NULL;
	if (!json_is_array(array) || count > max) {
		bundle_reader_fail(reader, "'%s' is no list of at most %zu", key, max);
		return NULL;
	}
	memory = count ? calloc(count, element) : NULL;
	if (count && !memory)
		reader->err = bundle_failed(reader->error, -ENOMEM, "out of memory");
	else
		*ret_count = count;
	return memory;
}

void bundle_reader_list(struct bundle_reader *reader, const json_t *object, const char *key,
			bool (*valid)(const char *), struct bundle_list *ret_list)
{
	const json_t *array;

	ret_list->words = bundle_reader_array(reader, object, key, BUNDLE_LIST_MAX, sizeof(char *),
					      &array, &ret_list->count);
	for (size_t i = 0; i < ret_list->count && !reader->err; i++) {
		const char *word = json_string_value(json_array_get(array, i));

		if (!word || strlen(word) > 2 * NAME_MAX_LEN || !valid(word))
			bundle_reader_fail(reader, "'%s' holds what it may not: '%.80s'", key,
					   word ? word : "no text");
		else if (!(ret_list->words[i] = strdup(word)))
			reader->err = bundle_failed(reader->error, -ENOMEM, "out of memory");
	}
}

void bundle_reader_blob(struct bundle_reader *reader, const json_t *object,
			struct bundle_blob *ret_blob)
{
	const char *digest = json_string_value(json_object_get(object, "sha256"));

	ret_blob->size = bundle_reader_number(reader, object, "size", 0, BUNDLE_BLOB_MAX, true);
	if (!digest || !name_hex_valid(digest, NAME_DIGEST_LEN))
		bundle_reader_fail(reader, "'sha256' is no SHA-256 in hex");
	else
		memcpy(ret_blob->digest, digest, NAME_DIGEST_LEN + 1);
}

void bundle_list_free(struct bundle_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->words[i]);
	free(list->words);
}

/* ---- words ----------------------------------------------------------------------------------- */

bool bundle_relative_valid(const char *path)
{
	size_t len;

	if (!*path || strlen(path) > 1024)
		return false;
	for (;; path += len + 1) {
		len = strcspn(path, "/");
		if (!len || (len == 1 && path[0] == '.') || (len == 2 && !memcmp(path, "..", 2)) ||
		    len > 255)
			return false;
		for (size_t i = 0; i < len; i++)
			if ((unsigned char)path[i] < 0x21 || path[i] == 0x7f || path[i] == '\\')
				return false;
		if (!path[len])
			return true;
	}
}

bool bundle_path_valid(const char *path)
{
	return path[0] == '/' && bundle_relative_valid(path + 1);
}

bool bundle_variable_valid(const char *name)
{
	size_t len = strlen(name);

	return len && len <= 64 && !(name[0] >= '0' && name[0] <= '9') &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
		       len;
}

/* "debian 12": os-release's ID and VERSION_ID. */
bool bundle_os_valid(const char *text)
{
	size_t id = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-"), release;

	if (!id || id > 32 || text[id] != ' ')
		return false;
	text += id + 1;
	release = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
	return release && release <= 32 && !text[release];
}

bool bundle_kernel_valid(const char *text)
{
	unsigned major, minor;
	int end = 0;

	return strspn(text, "0123456789.") == strlen(text) && strlen(text) < 10 &&
	       sscanf(text, "%3u.%3u%n", &major, &minor, &end) == 2 && !text[end];
}
