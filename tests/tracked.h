/* SPDX-License-Identifier: MIT */
/* Sets of pages, and a collect into one: what was reported is compared with what was written. */
#ifndef TESTS_TRACKED_H
#define TESTS_TRACKED_H

#include "support.h"

#include <pagescan/pagescan.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The pages of [base, base + n pages), a byte each. */
struct pageset {
	unsigned char *base;
	size_t n;
	unsigned char *has;
};

static inline size_t page_bytes(void)
{
	return sysconf(_SC_PAGESIZE);
}

static inline struct pageset pageset_new(void *base, size_t n)
{
	return (struct pageset){base, n, calloc(1, n)};
}

static inline void pageset_free(struct pageset *set)
{
	free(set->has);
}

static inline void pageset_clear(struct pageset *set)
{
	memset(set->has, 0, set->n);
}

static inline void pageset_add(struct pageset *set, size_t from, size_t to)
{
	memset(&set->has[from], 1, to - from);
}

/* Add a region, if it is one: page aligned, not empty, inside. */
static inline bool pageset_add_region(struct pageset *set, const struct pagescan_region *region)
{
	uint64_t base = (uintptr_t)set->base, mask = page_bytes() - 1;

	if ((region->start & mask) || (region->end & mask) || region->start >= region->end ||
	    region->start < base || region->end > base + set->n * page_bytes() ||
	    region->categories != PAGESCAN_IS_WRITTEN)
		return false;
	pageset_add(set, (region->start - base) / page_bytes(),
		    (region->end - base) / page_bytes());
	return true;
}

/* How many pages differ; says the first few. */
static inline size_t pageset_compare(const struct pageset *got, const struct pageset *want)
{
	size_t n_wrong = 0;

	for (size_t i = 0; i < want->n; i++) {
		if (got->has[i] == want->has[i])
			continue;
		if (n_wrong++ < 8)
			printf("# page %zu of %zu: %s\n", i, want->n,
			       want->has[i] ? "written, but lost" : "reported, but not written");
	}
	return n_wrong;
}

/* Collect everything through an array of @n_vec regions; they must come in order. */
static inline void collect_into(struct pagescan_tracker *t, struct pageset *set, size_t n_vec,
				uint32_t flags)
{
	struct pagescan_region *vec = calloc(n_vec, sizeof(*vec));
	uint64_t cursor = 0, end = 0;
	ssize_t n;

	pageset_clear(set);
	while ((n = pagescan_tracker_collect(t, &cursor, vec, n_vec, flags)) > 0) {
		assert_true((size_t)n <= n_vec);
		for (ssize_t i = 0; i < n; i++) {
			assert_true(vec[i].start >= end);
			end = vec[i].end;
			assert_true(pageset_add_region(set, &vec[i]));
		}
	}
	assert_int_equal(n, 0);
	assert_int_equal(cursor, 0);
	free(vec);
}

/* Collect and re-arm; exactly @want must come. */
static inline void expect_written(struct pagescan_tracker *t, const struct pageset *want)
{
	struct pageset got = pageset_new(want->base, want->n);

	collect_into(t, &got, 512, PAGESCAN_COLLECT_REARM);
	assert_int_equal(pageset_compare(&got, want), 0);
	pageset_free(&got);
}

static inline void expect_nothing(struct pagescan_tracker *t, void *base, size_t n)
{
	struct pageset none = pageset_new(base, n);

	expect_written(t, &none);
	pageset_free(&none);
}

static inline struct pagescan_tracker *open_own(void)
{
	struct pagescan_tracker *t = NULL;
	struct pagescan_error error = {0};

	if (pagescan_tracker_open(NULL, NULL, &t, &error) == -EOPNOTSUPP)
		skip_because("%s", error.text);
	assert_int_equal(error.code, 0);
	return t;
}

static inline void *map_anon(size_t n_pages)
{
	void *p = mmap(NULL, n_pages * page_bytes(), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

#endif
