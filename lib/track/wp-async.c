/* SPDX-License-Identifier: MIT */
/*
 * Tracking by asynchronous write-protection: the kernel takes the protection off
 * at the first write, and a scan finds what is not protected and protects it
 * again, in one step under the page table's lock (R7.7).
 */
#include "track/track.h"

#include "base/system.h"
#include "scan/scan.h"
#include "uapi/userfaultfd.h"

#include <errno.h>

/* How far to look ahead for a hole: what is found is looked for again at the next step. */
#define HOLE_LOOK (UINT64_C(64) << 20)

static bool is_hugetlb(const struct pagescan_registration *r)
{
	return r->page_size != pagescan_page_size();
}

static bool is_own_in_era_1(const struct pagescan_tracker *t)
{
	return t->process->is_own && t->era == PAGESCAN_ERA_1;
}

/*
 * Own memory that is not there counts as written unless it was armed. Era 1 tells
 * nothing of what has no page table, no era of empty hugetlb pages (section 0):
 * these are looked for.
 */
static bool must_find_holes(const struct pagescan_tracker *t, const struct pagescan_registration *r)
{
	return is_own_in_era_1(t) || (t->process->is_own && is_hugetlb(r));
}

/*
 * Own memory is collected with the kernel's fastest mask, which tells nothing
 * else; in era 1 it is the only one that knows of empty pages, and arms too.
 */
static bool reports_huge(const struct pagescan_tracker *t, const struct pagescan_registration *r,
			 bool is_arming)
{
	return !is_hugetlb(r) && (is_arming ? !is_own_in_era_1(t) : !t->process->is_own);
}

/*
 * Which pages of a registration count as written (tracker.h). In another process
 * a page must have contents of its own: nothing is created in holes, and what was
 * only read is no write.
 */
static struct pagescan_filter written_filter(const struct pagescan_tracker *t,
					     const struct pagescan_registration *r, bool is_arming)
{
	struct pagescan_filter filter = {
		.required = PAGESCAN_IS_WRITTEN,
		.report = PAGESCAN_IS_WRITTEN,
	};

	if (!t->process->is_own) {
		filter.any = PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED;
		filter.excluded = t->guard;
		if (r->kind != PAGESCAN_MEMORY_SHARED)
			filter.excluded |= PAGESCAN_IS_PFNZERO;
		if (r->kind == PAGESCAN_MEMORY_PRIVATE_FILE)
			filter.excluded |= PAGESCAN_IS_FILE;
	}
	if (reports_huge(t, r, is_arming))
		filter.report |= PAGESCAN_IS_HUGE;
	return filter;
}

/*
 * Keep WRITTEN alone of the last @got of @n regions, and join neighbours. New
 * number of regions. A scan has joined its own: without other categories, only
 * the first of them can join what was there before.
 */
static size_t join_regions(struct pagescan_region *vec, size_t n, size_t got, bool has_huge)
{
	size_t kept = n - got;

	if (!has_huge && (kept == 0 || vec[kept - 1].end != vec[kept].start))
		return n;
	for (size_t i = kept; i < n; i++) {
		vec[i].categories = PAGESCAN_IS_WRITTEN;
		if (kept > 0 && vec[kept - 1].end == vec[i].start)
			vec[kept - 1].end = vec[i].end;
		else
			vec[kept++] = vec[i];
	}
	return kept;
}

/* Every page that had been armed took a fault when it was written; a huge page, one. */
static uint64_t count_faults(const struct pagescan_region *vec, size_t n, bool has_huge)
{
	uint64_t all = 0, huge = 0;

	for (size_t i = 0; i < n; i++)
		all += vec[i].end - vec[i].start;
	for (size_t i = 0; has_huge && i < n; i++) {
		if (vec[i].categories & PAGESCAN_IS_HUGE)
			huge += vec[i].end - vec[i].start;
	}
	return (all - huge) / pagescan_page_size() + huge / pagescan_huge_size();
}

/*
 * The first pages from @start on that have neither contents nor a mark. Lowers
 * *end to where they begin, or to where there are surely none. 1, 0 or an error.
 */
