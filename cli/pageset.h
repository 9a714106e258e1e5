/* SPDX-License-Identifier: MIT */
/*
 * A set of pages: a hash of blocks of 512 pages, each with a bit map. A page that
 * has neighbours in the set costs two bits, a lonely one 144 bytes at most.
 */
#ifndef CLI_PAGESET_H
#define CLI_PAGESET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PAGESET_BLOCK_PAGES = 512 };

/* All zeros is the empty set. */
struct pageset {
	struct pageset_block *blocks;
	size_t n;
	size_t capacity; /* 0 or a power of two */
};

/* Add the pages numbered [first, end). How many were not in it before, or -ENOMEM. */
ssize_t pageset_add(struct pageset *set, uint64_t first, uint64_t end);

/* Make it empty, and free its memory. */
void pageset_clear(struct pageset *set);

#endif
