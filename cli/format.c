/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <inttypes.h>
#include <pagescan/base.h>
#include <stdio.h>
#include <string.h>

const char *format_bytes(char *text, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(text, FORMAT_SIZE, "%" PRIu64 " B", bytes);
		return text;
	}
	/* What would be printed as 1024.0 is one of the next unit. */
	while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(text, FORMAT_SIZE, "%.1f %s", value, units[unit]);
	return text;
}

const char *format_ns(char *text, uint64_t ns)
{
	if (ns < 1000000)
		snprintf(text, FORMAT_SIZE, "%" PRIu64 " us", (ns + 999) / 1000);
	else if (ns < 1000000000)
		snprintf(text, FORMAT_SIZE, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(text, FORMAT_SIZE, "%.1f s", (double)ns / 1e9);
	return text;
}

const char *format_pages(char *text, uint64_t n)
{
	snprintf(text, FORMAT_SIZE, "%" PRIu64 " page%s", n, n == 1 ? "" : "s");
	return text;
}

const char *format_share(char *text, double share)
{
	if (share > 0 && share < 0.01)
		snprintf(text, FORMAT_SIZE, "<1%%");
	else
		snprintf(text, FORMAT_SIZE, "%.0f%%", share * 100);
	return text;
}

const char *format_categories(char *text, uint64_t categories)
{
	size_t length = 0;

	snprintf(text, FORMAT_SIZE, "-");
	for (; categories; categories &= categories - 1) {
		const char *name = pagescan_category_name(categories & -categories);

		length += (size_t)snprintf(text + length, FORMAT_SIZE - length, "%s%s",
					   length ? "," : "", name ? name : "?");
		if (length >= FORMAT_SIZE)
			break;
	}
	return text;
}