static int find_hole(struct pagescan_tracker *t, const struct pagescan_registration *r,
		     uint64_t start, uint64_t *end, struct pagescan_region *ret)
{
	const struct pagescan_filter filter = {
		.excluded = PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED,
	};
	const struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = start,
		.end = track_min(*end, start + track_max(HOLE_LOOK, r->page_size)),
		.flags = PAGESCAN_SCAN_CHECK,
	};
	struct pagescan_scan scan;
	int found = pagescan_scan_init(&scan, t->process, &filter, &opts, NULL);

	if (found < 0)
		return found;
	found = (int)pagescan_scan_more(&scan, ret, 1);
	*end = found > 0 ? ret->start : pagescan_scan_get_position(&scan);
	/* Up to the mapping that was replaced there may still be something to collect. */
	return found == -EPERM && *end > start ? 0 : found;
}

/* What this fails to arm has just been replaced, and counts as written once more. */
static void take_hole(struct pagescan_tracker *t, struct pagescan_region *hole, uint32_t scan_flags)
{
	hole->categories = PAGESCAN_IS_WRITTEN;
	if (scan_flags & PAGESCAN_SCAN_PROTECT)
		(void)pagescan_wp_async_fill(t, hole->start, hole->end);
}

/* One step of a scan of [start, end) of one registration. Moves *position. */
static ssize_t scan_step(struct pagescan_tracker *t, const struct pagescan_registration *r,
			 uint64_t start, uint64_t end, uint64_t *position,
			 struct pagescan_region *vec, size_t n, uint32_t scan_flags, bool is_arming)
{
	struct pagescan_filter filter = written_filter(t, r, is_arming);
	struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = r->start,
		.end = end,
		.flags = scan_flags,
	};
	bool has_huge = filter.report & PAGESCAN_IS_HUGE;
	struct pagescan_scan scan;
	ssize_t got = pagescan_scan_init(&scan, t->process, &filter, &opts, NULL);

	if (got < 0)
		return got;
	/* As one that got there: where an earlier one stopped, it cut no huge page. */
	scan.position = start;
	got = pagescan_scan_more(&scan, vec, n);
	*position = pagescan_scan_get_position(&scan);
	if (got > 0 && (scan_flags & PAGESCAN_SCAN_PROTECT)) {
		if (t->was_armed)
			t->cost.n_faults += count_faults(vec, got, has_huge);
		if (has_huge)
			pagescan_huge_note(t, vec, got);
	}
	return got;
}

/* One step through what is left of one registration. Moves *position. */
static ssize_t step(struct pagescan_tracker *t, const struct pagescan_registration *r,
		    uint64_t *position, struct pagescan_region *vec, size_t n, uint32_t scan_flags,
		    bool is_arming)
{
	uint64_t start = track_max(*position, r->start), end = r->end;
	struct pagescan_region hole;
	int found = 0;

	if (must_find_holes(t, r)) {
		found = find_hole(t, r, start, &end, &hole);
		if (found < 0) {
			*position = start;
			return found;
		}
	}
	if (found == 0 || hole.start > start)
		return scan_step(t, r, start, end, position, vec, n, scan_flags, is_arming);
	take_hole(t, &hole, scan_flags);
	vec[0] = hole;
	*position = hole.end;
	return 1;
}

/*
 * One walk over what is registered. A replaced mapping stops the scan, is
 * registered again, and the walk goes on: all of it counts as written, because
 * none of it is armed.
 */
static ssize_t walk(struct pagescan_tracker *t, uint64_t *position, struct pagescan_region *vec,
		    size_t n, uint32_t scan_flags, bool is_arming)
{
	struct pagescan_registration r;
	uint64_t failed_at = UINT64_MAX;
	unsigned tries = 0;
	size_t stored = 0;

	while (stored < n && pagescan_registry_find(&t->process->registry, *position, &r)) {
		ssize_t got =
			step(t, &r, position, vec + stored, n - stored, scan_flags, is_arming);

		if (got > 0)
			stored = join_regions(vec, stored + got, got,
					      reports_huge(t, &r, is_arming));
		if (got == -EPERM) {
			tries = *position == failed_at ? tries + 1 : 0;
			failed_at = *position;
			got = pagescan_named_repair(t, position, tries);
		}
		if (got < 0) {
			t->error = got;
			break;
		}
	}
	if (stored == 0 && t->error < 0) {
		int error = t->error;

		t->error = 0;
		return error;
	}
	return stored;
}

