/* SPDX-License-Identifier: MIT */
/*
 * A set of disjoint ranges in address order, each with a tag. Neighbours that
 * touch and have the same tag are one range.
 *
 * The array has its free room where it was last changed: a walk that changes range
 * after range, up or down, moves each one once, with 60000 of them too.
 */
#ifndef BASE_RANGESET_H
#define BASE_RANGESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pagescan_range {
	uint64_t start;
	uint64_t end;
	uint64_t tag;
};

/* All zeros is the empty set. Read it through pagescan_rangeset_find() only. */
struct pagescan_rangeset {
	struct pagescan_range *ranges;
	size_t n;
	size_t capacity;
	size_t gap; /* how many ranges lie before the free room */
};

/* Add [start, end) with @tag; what was there is replaced. 0 or -ENOMEM (set unchanged). */
int pagescan_rangeset_add(struct pagescan_rangeset *set, uint64_t start, uint64_t end,
			  uint64_t tag);

/* Take [start, end) out. 0 or -ENOMEM (a range had to be cut in two; set unchanged). */
int pagescan_rangeset_remove(struct pagescan_rangeset *set, uint64_t start, uint64_t end);

/* The first range that ends above @address, or NULL. Borrowed until the set changes. */
const struct pagescan_range *pagescan_rangeset_find(const struct pagescan_rangeset *set,
						    uint64_t address);

void pagescan_rangeset_free(struct pagescan_rangeset *set);

#endif
