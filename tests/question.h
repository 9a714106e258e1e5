/* SPDX-License-Identifier: MIT */
/* Random questions for a scan, and their plain meaning. */
#ifndef TESTS_QUESTION_H
#define TESTS_QUESTION_H

#include "support.h"

#include <pagescan/scan.h>

struct question {
	struct pagescan_filter filter;
	uint32_t flags; /* of the scan */
	bool is_own;
};

/* One of categories that are @available. */
static inline struct pagescan_expr *question_random_expr(uint64_t *random, uint64_t available)
{
	static const char *const texts[] = {
		"present | swapped",
		"(present & !file) | (huge & written)",
		"!(written & huge) & (file | swapped | pfnzero)",
		"(written & present) | guard",
		"written & (present | !swapped & huge) & !(file & pfnzero)",
		"(file | huge) & (present | swapped)",
		"!file & !huge",
		"all",
	};
	struct pagescan_expr *expr = NULL;

	do {
		pagescan_expr_free(expr);
		assert_int_equal(pagescan_expr_parse(texts[test_random(random) % 8], &expr, NULL),
				 0);
	} while (pagescan_expr_get_categories(expr) & ~available);
	return expr;
}

static inline uint64_t question_random_mask(uint64_t *random)
{
	return test_random(random) & test_random(random) & test_random(random);
}

/* Some of the questions are for written pages alone. To be forgotten after use. */
static inline struct question question_ask(uint64_t *random, uint64_t available, uint32_t flags,
					   bool is_own)
{
	struct question q = {.flags = flags, .is_own = is_own};
	struct pagescan_filter *f = &q.filter;

	/* Hardly any page is soft-dirty, or none: requiring that tests nothing. */
	if (test_random(random) % 3) {
		f->required = question_random_mask(random) & available & ~PAGESCAN_IS_SOFT_DIRTY;
		f->excluded = question_random_mask(random) & available & ~f->required;
		if (test_random(random) % 2)
			f->any = question_random_mask(random) & available;
		if (test_random(random) % 3)
			f->where = question_random_expr(random, available);
	} else {
		f->required = PAGESCAN_IS_WRITTEN;
	}
	f->report = test_random(random) % 2 ? test_random(random) & available : PAGESCAN_IS_WRITTEN;
	if (flags & PAGESCAN_SCAN_PROTECT) {
		f->required |= PAGESCAN_IS_WRITTEN;
		f->excluded &= ~PAGESCAN_IS_WRITTEN;
	}
	return q;
}

static inline void question_forget(struct question *q)
{
	pagescan_expr_free((struct pagescan_expr *)q->filter.where);
}

static inline bool question_matches(const struct question *q, uint64_t categories)
{
	const struct pagescan_filter *f = &q->filter;

	if ((q->flags & PAGESCAN_SCAN_PROTECT) && !q->is_own &&
	    !(categories & (PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED)))
		return false;
	return (categories & f->required) == f->required && !(categories & f->excluded) &&
	       (!f->any || (categories & f->any)) &&
	       (!f->where || pagescan_expr_matches(f->where, categories));
}

/* Whether it is one for written pages alone: in era 1, these include empty ones. */
static inline bool question_is_for_written(const struct question *q)
{
	uint64_t tracked = q->flags ? PAGESCAN_IS_WPALLOWED : 0;

	if (q->filter.report & ~(PAGESCAN_IS_WRITTEN | tracked))
		return false;
	for (uint64_t row = 0; row < 1024; row++) {
		if (question_matches(q, row | tracked) != ((row & PAGESCAN_IS_WRITTEN) != 0))
			return false;
	}
	return true;
}

#endif
