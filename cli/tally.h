/* SPDX-License-Identifier: MIT */
/*
 * How much was written where. Mappings grow, split and merge while a program
 * runs; an *area* is what mappings of one name at overlapping addresses had in
 * common over time.
 */
#ifndef CLI_TALLY_H
#define CLI_TALLY_H

#include <pagescan/process.h>
#include <stddef.h>
#include <stdint.h>

struct tally_area {
	uint64_t start;
	uint64_t end;
	uint64_t n_pages;    /* reported as written, in all */
	uint64_t n_distinct; /* of them, first time */
	uint64_t n_recent;   /* since tally_begin_interval() */
	char *name;
};

struct tally_list {
	struct tally_area *areas;
	size_t n;
	size_t capacity;
};

/* All zeros is the empty tally. */
struct tally {
	struct tally_list now;  /* in address order, disjoint */
	struct tally_list past; /* what they replaced, in no order */
};

/* Count pages of @mapping. 0 or -ENOMEM. */
int tally_add(struct tally *tally, const struct pagescan_mapping *mapping, uint64_t n_pages,
	      uint64_t n_distinct);

void tally_begin_interval(struct tally *tally);

/* The program was replaced: what comes is of other memory, at the same addresses perhaps. */
int tally_archive(struct tally *tally);

enum tally_order { TALLY_BY_PAGES, TALLY_BY_RECENT };

/*
 * The areas most written, at most @n, most written first; none without writes.
 * How many were stored. Borrowed until the next call.
 */
size_t tally_top(const struct tally *tally, enum tally_order order, const struct tally_area **top,
		 size_t n);

void tally_free(struct tally *tally);

#endif
