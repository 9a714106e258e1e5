/* SPDX-License-Identifier: MIT */
/*
 * A small PAGEMAP_SCAN over memory that is made up: what it stores, where it
 * stops and what it calls the end, by the rules R5 to R7, its oddities included.
 * Only as much of it as a scan can meet; what no scan may ever ask for is
 * counted as a foul.
 */
#ifndef TESTS_SIMULATED_H
#define TESTS_SIMULATED_H

#include "process/registry.h"
#include "scan/operation.h"
#include "support.h"

#include <errno.h>
#include <pagescan/scan.h>
#include <string.h>

#define PAGE  UINT64_C(4096)
#define BLOCK 512 /* pages of a huge page */
#define HUGE  (BLOCK * PAGE)

/* Segments of mappings that touch, each across a bound of what one call may hold. */
#define SEGMENT_PAGES  (2 * BLOCK)
#define SEGMENT_STRIDE (UINT64_C(32) << 20)
#define N_SEGMENTS     8
#define N_PAGES        (N_SEGMENTS * SEGMENT_PAGES)
#define BASE           ((UINT64_C(1) << 32) + (UINT64_C(30) << 20))

struct simulated_page {
	uint64_t categories; /* without WPALLOWED and WRITTEN */
	bool is_mapped;
	bool is_armed;
	unsigned n_armings;
};

struct simulated_mapping {
	size_t first, last; /* pages; last is beyond */
	bool is_tracked;
	bool is_hugetlb;
	enum pagescan_memory_kind kind;
};

struct simulation {
	struct pagescan_operation_handle handle;
	struct simulated_page pages[N_PAGES];
	struct simulated_mapping mappings[64];
	size_t n_mappings;
	size_t bounce; /* R5.6: regions gathered before the walk is left */
	bool is_era_1;
	const struct pagescan_registry *registry;

	/* What goes on meanwhile: called before each call and whenever a walk is left. */
	void (*meanwhile)(struct simulation *sim);
	uint64_t *random;

	int next_error; /* of a call that then stops after some pieces; 0: none */
	size_t n_calls, n_splits, n_withdrawn;
	const char *foul;
};

/* One call on its way. */
struct call {
	struct simulation *sim;
	struct uapi_pm_scan_arg *arg;
	struct pagescan_region *vec;
	size_t n_stored, n_gathered; /* in all; since the walk was left last */
	uint64_t n_found, max_pages, walk_end;
	bool is_protecting, is_full;
};

static inline uint64_t address_of(size_t page)
{
	return BASE + page / SEGMENT_PAGES * SEGMENT_STRIDE + page % SEGMENT_PAGES * PAGE;
}

/* The first page at or above @address. */
static inline size_t page_at(uint64_t address)
{
	uint64_t segment, offset;

	if (address <= BASE)
		return 0;
	segment = (address - BASE) / SEGMENT_STRIDE;
	offset = (address - BASE) % SEGMENT_STRIDE / PAGE;
	if (offset > SEGMENT_PAGES)
		offset = SEGMENT_PAGES;
	return segment >= N_SEGMENTS ? N_PAGES : segment * SEGMENT_PAGES + offset;
}

/* The end of the run of pages that ends before @last: not the start of the next segment. */
static inline uint64_t end_address(size_t last)
{
	return address_of(last - 1) + PAGE;
}

static inline bool is_empty(const struct simulated_page *page)
{
	return !(page->categories & (PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED));
}

static inline uint64_t categories_of(const struct simulation *sim,
				     const struct simulated_mapping *mapping, size_t page,
				     bool is_fast)
{
	const struct simulated_page *p = &sim->pages[page];
	uint64_t categories = p->categories;

	if (mapping->is_tracked)
		categories |= PAGESCAN_IS_WPALLOWED;
	if (!p->is_armed && !(is_empty(p) && (mapping->is_hugetlb || (sim->is_era_1 && !is_fast))))
		categories |= PAGESCAN_IS_WRITTEN;
	return categories;
}

static inline bool simulated_matches(const struct uapi_pm_scan_arg *arg, uint64_t categories)
{
	uint64_t x = categories ^ arg->category_inverted;

	return (x & arg->category_mask) == arg->category_mask &&
	       (!arg->category_anyof_mask || (x & arg->category_anyof_mask));
}

/* Take [first, *last) into the output, or as much of it as fits. Says whether to stop after it. */
static inline bool output(struct call *call, size_t first, size_t *last, uint64_t categories)
{
	struct pagescan_region *previous = call->n_stored ? &call->vec[call->n_stored - 1] : NULL;
	uint64_t left = call->max_pages - call->n_found;
	bool is_cut = *last - first > left;

	if (is_cut)
		*last = first + left;
	if (*last == first) {
		call->walk_end = address_of(first);
		return true;
	}
	if (call->n_gathered && previous->end == address_of(first) &&
	    previous->categories == categories) {
		previous->end = end_address(*last);
	} else if (call->n_gathered == call->sim->bounce || call->n_stored == call->arg->vec_len) {
		call->is_full = true;
		call->walk_end = address_of(first);
		*last = first;
		return true;
	} else {
		call->vec[call->n_stored++] =
			(struct pagescan_region){address_of(first), end_address(*last), categories};
		call->n_gathered++;
	}
	call->n_found += *last - first;
	if (is_cut)
		call->walk_end = end_address(*last);
	return is_cut;
}

/* R7.4, R7.6: as if it had never been found. */
static inline void withdraw(struct call *call, size_t first, size_t last)
{
	struct pagescan_region *previous = &call->vec[call->n_stored - 1];

	call->n_found -= last - first;
	if (previous->start == address_of(first)) {
		*previous = (struct pagescan_region){0};
		call->n_stored--;
		call->n_gathered--;
	} else {
		previous->end = address_of(first);
	}
}

