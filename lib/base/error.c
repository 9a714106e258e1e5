/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int pagescan_error_set(struct pagescan_error *reterr, int code, const char *format, ...)
{
	va_list args;

	if (!reterr)
		return code;
	reterr->code = code;
	va_start(args, format);
	vsnprintf(reterr->text, sizeof(reterr->text), format, args);
	va_end(args);
	return code;
}

static bool is_zero(const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

int pagescan_opts_copy(void *ours, size_t our_size, const void *opts, size_t min_size)
{
	size_t size = our_size;

	memset(ours, 0, our_size);
	if (opts) {
		memcpy(&size, opts, sizeof(size));
		if (size < min_size || size < sizeof(size))
			return -EINVAL;
		if (size > our_size) {
			if (!is_zero((const unsigned char *)opts + our_size, size - our_size))
				return -E2BIG;
			size = our_size;
		}
		memcpy(ours, opts, size);
	}
	/* What follows need not ask again how much of it is filled. */
	memcpy(ours, &our_size, sizeof(our_size));
	return 0;
}
