/* SPDX-License-Identifier: MIT */
/*
 * The kernel tells a conjunction: some categories there, some not, and at least
 * one of a clause of further ones, each of them there or not as one likes. A
 * condition is taken apart into what every matching page shares (the mask) and
 * the rest; if the rest is one clause, the kernel's answer is exact. If not, the
 * kernel is asked by a clause that the rest implies, and its answer holds too much.
 */
#include "scan/plan.h"

/* Looking up whose page it is makes the walk ten times as long (R4.3). */
#define COSTLY PAGESCAN_IS_FILE

/* Forget @category in the set that @required and @excluded span, if it then still is within @c. */
static void widen(const struct pagescan_condition *c, uint64_t category, uint64_t *required,
		  uint64_t *excluded)
{
	struct pagescan_condition wider;

	pagescan_condition_set_cube(&wider, *required & ~category, *excluded & ~category);
	if (!pagescan_condition_implies(&wider, c))
		return;
	*required &= ~category;
	*excluded &= ~category;
}

/* A large set of pages, told by few categories, that are all in @c, which is true of some. */
static void find_cube(const struct pagescan_condition *c, uint64_t *required, uint64_t *excluded)
{
	uint64_t depends = pagescan_condition_depends(c), row = 0;

	/* With the pages of which nothing is set, if possible: holes and empty pages abound. */
	while (!pagescan_condition_matches(c, row))
		row++;
	*required = row & depends;
	*excluded = ~row & depends;
	widen(c, COSTLY, required, excluded);
	for (uint64_t bit = 1; bit < PAGESCAN_ALL_CATEGORIES; bit <<= 1) {
		if ((depends & bit) && bit != COSTLY)
			widen(c, bit, required, excluded);
	}
}

/* The clause that @rest is, or one that it implies. Returns whether it is one. */
static bool find_clause(struct pagescan_plan *plan, const struct pagescan_condition *rest)
{
	struct pagescan_condition outside = *rest, cube;
	uint64_t lacking, having;
	bool is_exact;

	pagescan_condition_not(&outside);
	if (pagescan_condition_is_never(&outside))
		return true;
	/* Outside of a clause are those pages that have all the opposites. */
	pagescan_condition_essentials(&outside, &having, &lacking);
	pagescan_condition_set_cube(&cube, having, lacking);
	is_exact = pagescan_condition_equals(&outside, &cube);
	if (!is_exact)
		find_cube(&outside, &having, &lacking);
	plan->anyof = having | lacking;
	plan->inverted |= having;
	return is_exact;
}

void pagescan_plan_make(struct pagescan_plan *plan, const struct pagescan_condition *condition,
			uint64_t report, uint64_t ones, uint64_t zeros, bool may_be_fast)
{
	struct pagescan_condition c = *condition;
	uint64_t required, excluded;

	*plan = (struct pagescan_plan){.reported = report};
	pagescan_condition_fix(&c, ones, zeros);
	if (pagescan_condition_is_never(&c)) {
		plan->is_never = true;
		return;
	}
	pagescan_condition_essentials(&c, &required, &excluded);
	plan->mask = required | excluded;
	plan->inverted = excluded;
	plan->returned = report;
	plan->implied = ones | required;
	pagescan_condition_fix(&c, required, excluded);
	plan->is_exact = find_clause(plan, &c);
	if (!plan->is_exact)
		plan->returned |= pagescan_condition_depends(&c);
	plan->returned &= ~(ones | zeros | excluded);

	if (plan->mask == PAGESCAN_IS_WRITTEN && !plan->inverted && !plan->anyof &&
	    !(plan->returned & ~PAGESCAN_IS_WRITTEN)) {
		plan->is_fast = may_be_fast;
		plan->returned = may_be_fast ? PAGESCAN_IS_WRITTEN : 0;
	}
	plan->is_plain = plan->is_exact && !(plan->returned & ~report) &&
			 !(plan->implied & report & ~plan->returned);
}
