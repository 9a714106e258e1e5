/* SPDX-License-Identifier: MIT */
#include "scan/window.h"

#include <errno.h>

/* How often a mapping may change under a refused call before it is passed over. */
#define MAX_REFUSED 16

/* What a page table entry of the next level maps: a table is a page of 8-byte entries. */
static uint64_t huge_page_size(void)
{
	return pagescan_page_size() * (pagescan_page_size() / 8);
}

static const struct pagescan_plan *plan_of(const struct pagescan_scan *scan,
					   enum pagescan_memory_kind kind)
{
	if (scan->needs_kinds && kind == PAGESCAN_MEMORY_ANON)
		return &scan->anon_plan;
	return &scan->plan;
}

/* The first mapping at the position or after it, before @end. The position moves there. */
static int find_mapping(struct pagescan_scan *scan, uint64_t end, struct pagescan_mapping *ret)
{
	int r = pagescan_process_find_mapping(scan->process, scan->position, ret);

	if (r < 0)
		return r;
	if (r == 0 || ret->start >= end) {
		scan->position = end;
		return 0;
	}
	scan->position = pagescan_max(scan->position, ret->start);
	return 1;
}

/* Go on over the mappings that follow @w and have its plan. */
static int extend(struct pagescan_scan *scan, size_t n, uint64_t limit, struct pagescan_window *w)
{
	struct pagescan_mapping mapping;

	while (n-- > 0 && w->end < limit) {
		int r = pagescan_process_find_mapping(scan->process, w->end, &mapping);

		if (r < 0)
			return r;
		if (r == 0 || plan_of(scan, pagescan_mapping_kind(&mapping)) != w->plan)
			break;
		w->end = mapping.end;
	}
	return 0;
}

static int find_readable(struct pagescan_scan *scan, size_t n_regions, struct pagescan_window *w)
{
	struct pagescan_mapping mapping;
	bool is_single = scan->position < scan->single_end;
	uint64_t limit = scan->end;
	int r;

	w->plan = &scan->plan;
	w->start = scan->position;
	w->end = scan->end;
	if (scan->process->is_own && !scan->needs_kinds && !is_single)
		return 1;
	/* Of another process even if kinds do not matter: a long gap would take many calls. */
	r = find_mapping(scan, scan->end, &mapping);
	if (r <= 0)
		return r;
	w->plan = plan_of(scan, pagescan_mapping_kind(&mapping));
	w->start = scan->position;
	if (!scan->process->is_own)
		limit = pagescan_min(
			limit, pagescan_next_multiple(w->start, pagescan_window_look(w->plan)));
	if (is_single || scan->needs_kinds)
		w->end = mapping.end;
	if (!is_single && scan->needs_kinds)
		r = extend(scan, n_regions, limit, w);
	w->end = pagescan_min(w->end, limit);
	return r < 0 ? r : 1;
}

/* Nothing is registered from the position up to @end. */
static int pass_gap(struct pagescan_scan *scan, uint64_t end)
{
	struct pagescan_mapping mapping;
	int r;

	if (scan->flags & PAGESCAN_SCAN_CHECK) {
		r = find_mapping(scan, end, &mapping);
		if (r != 0)
			return r < 0 ? r : -EPERM;
	}
	scan->position = end;
	return 0;
}

/*
 * Era 1: protecting a part of a shared huge page empties its page table, and the
 * generic path does not call an empty entry written: what was written would
 * never be told (R7.4). Where the range's edge may cut one, its pages are told
 * but not protected, and so are told again. The edges of a registration are
 * those of a mapping and cut none.
 */
static void spare_cut_blocks(const struct pagescan_scan *scan,
			     const struct pagescan_registration *registered,
			     struct pagescan_window *w)
{
	uint64_t head_end = scan->start, tail = scan->end;

	if (scan->start > registered->start && scan->start % w->unit)
		head_end = pagescan_next_multiple(scan->start, w->unit);
	if (scan->end < registered->end)
		tail = pagescan_align_down(scan->end, w->unit);
	if (w->start < head_end) {
		w->end = pagescan_min(w->end, head_end);
		w->is_armed = false;
	} else if (w->start >= tail) {
		w->is_armed = false;
	} else {
		w->end = pagescan_min(w->end, tail);
	}
}

static void extend_registered(const struct pagescan_scan *scan, struct pagescan_window *w)
{
	struct pagescan_registration next;

	while (w->end < scan->end &&
	       pagescan_registry_find(&scan->process->registry, w->end, &next) &&
	       next.start == w->end && next.page_size == pagescan_page_size() &&
	       plan_of(scan, next.kind) == w->plan)
		w->end = pagescan_min(next.end, scan->end);
}

static int clip_to_mapping(struct pagescan_scan *scan, struct pagescan_window *w)
{
	struct pagescan_mapping mapping;
	int r = find_mapping(scan, w->end, &mapping);

	if (r <= 0)
		return r;
	w->start = scan->position;
	w->end = pagescan_min(w->end, mapping.end);
	return 1;
}

/* As pagescan_window_find(), but 0 whenever the position moved and no window was found. */
static int find_protected(struct pagescan_scan *scan, struct pagescan_window *w)
{
	struct pagescan_registration registered;
	bool is_huge;

	if (!pagescan_registry_find(&scan->process->registry, scan->position, &registered))
		return pass_gap(scan, scan->end);
	if (registered.start > scan->position)
		return pass_gap(scan, pagescan_min(registered.start, scan->end));
	w->plan = plan_of(scan, registered.kind);
	w->is_armed = true;
	w->start = scan->position;
	w->end = pagescan_min(registered.end, scan->end);
	is_huge = registered.page_size > pagescan_page_size();
	w->unit = is_huge ? registered.page_size : huge_page_size();
	if (is_huge && (w->start % w->unit || w->end % w->unit))
		return -EINVAL;
	if (scan->is_era_1 && !w->plan->is_fast) {
		if (!is_huge && registered.kind != PAGESCAN_MEMORY_ANON)
			spare_cut_blocks(scan, &registered, w);
	} else if (!is_huge) {
		extend_registered(scan, w);
	}
	return scan->position < scan->single_end ? clip_to_mapping(scan, w) : 1;
}

int pagescan_window_find(struct pagescan_scan *scan, size_t n_regions, struct pagescan_window *ret)
{
	int r = 0;

	*ret = (struct pagescan_window){.unit = huge_page_size()};
	if (scan->position < scan->end && !(scan->flags & PAGESCAN_SCAN_PROTECT))
		return find_readable(scan, n_regions, ret);
	while (scan->position < scan->end && r == 0)
		r = find_protected(scan, ret);
	return r;
}

/* Whether the one mapping that a refused call was about is still as it was. */
static bool is_unchanged(struct pagescan_scan *scan, const struct pagescan_window *w)
{
	struct pagescan_mapping mapping;
	int r = pagescan_process_find_mapping(scan->process, w->start, &mapping);

	return r == 1 && mapping.start <= w->start && mapping.end >= w->end;
}

int pagescan_window_refuse(struct pagescan_scan *scan, const struct pagescan_window *w)
{
	if (scan->position >= scan->single_end) {
		scan->single_end = w->end;
		return 1;
	}
	if (scan->flags & PAGESCAN_SCAN_CHECK)
		return -EPERM;
	if (++scan->n_refused < MAX_REFUSED && !is_unchanged(scan, w))
		return 1;
	scan->n_refused = 0;
	scan->position = w->end;
	return 1;
}
