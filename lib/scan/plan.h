/* SPDX-License-Identifier: MIT */
/* From a condition to the masks of one kernel call: the same answer, asked in the cheapest way. */
#ifndef SCAN_PLAN_H
#define SCAN_PLAN_H

#include "scan/condition.h"

struct pagescan_plan {
	/* As they stand in the kernel's argument. */
	uint64_t inverted;
	uint64_t mask;
	uint64_t anyof;
	uint64_t returned;

	uint64_t implied;  /* every page that comes back has these, whether returned or not */
	uint64_t reported; /* what is left of a region's categories at last */

	bool is_never; /* no page can match: nothing to ask */
	bool is_exact; /* the kernel answers just the condition; else it answers more */
	bool is_plain; /* its regions are the answer as they come */
	bool is_fast;  /* the kernel takes its written-only path (R6.2) */
};

/*
 * @ones and @zeros are the categories that every page looked at is known to have
 * or to lack. @may_be_fast: whether the written-only path gives the right answer;
 * in era 1 it tells other things than the generic one.
 */
void pagescan_plan_make(struct pagescan_plan *plan, const struct pagescan_condition *condition,
			uint64_t report, uint64_t ones, uint64_t zeros, bool may_be_fast);

#endif
