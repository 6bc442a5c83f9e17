/* SPDX-License-Identifier: BSD-2-Clause */
#include "text.h"

#include <stdint.h>
#include <string.h>

/* Unicode: LRM, RLM, ALM; embeddings and overrides; isolates; line and paragraph separators. */
static bool directs(uint32_t code)
{
	return code == 0x61c || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* Bytes of the character at text (RFC 3629), and whether it may be shown. left > 0. */
static size_t next(const char *text, size_t left, bool *ret_plain)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t first = (uint8_t)text[0];
	size_t len = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
	uint32_t code = first & (0x7fu >> len);

	*ret_plain = first >= 0x20 && first < 0x7f;
	if (first < 0x80)
		return 1;
	if (!len || len > left)
		return 1;
	for (size_t i = 1; i < len; i++) {
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return 1;
		code = code << 6 | ((uint8_t)text[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 1;
	*ret_plain = code >= 0xa0 && !directs(code);
	return len;
}

void text_clean(char *text, size_t len, bool lines)
{
	size_t bytes;
	bool plain;

	for (size_t at = 0; at < len; at += bytes) {
		bytes = next(text + at, len - at, &plain);
		if (!plain && !(lines && text[at] == '\n'))
			memset(text + at, '?', bytes);
	}
}

bool text_is_plain(const char *text)
{
	size_t left = strlen(text), bytes;
	bool plain = true;

	for (; plain && left; text += bytes, left -= bytes)
		bytes = next(text, left, &plain);
	return plain;
}

void text_copy(char *out, size_t size, const char *text, bool lines)
{
	size_t len = strnlen(text, size - 1);

	/* Bytes 10xxxxxx go on with a character. */
	for (int i = 0; i < 3 && text[len] && len && ((uint8_t)text[len] & 0xc0) == 0x80; i++)
		len--;
	memcpy(out, text, len);
	out[len] = '\0';
	text_clean(out, len, lines);
}

void text_put(FILE *out, const char *text)
{
	size_t left = strlen(text), bytes;
	bool plain;

	for (; left; text += bytes, left -= bytes) {
		bytes = next(text, left, &plain);
		if (plain)
			fwrite(text, 1, bytes, out);
		else
			fputc('?', out);
	}
}
