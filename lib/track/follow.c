/* SPDX-License-Identifier: MIT */
/*
 * Following another process's mappings: at the start of each arm and each collect
 * they are looked through and registered. That is harmless where they are ours
 * already, and refused where they are somebody else's by now.
 *
 * While we look, mappings come and go. Registering a range whose edge falls into a
 * mapping cuts that mapping in two, and the program's next mremap() of it fails.
 * Private memory without a file merges and grows freely, so an edge next to it
 * must lie where no mapping can ever reach across: all of it between two files'
 * mappings is a *run*, and registered by one call, holes and all.
 */
#include "track/track.h"

#include "base/system.h"
#include "scan/scan.h"

#include <errno.h>

/* One call registers so many mappings in less than a millisecond. */
#define MAX_RUN 4096

struct walk {
	struct pagescan_tracker *t;
	uint64_t from; /* what is wanted: only this is noted, and so armed */
	uint64_t to;

	uint64_t edge; /* end of the last mapping that can be part of no run; 0: none */
	uint64_t run_start;
	uint64_t run_end;
	unsigned n_run; /* mappings in it; they stand in t->run */
};

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

	return r < 0 ? r : (int)pagescan_scan_more(&scan, &region, 1);
}

/* Whether a mapping is not there any more as it was: then its refusal says nothing. */
static bool has_changed(struct pagescan_tracker *t, const struct pagescan_mapping *m)
{
	struct pagescan_mapping now;

	return pagescan_process_find_mapping(t->process, m->start, &now) != 1 ||
	       now.start != m->start || now.end != m->end || now.inode != m->inode ||
	       now.flags != m->flags;
}

/* What could not be registered is no longer noted, and why is remembered. */
static int refuse(struct pagescan_tracker *t, uint64_t start, uint64_t end, int error)
{
	int r = pagescan_registry_forget(&t->process->registry, start, end);

	if (r == 0)
		r = pagescan_rangeset_add(&t->refused, start, end, -error);
	if (r == 0 && error == -EBUSY)
		r = pagescan_rangeset_add(&t->others, start, end, 0);
	return r;
}

/*
 * Register [start, end) of a mapping, and note what is wanted of it. A private
 * file mapping waits for its first page of its own: registering makes every fault
 * of it map one page instead of sixteen (R10.3), and program text is never written.
 */
static int follow_piece(const struct walk *w, const struct pagescan_mapping *m, uint64_t start,
			uint64_t end)
{
	struct pagescan_tracker *t = w->t;
	struct pagescan_registration note = {
		.start = track_max(start, w->from),
		.end = track_min(end, w->to),
		.page_size = m->page_size,
		.kind = pagescan_mapping_kind(m),
	};
	int r = 0;

	if (note.start >= note.end)
		return 0;
	if (track_is_special(m))
		return refuse(t, note.start, note.end, -EINVAL);
	if (note.kind == PAGESCAN_MEMORY_PRIVATE_FILE &&
	    !track_touches(&t->process->registry.ranges, note.start, note.end)) {
		r = has_own_pages(t, note.start, note.end);
		if (r <= 0)
			return r;
	}
	r = (note.start | note.end) & (m->page_size - 1) ? -EINVAL
							 : pagescan_lost_enlist(t, start, end);
	if (r == 0)
		r = pagescan_registry_note(&t->process->registry, &note);
	if (r == 0)
		return pagescan_lost_unarm(t);
	if (r == -ENOMEM && pagescan_track_error(t, r) == -ESRCH)
		return -ESRCH;
	if (r == -EINVAL && has_changed(t, m))
		return 0;
	return refuse(t, note.start, note.end, r);
}

/*
 * Register one mapping by itself, but for what was once another userfaultfd's:
 * were it taken in a moment when it is free, its owner could not have it back.
 */
static int follow_mapping(const struct walk *w, const struct pagescan_mapping *m)
{
	uint64_t start = m->start;
	int r = 0;

	while (r == 0 && start < m->end) {
		const struct pagescan_range *other = pagescan_rangeset_find(&w->t->others, start);
		uint64_t stop = other ? track_min(other->start, m->end) : m->end;

		if (start < stop) {
			r = follow_piece(w, m, start, stop);
		} else {
			stop = track_min(other->end, m->end);
			r = refuse(w->t, start, stop, -EBUSY);
		}
		start = stop;
	}
	return r;
}

