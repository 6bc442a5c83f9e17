/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of the configuration's enums: one table each, read by the schema, by the
 * control socket and by everything that prints JSON.
 */
#include <errno.h>
#include <string.h>

#include "conf_impl.h"

const cyaml_strval_t conf_guard_mode_words[CONF_GUARD_MODE_WORDS] = {
	{ "auto", CONF_GUARD_AUTO },
	{ "tc", CONF_GUARD_TC },
	{ "xdp-native", CONF_GUARD_XDP_NATIVE },
	{ "xdp-generic", CONF_GUARD_XDP_GENERIC },
};

const cyaml_strval_t conf_bridge_words[CONF_BRIDGE_WORDS] = {
	{ "fd", CONF_BRIDGE_FD },
	{ "stream", CONF_BRIDGE_STREAM },
};

const cyaml_strval_t conf_fail_words[CONF_FAIL_WORDS] = {
	{ "pass", CONF_FAIL_PASS },
	{ "drop", CONF_FAIL_DROP },
};

const cyaml_strval_t conf_engine_words[CONF_ENGINE_WORDS] = {
	{ "auto", CONF_ENGINE_AUTO },
	{ "inline", CONF_ENGINE_INLINE },
	{ "uring", CONF_ENGINE_URING },
	{ "copy", CONF_ENGINE_COPY },
};

const cyaml_strval_t conf_congestion_words[CONF_CONGESTION_WORDS] = {
	{ "cubic", CONF_CONGESTION_CUBIC },
	{ "reno", CONF_CONGESTION_RENO },
	{ "dctcp", CONF_CONGESTION_DCTCP },
	{ "system", CONF_CONGESTION_SYSTEM },
};

const cyaml_strval_t conf_identity_words[CONF_IDENTITY_WORDS] = {
	{ "none", CONF_IDENTITY_NONE },
	{ "sluice", CONF_IDENTITY_SLUICE },
	{ "neutron", CONF_IDENTITY_NEUTRON },
	{ "nova", CONF_IDENTITY_NOVA },
};

const cyaml_strval_t conf_log_format_words[CONF_LOG_FORMAT_WORDS] = {
	{ "text", CONF_LOG_TEXT },
	{ "json", CONF_LOG_JSON },
};

static const char *word_name(const cyaml_strval_t *words, size_t count, int64_t value)
{
	for (size_t i = 0; i < count; i++)
		if (words[i].val == value)
			return words[i].str;
	return "unknown";
}

static int word_parse(const cyaml_strval_t *words, size_t count, const char *word, int64_t *ret)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(words[i].str, word)) {
			*ret = words[i].val;
			return 0;
		}
	}
	return -EINVAL;
}

const char *conf_guard_mode_name(enum conf_guard_mode mode)
{
	return word_name(conf_guard_mode_words, CONF_GUARD_MODE_WORDS, mode);
}

const char *conf_bridge_name(enum conf_bridge bridge)
{
	return word_name(conf_bridge_words, CONF_BRIDGE_WORDS, bridge);
}

const char *conf_fail_name(enum conf_fail fail)
{
	return word_name(conf_fail_words, CONF_FAIL_WORDS, fail);
}

const char *conf_engine_name(enum conf_engine engine)
{
	return word_name(conf_engine_words, CONF_ENGINE_WORDS, engine);
}

const char *conf_congestion_name(enum conf_congestion congestion)
{
	if (congestion == CONF_CONGESTION_SYSTEM)
		return NULL;
	return word_name(conf_congestion_words, CONF_CONGESTION_WORDS, congestion);
}

const char *conf_identity_name(enum conf_identity identity)
{
	return word_name(conf_identity_words, CONF_IDENTITY_WORDS, identity);
}

int conf_guard_mode_parse(const char *word, enum conf_guard_mode *ret)
{
	int64_t value;

	if (word_parse(conf_guard_mode_words, CONF_GUARD_MODE_WORDS, word, &value) < 0)
		return -EINVAL;
	*ret = (enum conf_guard_mode)value;
	return 0;
}

int conf_bridge_parse(const char *word, enum conf_bridge *ret)
{
	int64_t value;

	if (word_parse(conf_bridge_words, CONF_BRIDGE_WORDS, word, &value) < 0)
		return -EINVAL;
	*ret = (enum conf_bridge)value;
	return 0;
}

int conf_fail_parse(const char *word, enum conf_fail *ret)
{
	int64_t value;

	if (word_parse(conf_fail_words, CONF_FAIL_WORDS, word, &value) < 0)
		return -EINVAL;
	*ret = (enum conf_fail)value;
	return 0;
}
