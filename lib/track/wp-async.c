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

/* Own memory is collected with the kernel's fastest mask, which tells nothing else. */
static bool reports_huge(const struct pagescan_tracker *t, const struct pagescan_registration *r,
			 bool is_arming)
{
	return r->page_size == pagescan_page_size() && (is_arming || !t->process->is_own);
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

/* One step of a scan of what is left of one registration. Moves *position. */
static ssize_t scan_step(struct pagescan_tracker *t, const struct pagescan_registration *r,
			 uint64_t *position, struct pagescan_region *vec, size_t n,
			 uint32_t scan_flags, bool is_arming)
{
	struct pagescan_filter filter = written_filter(t, r, is_arming);
	struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = track_max(*position, r->start),
		.end = r->end,
		.flags = scan_flags,
	};
	bool has_huge = filter.report & PAGESCAN_IS_HUGE;
	struct pagescan_scan scan;
	ssize_t got = pagescan_scan_init(&scan, t->process, &filter, &opts, NULL);

	if (got < 0)
		return got;
	got = pagescan_scan_next(&scan, vec, n);
	*position = pagescan_scan_get_position(&scan);
	if (got > 0 && (scan_flags & PAGESCAN_SCAN_PROTECT)) {
		if (t->was_armed)
			t->cost.n_faults += count_faults(vec, got, has_huge);
		if (has_huge)
			pagescan_huge_note(t, vec, got);
	}
	return got;
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
			scan_step(t, &r, position, vec + stored, n - stored, scan_flags, is_arming);

		if (got > 0)
			stored = join_regions(vec, stored + got, got,
					      reports_huge(t, &r, is_arming));
		if (got == -EPERM) {
			tries = *position == failed_at ? tries + 1 : 0;
			failed_at = *position;
			got = pagescan_follow_repair(t, position, tries);
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

/*
 * Era 1 scans do not match holes, so they would not arm them (R7.3). What this
 * fails to arm, a replaced mapping or hugetlb, only counts as written when it is
 * first read: nothing is lost.
 */
static void fill_holes(struct pagescan_tracker *t)
{
	struct pagescan_registration r;
	uint64_t position = 0;

	for (; pagescan_registry_find(&t->process->registry, position, &r); position = r.end) {
		if (r.page_size == pagescan_page_size())
			(void)pagescan_wp_async_fill(t, r.start, r.end);
	}
}

int pagescan_wp_async_arm(struct pagescan_tracker *t)
{
	uint64_t position = 0;
	ssize_t n;

	if (t->process->is_own && t->era == PAGESCAN_ERA_1)
		fill_holes(t);
	do {
		n = walk(t, &position, t->buffer, TRACK_BUFFER,
			 PAGESCAN_SCAN_PROTECT | PAGESCAN_SCAN_CHECK, true);
	} while (n > 0);
	if (n == 0)
		t->was_armed = true;
	return n;
}
