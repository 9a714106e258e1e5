/* SPDX-License-Identifier: MIT */
/*
 * From mappings to registrations. The own process names its ranges; another's
 * mappings are looked through at the start of each arm and each collect. What
 * became of a place in between is found by behaviour: registering again is
 * harmless where it is still ours, and refused where it is somebody else's.
 */
#include "track/track.h"

#include "base/system.h"
#include "scan/scan.h"

#include <errno.h>

/* A mapping that is replaced faster than we register it is left for the next time. */
#define MAX_REPAIRS 8

static struct pagescan_registry *registry_of(struct pagescan_tracker *t)
{
	return &t->process->registry;
}

/* Whether a private file mapping has pages of its own: those were written. 1, 0, or an error. */
static int has_own_pages(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	const struct pagescan_filter filter = {
		.any = PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED,
		.excluded = PAGESCAN_IS_FILE | PAGESCAN_IS_PFNZERO | t->guard,
	};
	const struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = start,
		.end = end,
		.max_pages = 1,
	};
	struct pagescan_region region;
	struct pagescan_scan scan;
	int r = pagescan_scan_init(&scan, t->process, &filter, &opts, NULL);

	return r < 0 ? r : (int)pagescan_scan_next(&scan, &region, 1);
}

static bool is_noted(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_registration r;

	return pagescan_registry_find(registry_of(t), start, &r) && r.start < end;
}

/*
 * Register a part of a mapping. A private file mapping of another process waits
 * for its first page of its own: registering makes every fault of it map one page
 * instead of sixteen (R10.3), and program text is never written.
 */
int pagescan_follow_register(struct pagescan_tracker *t, const struct pagescan_mapping *m,
			     uint64_t start, uint64_t end)
{
	struct pagescan_registration r = {
		.start = start,
		.end = end,
		.page_size = m->page_size,
		.kind = pagescan_mapping_kind(m),
	};

	if (r.kind == PAGESCAN_MEMORY_PRIVATE_FILE && !t->process->is_own &&
	    !is_noted(t, start, end)) {
		int has = has_own_pages(t, start, end);

		if (has <= 0)
			return has;
	}
	return pagescan_registry_add(registry_of(t), &r);
}

/* Whether a mapping is not there any more as it was: then its refusal says nothing. */
static bool has_changed(struct pagescan_tracker *t, const struct pagescan_mapping *m)
{
	struct pagescan_mapping now;

	return pagescan_process_find_mapping(t->process, m->start, &now) != 1 ||
	       now.start != m->start || now.end != m->end || now.inode != m->inode ||
	       now.flags != m->flags;
}

/* A piece could not be registered: drop the note of it, if there is one, and remember why. */
static int refuse(struct pagescan_tracker *t, const struct pagescan_mapping *m, uint64_t start,
		  uint64_t end, int error)
{
	int r;

	if (error == -ENOMEM && (t->process->is_own || pagescan_track_error(t, error) == -ESRCH))
		return pagescan_track_error(t, error);
	if (error == -EINVAL && has_changed(t, m))
		return 0;
	r = pagescan_registry_forget(registry_of(t), start, end);
	if (r == 0)
		r = pagescan_rangeset_add(&t->refused, start, end, -error);
	if (r == 0 && error == -EBUSY)
		r = pagescan_rangeset_add(&t->others, start, end, 0);
	/* Whoever named the range must know that a part of it is no longer tracked. */
	if (r == 0 && t->process->is_own)
		t->error = -EBUSY;
	return r;
}

/*
 * Register the part of a mapping that lies in [start, end), but for what was once
 * another userfaultfd's: were it taken in a moment when it is free, its owner
 * could not have it back.
 */
static int follow_mapping(struct pagescan_tracker *t, const struct pagescan_mapping *m,
			  uint64_t start, uint64_t end)
{
	start = track_max(start, m->start);
	end = track_min(end, m->end);
	while (start < end) {
		const struct pagescan_range *other = pagescan_rangeset_find(&t->others, start);
		uint64_t stop = other ? track_min(track_max(other->start, start), end) : end;
		int r = 0;

		if (start < stop) {
			r = pagescan_follow_register(t, m, start, stop);
			if (r < 0)
				r = refuse(t, m, start, stop, r);
		} else {
			stop = track_min(other->end, end);
			r = pagescan_rangeset_add(&t->refused, start, stop, EBUSY);
		}
		if (r < 0)
			return r;
		start = stop;
	}
	return 0;
}

/* Where nothing is mapped there is nothing to remember. */
static int forget_gap(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	int r;

	if (start >= end)
		return 0;
	r = pagescan_registry_forget(registry_of(t), start, end);
	return r < 0 ? r : pagescan_rangeset_remove(&t->others, start, end);
}

static int follow_range(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	while (start < end) {
		struct pagescan_mapping m;
		int found = pagescan_process_find_mapping(t->process, start, &m), r;

		if (found < 0)
			return pagescan_track_error(t, found);
		r = forget_gap(t, start, found ? track_min(m.start, end) : end);
		if (r == 0 && found)
			r = follow_mapping(t, &m, start, end);
		if (r < 0 || !found)
			return r;
		start = m.end;
	}
	return 0;
}

int pagescan_follow_all(struct pagescan_tracker *t)
{
	const struct pagescan_range *range;
	uint64_t at = 0;
	int r = pagescan_rangeset_remove(&t->refused, 0, UINT64_MAX);

	while (r == 0 && (range = pagescan_rangeset_find(&t->wanted, at))) {
		r = follow_range(t, range->start, range->end);
		at = range->end;
	}
	return r;
}

int pagescan_follow_repair(struct pagescan_tracker *t, uint64_t *position, unsigned tries)
{
	struct pagescan_registration note;
	struct pagescan_mapping m;
	uint64_t start;
	int found;

	if (!pagescan_registry_find(registry_of(t), *position, &note))
		return 0;
	start = track_max(*position, note.start);
	found = pagescan_process_find_mapping(t->process, start, &m);
	if (found < 0)
		return pagescan_track_error(t, found);
	if (tries >= MAX_REPAIRS) {
		*position = found && m.start < note.end ? track_min(m.end, note.end) : note.end;
		return 0;
	}
	return found ? follow_mapping(t, &m, start, note.end) : 0;
}