ssize_t pagescan_wp_async_collect(struct pagescan_tracker *t, uint64_t *position,
				  struct pagescan_region *vec, size_t n, uint32_t scan_flags)
{
	return walk(t, position, vec, n, scan_flags, false);
}

int pagescan_wp_async_fill(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct uapi_uffdio_writeprotect wp = {
		.range = {start, end - start},
		.mode = UAPI_UFFDIO_WRITEPROTECT_MODE_WP,
	};

	return ioctl(t->process->registry.uffd, UAPI_UFFDIO_WRITEPROTECT, &wp) < 0 ? -errno : 0;
}

/* Where arming does not tell which pages are huge. */
static int note_huge(struct pagescan_tracker *t, const struct pagescan_registration *r)
{
	const struct pagescan_filter filter = {
		.required = PAGESCAN_IS_HUGE,
		.report = PAGESCAN_IS_HUGE,
	};
	const struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = r->start,
		.end = r->end,
	};
	struct pagescan_scan scan;
	ssize_t n = pagescan_scan_init(&scan, t->process, &filter, &opts, NULL);

	if (n < 0)
		return (int)n;
	while ((n = pagescan_scan_more(&scan, t->buffer, TRACK_BUFFER)) > 0)
		pagescan_huge_note(t, t->buffer, (size_t)n);
	return (int)n;
}

static int note_all_huge(struct pagescan_tracker *t)
{
	struct pagescan_registration r;
	uint64_t position = 0;
	int result = 0;

	for (; result == 0 && pagescan_registry_find(&t->process->registry, position, &r);
	     position = r.end) {
		if (!is_hugetlb(&r))
			result = note_huge(t, &r);
	}
	return result;
}

int pagescan_wp_async_arm(struct pagescan_tracker *t)
{
	uint64_t position = 0;
	ssize_t n;

	do {
		n = walk(t, &position, t->buffer, TRACK_BUFFER,
			 PAGESCAN_SCAN_PROTECT | PAGESCAN_SCAN_CHECK, true);
	} while (n > 0);
	if (n == 0 && is_own_in_era_1(t))
		n = note_all_huge(t);
	if (n == 0)
		t->was_armed = true;
	return n;
}

/* The pieces are aligned, so that their edges cut no huge page. What is gone is passed over. */
void pagescan_wp_async_unarm_mapping(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_registry *registry = &t->process->registry;

	while (start < end) {
		uint64_t next = (start / PAGESCAN_HOLD_ARM + 1) * PAGESCAN_HOLD_ARM;
		struct uapi_uffdio_writeprotect wp = {
			.range = {start, track_min(next, end) - start},
		};
		uint64_t began = pagescan_now_ns();

		(void)ioctl(registry->uffd, UAPI_UFFDIO_WRITEPROTECT, &wp);
		if (!t->process->is_own)
			pagescan_registry_note_hold(registry, began);
		start = next;
	}
}

int pagescan_wp_async_unarm(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_registry *registry = &t->process->registry;
	struct pagescan_mapping m;
	int found;

	while (start < end && (found = pagescan_process_find_mapping(t->process, start, &m)) != 0) {
		if (found < 0)
			return pagescan_track_error(t, found);
		/* Only registering tells whether it is still ours. */
		if (track_touches(&registry->ranges, m.start, track_min(m.end, end)) &&
		    pagescan_registry_enlist(registry, m.start, m.end) == 0)
			pagescan_wp_async_unarm_mapping(t, track_max(m.start, start),
							track_min(m.end, end));
		start = m.end;
	}
	return 0;
}
