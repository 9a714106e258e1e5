/* SPDX-License-Identifier: MIT */
/* Numbers for people. Every function fills @text, of FORMAT_SIZE bytes, and returns it. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stdint.h>

enum { FORMAT_SIZE = 128 };

/* "512 B", "4.0 KiB", "1.5 GiB" */
const char *format_bytes(char *text, uint64_t bytes);

/* "17 us", "1.4 ms", "2.0 s" */
const char *format_ns(char *text, uint64_t ns);

/* "1 page", "2 pages" */
const char *format_pages(char *text, uint64_t n);

/* "62%", and "<1%" for what is more than nothing */
const char *format_share(char *text, double share);

/* "present,file", "-" for none */
const char *format_categories(char *text, uint64_t categories);

#endif