static int follow_each(const struct walk *w, uint64_t start, uint64_t end)
{
	struct pagescan_mapping m;
	int found, r = 0;

	while (r == 0 && start < end &&
	       (found = pagescan_process_find_mapping(w->t->process, start, &m)) != 0) {
		if (found < 0)
			return pagescan_track_error(w->t, found);
		if (m.start >= end)
			break;
		r = follow_mapping(w, &m);
		start = m.end;
	}
	return r;
}

/* Register the run. If a part of it is refused, each mapping of it is asked for. */
static int end_run(struct walk *w, uint64_t end)
{
	struct pagescan_registry *registry = &w->t->process->registry;
	struct pagescan_registration note = {
		.page_size = pagescan_page_size(),
		.kind = PAGESCAN_MEMORY_ANON,
	};
	const struct pagescan_range *range;
	int r;

	if (w->n_run == 0)
		return 0;
	w->n_run = 0;
	r = pagescan_lost_enlist(w->t, w->run_start, end);
	if (r < 0)
		return follow_each(w, w->run_start, end);
	for (; r == 0 && (range = pagescan_rangeset_find(&w->t->run, note.end));) {
		note.start = range->start;
		note.end = range->end;
		r = pagescan_registry_note(registry, &note);
	}
	if (r == 0)
		r = pagescan_lost_unarm(w->t);
	return r == 0 ? pagescan_rangeset_remove(&w->t->run, 0, UINT64_MAX) : r;
}

/* Whether a mapping may merge with its neighbours, and will hardly be refused. */
static bool may_run(const struct walk *w, const struct pagescan_mapping *m)
{
	return m->page_size == pagescan_page_size() &&
	       pagescan_mapping_kind(m) == PAGESCAN_MEMORY_ANON &&
	       !track_touches(&w->t->others, m->start, m->end) &&
	       !track_touches(&w->t->was_refused, m->start, m->end);
}

static int extend_run(struct walk *w, const struct pagescan_mapping *m)
{
	int r = pagescan_rangeset_add(&w->t->run, track_max(m->start, w->from),
				      track_min(m->end, w->to), 0);

	if (r < 0)
		return r;
	if (w->n_run++ == 0)
		w->run_start = w->edge ? w->edge : m->start;
	w->run_end = m->end;
	if (w->n_run < MAX_RUN)
		return 0;
	w->edge = m->end;
	return end_run(w, m->end);
}

static int follow_next(struct walk *w, const struct pagescan_mapping *m)
{
	int r;

	if (may_run(w, m))
		return extend_run(w, m);
	r = end_run(w, m->start);
	if (r == 0)
		r = follow_mapping(w, m);
	w->edge = m->end;
	return r;
}

/* Where nothing is mapped there is nothing to remember. */
static int forget_gap(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	int r;

	if (start >= end)
		return 0;
	r = pagescan_registry_forget(&t->process->registry, start, end);
	return r < 0 ? r : pagescan_rangeset_remove(&t->others, start, end);
}

int pagescan_follow_range(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct walk w = {.t = t, .from = start, .to = end};
	uint64_t at = start;
	int r = pagescan_rangeset_remove(&t->run, 0, UINT64_MAX);

	while (r == 0 && at < end) {
		struct pagescan_mapping m = {.start = end, .end = end};
		int found = pagescan_process_find_mapping(t->process, at, &m);

		if (found < 0)
			return pagescan_track_error(t, found);
		if (found == 0 || m.start >= end)
			break;
		r = forget_gap(t, at, m.start);
		if (r == 0)
			r = follow_next(&w, &m);
		at = m.end;
	}
	if (r == 0)
		r = end_run(&w, w.run_end);
	return r == 0 ? forget_gap(t, at, end) : r;
}

int pagescan_follow_all(struct pagescan_tracker *t)
{
	const struct pagescan_range *range;
	uint64_t at = 0;
	int r = 0;

	pagescan_rangeset_free(&t->was_refused);
	t->was_refused = t->refused;
	t->refused = (struct pagescan_rangeset){0};
	while (r == 0 && (range = pagescan_rangeset_find(&t->wanted, at))) {
		at = range->end;
		r = pagescan_follow_range(t, range->start, range->end);
	}
	return r;
}
