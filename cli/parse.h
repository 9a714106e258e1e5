/* SPDX-License-Identifier: MIT */
/* Values of options, read strictly: the whole text must be one. True on success. */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A process id, above 0. */
bool parse_pid(const char *text, pid_t *ret);

/* A number above 0, at most @max. */
bool parse_count(const char *text, uint64_t max, uint64_t *ret);

/* A time with its unit, "500ms", "1.5s", "2m" or "1h", at least a millisecond, in nanoseconds. */
bool parse_duration(const char *text, uint64_t *ret_ns);

/*
 * "A-B" or "A+LENGTH". Addresses are hexadecimal, with or without 0x; a length is
 * hexadecimal with 0x, else decimal, with K, M, G or T behind it if wanted.
 */
bool parse_range(const char *text, uint64_t *ret_start, uint64_t *ret_end);

/* Names of categories with commas between them, or "all" for what is in @known. On failure
 * *ret_bad is where the name that is none begins. */
bool parse_categories(const char *text, uint64_t known, uint64_t *ret, const char **ret_bad);

#endif
