/* SPDX-License-Identifier: MIT */
/* Which stretch of memory a scan's next call may cover. */
#ifndef SCAN_WINDOW_H
#define SCAN_WINDOW_H

#include "scan/scan.h"

struct pagescan_window {
	uint64_t start;
	uint64_t end;
	const struct pagescan_plan *plan;
	bool is_armed; /* what matches is protected */
	uint64_t unit; /* size of the huge pages that may be there: protecting must not cut them */
};

/*
 * The next window, at scan->position; that moves past memory where nothing can
 * be. @n_regions is for how many there is room: a hint how far to look ahead.
 *
 * @return 1, 0 at the end of the range, -EPERM (there is a mapping that is not
 *         tracked, and PAGESCAN_SCAN_CHECK), -EINVAL (the range cuts a hugetlb
 *         page that is to be protected), or what finding mappings says.
 */
int pagescan_window_find(struct pagescan_scan *scan, size_t n_regions, struct pagescan_window *ret);

/*
 * The kernel refused a call over @w: it met a mapping that is not tracked, and
 * did nothing else. Changes @scan so that going on gets past it.
 *
 * @return 1, or -EPERM with PAGESCAN_SCAN_CHECK, scan->position being that mapping's.
 */
int pagescan_window_refuse(struct pagescan_scan *scan, const struct pagescan_window *w);

/* How far one call may look in another process: asking whose a page is takes ten times as long. */
static inline uint64_t pagescan_window_look(const struct pagescan_plan *plan)
{
	bool is_costly = (plan->mask | plan->anyof | plan->returned) & PAGESCAN_IS_FILE;

	return is_costly ? PAGESCAN_HOLD_LOOK / 4 : PAGESCAN_HOLD_LOOK;
}

static inline uint64_t pagescan_align_down(uint64_t address, uint64_t unit)
{
	return address / unit * unit;
}

/* The first multiple of @unit above @address, or the largest address. */
static inline uint64_t pagescan_next_multiple(uint64_t address, uint64_t unit)
{
	uint64_t next = (address / unit + 1) * unit;

	return next > address ? next : UINT64_MAX;
}

static inline uint64_t pagescan_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t pagescan_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
