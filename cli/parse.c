/* SPDX-License-Identifier: MIT */
#include "parse.h"

#include <ctype.h>
#include <limits.h>
#include <pagescan/base.h>
#include <string.h>
#include <strings.h>

/* Digits of @base only: no sign, no blanks, no overflow. @return What follows them, or NULL. */
static const char *read_digits(const char *text, unsigned base, uint64_t *ret)
{
	const char *at = text;
	uint64_t value = 0;

	for (; isxdigit((unsigned char)*at); at++) {
		unsigned digit = isdigit((unsigned char)*at) ? (unsigned)(*at - '0')
							     : (unsigned)((*at | 0x20) - 'a' + 10);

		if (digit >= base)
			break;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return NULL;
	}
	if (at == text)
		return NULL;
	*ret = value;
	return at;
}

static bool has_hex_prefix(const char *text)
{
	return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

static const char *read_address(const char *text, uint64_t *ret)
{
	return read_digits(has_hex_prefix(text) ? text + 2 : text, 16, ret);
}

bool parse_count(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	const char *end = read_digits(text, 10, &value);

	if (!end || *end || !value || value > max)
		return false;
	*ret = value;
	return true;
}

bool parse_pid(const char *text, pid_t *ret)
{
	uint64_t value;

	if (!parse_count(text, INT_MAX, &value))
		return false;
	*ret = (pid_t)value;
	return true;
}

static uint64_t unit_ns(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ms", 1000000},
		     {"s", 1000000000},
		     {"m", UINT64_C(60000000000)},
		     {"h", UINT64_C(3600000000000)}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(unit, units[i].name))
			return units[i].ns;
	}
	return 0;
}

bool parse_duration(const char *text, uint64_t *ret_ns)
{
	uint64_t whole, fraction = 0, scale = 1, unit, total;
	const char *at = read_digits(text, 10, &whole);

	if (at && *at == '.') {
		const char *digits = at + 1;

		at = read_digits(digits, 10, &fraction);
		if (!at || at - digits > 6)
			return false;
		for (; digits < at; digits++)
			scale *= 10;
	}
	if (!at || !(unit = unit_ns(at)))
		return false;
	if (__builtin_mul_overflow(whole, unit, &total) || total > UINT64_MAX / 4)
		return false;
	total += fraction * (unit / 1000) / scale * 1000;
	if (total < 1000000)
		return false;
	*ret_ns = total;
	return true;
}

static bool parse_length(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	const char *end;

	if (has_hex_prefix(text)) {
		end = read_digits(text + 2, 16, ret);
		return end && !*end;
	}
	end = read_digits(text, 10, ret);
	if (!end)
		return false;
	if (!*end)
		return true;
	suffix = strchr(suffixes, toupper((unsigned char)*end));
	if (!suffix || end[1])
		return false;
	return !__builtin_mul_overflow(*ret, UINT64_C(1) << (10 * (suffix - suffixes + 1)), ret);
}

bool parse_range(const char *text, uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t start, end;
	const char *at = read_address(text, &start);

	if (!at)
		return false;
	if (*at == '-') {
		at = read_address(at + 1, &end);
		if (!at || *at)
			return false;
	} else if (*at == '+') {
		if (!parse_length(at + 1, &end) || __builtin_add_overflow(start, end, &end))
			return false;
	} else {
		return false;
	}
	*ret_start = start;
	*ret_end = end;
	return true;
}

static uint64_t category_of(const char *name, size_t length)
{
	for (uint64_t bit = 1; bit; bit <<= 1) {
		const char *known = pagescan_category_name(bit);

		if (known && strlen(known) == length && !strncasecmp(known, name, length))
			return bit;
	}
	return 0;
}

bool parse_categories(const char *text, uint64_t known, uint64_t *ret, const char **ret_bad)
{
	uint64_t all = 0;

	for (;;) {
		size_t length = strcspn(text, ",");
		uint64_t bit = category_of(text, length);

		if (!bit && length == 3 && !strncasecmp(text, "all", 3))
			bit = known;
		if (!bit) {
			*ret_bad = text;
			return false;
		}
		all |= bit;
		if (!text[length])
			break;
		text += length + 1;
	}
	*ret = all;
	return true;
}
