/* SPDX-License-Identifier: BSD-2-Clause */
#include "name.h"

#include <errno.h>
#include <string.h>

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool made_of(const char *text, size_t max, const char *more)
{
	size_t len = strnlen(text, max + 1);

	if (!len || len > max || !is_alnum(text[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(text[i]) && !strchr(more, text[i]))
			return false;
	return true;
}

bool name_filename_valid(const char *text)
{
	size_t len = strnlen(text, NAME_FILENAME_MAX + 1);

	if (!len || len > NAME_FILENAME_MAX || text[0] == '.' || text[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= 0x20 || text[i] >= 0x7f || strchr("/\\\"'<>&%?#*|;`$", text[i]))
			return false;
	return true;
}

bool name_package_valid(const char *text)
{
	return made_of(text, NAME_MAX_LEN, "+-._");
}

bool name_version_valid(const char *text)
{
	return made_of(text, NAME_MAX_LEN, "+-._~:^");
}

bool name_arch_valid(const char *text)
{
	size_t len = strnlen(text, 33);

	if (!len || len > 32)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') &&
		    (i == 0 || (text[i] != '-' && text[i] != '_')))
			return false;
	return true;
}

bool name_tenant_valid(const char *text)
{
	return made_of(text, NAME_TENANT_MAX, "._-");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool name_hex_valid(const char *text, size_t len)
{
	if (strnlen(text, len + 1) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (hex_digit(text[i]) < 0)
			return false;
	return true;
}

void name_hex(const uint8_t *bytes, size_t len, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * len] = '\0';
}

int name_unhex(const char *text, uint8_t *ret_bytes, size_t len)
{
	if (!name_hex_valid(text, 2 * len))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		ret_bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return 0;
}

int name_number(const char *text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (digit > 9)
			return -EINVAL;
		if (number > (max - digit) / 10)
			return -ERANGE;
		number = number * 10 + digit;
	}
	if (number > max)
		return -ERANGE;
	*ret_number = number;
	return 0;
}
