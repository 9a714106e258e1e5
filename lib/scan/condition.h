/* SPDX-License-Identifier: MIT */
/*
 * A condition on categories, as the table of its truth: one row for each of the
 * 1024 sets that ten categories form, one bit a row. Whatever shape a question
 * has, two questions are the same if their tables are.
 */
#ifndef SCAN_CONDITION_H
#define SCAN_CONDITION_H

#include <pagescan/base.h>
#include <stdbool.h>

#define PAGESCAN_N_CATEGORIES   10
#define PAGESCAN_ALL_CATEGORIES ((UINT64_C(1) << PAGESCAN_N_CATEGORIES) - 1)

#define PAGESCAN_CONDITION_WORDS ((1 << PAGESCAN_N_CATEGORIES) / 64)

/* Row r is bit r % 64 of word r / 64. */
struct pagescan_condition {
	uint64_t words[PAGESCAN_CONDITION_WORDS];
};

/* What pagescan_expr_parse() makes. */
struct pagescan_expr {
	struct pagescan_condition condition;
};

/* True of every page, or of none. */
void pagescan_condition_set(struct pagescan_condition *c, bool value);

/* True of the pages that have @category, which is one bit. */
void pagescan_condition_set_category(struct pagescan_condition *c, uint64_t category);

/* True of the pages that have all of @required and none of @excluded. */
void pagescan_condition_set_cube(struct pagescan_condition *c, uint64_t required,
				 uint64_t excluded);

void pagescan_condition_not(struct pagescan_condition *c);
void pagescan_condition_and(struct pagescan_condition *c, const struct pagescan_condition *other);
void pagescan_condition_or(struct pagescan_condition *c, const struct pagescan_condition *other);

/* Say again what is left of it once it is known that pages have @ones and lack @zeros. */
void pagescan_condition_fix(struct pagescan_condition *c, uint64_t ones, uint64_t zeros);

bool pagescan_condition_matches(const struct pagescan_condition *c, uint64_t categories);
bool pagescan_condition_is_never(const struct pagescan_condition *c);
bool pagescan_condition_equals(const struct pagescan_condition *a,
			       const struct pagescan_condition *b);

/* Whether whatever fulfils @a fulfils @b. */
bool pagescan_condition_implies(const struct pagescan_condition *a,
				const struct pagescan_condition *b);

/* Or of the categories on which it really depends. */
uint64_t pagescan_condition_depends(const struct pagescan_condition *c);

/* The categories that every page has, or lacks, of which it is true. */
void pagescan_condition_essentials(const struct pagescan_condition *c, uint64_t *ret_required,
				   uint64_t *ret_excluded);

#endif
