/* SPDX-License-Identifier: MIT */
/* Ranges that are named: registered as a whole, or not at all. */
#include "track/track.h"

#include "base/system.h"

#include <errno.h>

/* Add to @fresh what of [start, end) is not registered yet. */
static int note_fresh(struct pagescan_tracker *t, uint64_t start, uint64_t end,
		      struct pagescan_rangeset *fresh)
{
	struct pagescan_registration note;
	int r = 0;

	while (r == 0 && start < end) {
		uint64_t stop = end, next = end;

		if (pagescan_registry_find(&t->process->registry, start, &note) &&
		    note.start < end) {
			stop = note.start;
			next = note.end;
		}
		r = pagescan_rangeset_add(fresh, start, stop, 0);
		start = next;
	}
	return r;
}

static int add_piece(struct pagescan_tracker *t, const struct pagescan_mapping *m, uint64_t start,
		     uint64_t end, struct pagescan_rangeset *fresh)
{
	int r = note_fresh(t, start, end, fresh);

	return r < 0 ? r : pagescan_follow_register(t, m, start, end);
}

/*
 * Own ranges are ranges of addresses: a hole is registered together with the
 * mapping behind it, the last one with the mapping before it. What is mapped there
 * later is then found as what replaces a mapping is. But hugetlb has no edges in holes.
 */
static int add_mappings(struct pagescan_tracker *t, uint64_t start, uint64_t end,
			struct pagescan_rangeset *fresh)
{
	struct pagescan_mapping m, last;
	uint64_t at = start, last_start = start;
	int found, r;

	while ((found = pagescan_process_find_mapping(t->process, at, &m)) > 0 && m.start < end) {
		bool takes_holes = t->process->is_own && m.page_size == pagescan_page_size();

		last = m;
		last_start = takes_holes ? at : track_max(m.start, at);
		at = track_min(m.end, end);
		r = add_piece(t, &m, last_start, at, fresh);
		if (r < 0)
			return r;
		if (at == end)
			return 0;
	}
	if (found < 0)
		return pagescan_track_error(t, found);
	if (at == start)
		return -EINVAL;
	if (t->process->is_own && last.page_size == pagescan_page_size())
		return add_piece(t, &last, last_start, end, fresh);
	return 0;
}

int pagescan_track_add(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_rangeset fresh = {0};
	const struct pagescan_range *range;
	int r = add_mappings(t, start, end, &fresh);

	if (r == 0 && !t->process->is_own)
		r = pagescan_rangeset_add(&t->wanted, start, end, 0);
	for (uint64_t at = 0; r < 0 && (range = pagescan_rangeset_find(&fresh, at));
	     at = range->end)
		(void)pagescan_registry_release(&t->process->registry, range->start, range->end);
	pagescan_rangeset_free(&fresh);
	return r;
}