static inline void arm(struct simulation *sim, size_t first, size_t last)
{
	for (size_t i = first; i < last; i++) {
		struct simulated_page *page = &sim->pages[i];

		page->is_armed = true;
		page->n_armings++;
		if (is_empty(page))
			page->categories = PAGESCAN_IS_SWAPPED;
	}
}

/* R7.4 */
static inline void split(struct simulation *sim, const struct simulated_mapping *mapping,
			 size_t page)
{
	size_t block = page / BLOCK * BLOCK;

	sim->n_splits++;
	for (size_t i = block; i < block + BLOCK; i++) {
		sim->pages[i].categories &= ~PAGESCAN_IS_HUGE;
		if (mapping->kind != PAGESCAN_MEMORY_ANON)
			sim->pages[i].categories = 0;
	}
}

/* One entry: [first, last) of pages, which is a part of a huge page or a page. Says whether to
 * stop. */
static inline bool walk_piece(struct call *call, const struct simulated_mapping *mapping,
			      size_t first, size_t *last)
{
	const uint64_t written = PAGESCAN_IS_WRITTEN;
	const struct uapi_pm_scan_arg *arg = call->arg;
	bool is_fast = arg->category_mask == written && arg->return_mask == written &&
		       !arg->category_anyof_mask && !arg->category_inverted;
	uint64_t categories = categories_of(call->sim, mapping, first, is_fast);
	bool is_huge = categories & PAGESCAN_IS_HUGE, stops;

	if (!simulated_matches(arg, categories))
		return false;
	stops = output(call, first, last, categories & arg->return_mask);
	if (*last == first || !call->is_protecting || !(categories & written))
		return stops;
	if (is_huge && *last - first != BLOCK) {
		withdraw(call, first, *last);
		if (mapping->is_hugetlb) {
			call->sim->n_withdrawn++;
			call->walk_end = address_of(first);
		} else {
			split(call->sim, mapping, first);
			*last = first;
		}
		return false;
	}
	arm(call->sim, first, *last);
	return stops;
}

static inline bool walk_mapping(struct call *call, const struct simulated_mapping *mapping,
				size_t first, size_t last)
{
	while (first < last) {
		size_t piece_last = first + 1;

		if (call->sim->pages[first].categories & PAGESCAN_IS_HUGE) {
			piece_last = (first / BLOCK + 1) * BLOCK;
			if (piece_last > last)
				piece_last = last;
		}
		if (walk_piece(call, mapping, first, &piece_last))
			return true;
		first = piece_last;
	}
	return false;
}

/* 1 if it stopped early, 0 at the end, or an error. */
static inline int walk(struct call *call, uint64_t start)
{
	struct simulation *sim = call->sim;

	for (size_t i = 0; i < sim->n_mappings; i++) {
		const struct simulated_mapping mapping = sim->mappings[i];
		size_t first = page_at(start), last = page_at(call->arg->end);

		if (first < mapping.first)
			first = mapping.first;
		if (last > mapping.last)
			last = mapping.last;
		if (first >= last)
			continue;
		if (!mapping.is_tracked && (call->arg->flags & UAPI_PM_SCAN_CHECK_WPASYNC))
			return -EPERM;
		if (!mapping.is_tracked && call->is_protecting)
			continue;
		if (walk_mapping(call, &mapping, first, last))
			return 1;
		if (sim->next_error && call->n_stored && test_random(sim->random) % 4 == 0)
			return sim->next_error;
	}
	return 0;
}

static inline void check_fouls(struct simulation *sim, const struct uapi_pm_scan_arg *arg)
{
	struct pagescan_registration registered;

	if (!arg->vec || !arg->vec_len)
		sim->foul = "no vector";
	if (arg->start % PAGE || arg->end % PAGE || arg->start >= arg->end)
		sim->foul = "bad range";
	if (!(arg->flags & UAPI_PM_SCAN_WP_MATCHING))
		return;
	if (!(arg->category_mask & ~arg->category_inverted & PAGESCAN_IS_WRITTEN))
		sim->foul = "protecting without written";
	if (!(arg->flags & UAPI_PM_SCAN_CHECK_WPASYNC))
		sim->foul = "protecting without a check";
	for (uint64_t at = arg->start; at < arg->end; at = registered.end) {
		if (!pagescan_registry_find(sim->registry, at, &registered) ||
		    registered.start > at) {
			sim->foul = "protecting what is not registered";
			return;
		}
	}
}

static inline int simulated_scan(struct pagescan_operation_handle *handle,
				 struct uapi_pm_scan_arg *arg)
{
	struct simulation *sim = (struct simulation *)handle;
	struct call call = {
		.sim = sim,
		.arg = arg,
		.vec = (struct pagescan_region *)(uintptr_t)arg->vec,
		.max_pages = arg->max_pages ? arg->max_pages : UINT64_MAX,
		.is_protecting = arg->flags & UAPI_PM_SCAN_WP_MATCHING,
	};
	uint64_t start = arg->start;
	int r;

	if (++sim->n_calls > 200000)
		fail_msg("the scan does not come to an end");
	check_fouls(sim, arg);
	do {
		if (sim->meanwhile)
			sim->meanwhile(sim);
		call.is_full = false;
		call.n_gathered = 0;
		r = walk(&call, start);
		start = call.walk_end;
	} while (r == 1 && call.is_full && call.n_stored < arg->vec_len &&
		 call.n_found != call.max_pages);
	arg->walk_end = call.walk_end ? call.walk_end : arg->end;
	if (r < 0)
		sim->next_error = 0;
	return r < 0 ? r : (int)call.n_stored;
}

#endif
