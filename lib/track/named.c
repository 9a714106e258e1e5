/* SPDX-License-Identifier: MIT */
/* Ranges that are named: tracked as a whole or not at all, whatever is mapped there later. */
#include "track/track.h"

#include "base/system.h"

#include <errno.h>

/* A mapping that is replaced faster than we register it is left for the next time. */
#define MAX_REPAIRS 8

/* Add to @ret what of [start, end) is not in @set. */
static int find_gaps(const struct pagescan_rangeset *set, uint64_t start, uint64_t end,
		     struct pagescan_rangeset *ret)
{
	int r = 0;

	while (r == 0 && start < end) {
		const struct pagescan_range *range = pagescan_rangeset_find(set, start);
		bool has_range = range && range->start < end;

		r = pagescan_rangeset_add(ret, start, has_range ? range->start : end, 0);
		start = has_range ? range->end : end;
	}
	return r;
}

static int register_own(struct pagescan_tracker *t, const struct pagescan_mapping *m,
			uint64_t start, uint64_t end)
{
	struct pagescan_registration r = {
		.start = start,
		.end = end,
		.page_size = m->page_size,
		.kind = pagescan_mapping_kind(m),
	};

	return track_is_special(m) ? -EINVAL : pagescan_lost_add(t, &r);
}

/*
 * A hole is registered together with the mapping behind it, the last one with the
 * mapping before it. What is mapped there later is then found as what replaces a
 * mapping is. But hugetlb has no edges in holes.
 */
static int register_all(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_mapping m, last;
	uint64_t at = start, last_start = start;
	int found, r;

	while ((found = pagescan_process_find_mapping(t->process, at, &m)) > 0 && m.start < end) {
		last = m;
		last_start = m.page_size == pagescan_page_size() ? at : track_max(m.start, at);
		at = track_min(m.end, end);
		r = register_own(t, &m, last_start, at);
		if (r < 0)
			return r;
		if (at == end)
			return 0;
	}
	if (found < 0)
		return found;
	if (at == start)
		return -EINVAL;
	return last.page_size == pagescan_page_size() ? register_own(t, &last, last_start, end) : 0;
}

static int add_own(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_registry *registry = &t->process->registry;
	struct pagescan_rangeset fresh = {0};
	const struct pagescan_range *range;
	int r = find_gaps(&registry->ranges, start, end, &fresh);

	if (r == 0)
		r = register_all(t, start, end);
	for (uint64_t at = 0; r < 0 && (range = pagescan_rangeset_find(&fresh, at));
	     at = range->end)
		(void)pagescan_registry_release(registry, range->start, range->end);
	pagescan_rangeset_free(&fresh);
	return r;
}

/* What the kernel said to a part of [start, end). */
static int find_refusal(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	const struct pagescan_range *range = pagescan_rangeset_find(&t->refused, start);

	return range && range->start < end ? -(int)range->tag : 0;
}

static int follow_new(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_mapping m;
	int r = pagescan_process_find_mapping(t->process, start, &m);

	if (r < 0)
		return pagescan_track_error(t, r);
	if (r == 0 || m.start >= end)
		return -EINVAL;
	r = pagescan_rangeset_remove(&t->refused, start, end);
	if (r == 0)
		r = pagescan_rangeset_add(&t->wanted, start, end, 0);
	if (r == 0)
		r = pagescan_follow_range(t, start, end);
	return r == 0 ? find_refusal(t, start, end) : r;
}

static int add_of_another(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_rangeset fresh = {0};
	const struct pagescan_range *range;
	int r = find_gaps(&t->wanted, start, end, &fresh);

	if (r == 0)
		r = follow_new(t, start, end);
	for (uint64_t at = 0; r < 0 && (range = pagescan_rangeset_find(&fresh, at));
	     at = range->end)
		(void)pagescan_named_remove(t, range->start, range->end);
	pagescan_rangeset_free(&fresh);
	return r;
}

int pagescan_named_add(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	return t->process->is_own ? add_own(t, start, end) : add_of_another(t, start, end);
}

/*
 * Of another process's memory the pages are let go of, but not their mappings:
 * one that is cut in two fails in mremap(). The end of all tracking releases them.
 */
int pagescan_named_remove(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_registry *registry = &t->process->registry;
	int r;

	if (t->process->is_own)
		return pagescan_registry_release(registry, start, end);
	r = pagescan_rangeset_remove(&t->wanted, start, end);
	if (r == 0)
		r = pagescan_wp_async_unarm(t, start, end);
	return r == 0 ? pagescan_registry_forget(registry, start, end) : r;
}

/* Own memory that can no longer be tracked: whoever named the range must know. */
static int drop(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	t->error = -EBUSY;
	return pagescan_registry_forget(&t->process->registry, start, end);
}

/* Whether nothing is mapped there any more, so that a refusal says nothing. */
static bool has_gone(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_mapping m;

	return pagescan_process_find_mapping(t->process, start, &m) != 1 || m.start != start ||
	       m.end < end;
}

int pagescan_named_repair(struct pagescan_tracker *t, uint64_t *position, unsigned tries)
{
	struct pagescan_registration note;
	struct pagescan_mapping m;
	uint64_t start, end;
	int r;

	if (!pagescan_registry_find(&t->process->registry, *position, &note))
		return 0;
	start = track_max(*position, note.start);
	r = pagescan_process_find_mapping(t->process, start, &m);
	if (r < 0)
		return pagescan_track_error(t, r);
	end = r > 0 && m.start < note.end ? track_min(m.end, note.end) : note.end;
	/* Another's mappings were registered a moment ago: this one is newer, for the next time. */
	if (!t->process->is_own || tries >= MAX_REPAIRS) {
		*position = end;
		return 0;
	}
	start = track_max(start, m.start);
	if (r == 0 || start >= end)
		return 0;
	r = register_own(t, &m, start, end);
	if (r == -EINVAL && has_gone(t, start, end))
		return 0;
	return r == 0 || r == -ENOMEM ? r : drop(t, start, end);
}
