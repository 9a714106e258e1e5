/* SPDX-License-Identifier: MIT */
/* Errors for people, and the check of option structs that grow. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <pagescan/base.h>

/* Fill @reterr (may be NULL) and return @code, so that a failing path is one statement. */
int pagescan_error_set(struct pagescan_error *reterr, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Copy the caller's options into ours, as the kernel does with structs that
 * grow: a shorter one is padded with zeros, a longer one must have a tail of
 * zeros (-E2BIG). NULL gives all zeros. @opts begins with a size_t of its size, at
 * least @min_size (-EINVAL); ours ends up with @our_size there.
 */
int pagescan_opts_copy(void *ours, size_t our_size, const void *opts, size_t min_size);

#endif
