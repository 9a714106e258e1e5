/* SPDX-License-Identifier: MIT */
/*
 * Memory that lost its registration behind our back, and may have kept its marks: a
 * page that is written then stays marked as not written. The kernel leaves them where
 * mremap() joins tracked mappings (seen on 6.18.44), and before 6.12.11 on whatever
 * mremap() moves. So what is registered anew is told apart from what still is, and
 * counts as written as a whole.
 */
#include "track/track.h"

#include "base/system.h"
#include "scan/operation.h"

#include <errno.h>

/* Whether all that is mapped in [start, end) is ours: no mapping is looked into for that. */
static bool is_registered(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_operation_kernel operation;
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = UAPI_PM_SCAN_CHECK_WPASYNC,
		.start = start,
		.end = end,
		.category_mask = PAGESCAN_IS_WPALLOWED,
		.category_inverted = PAGESCAN_IS_WPALLOWED,
	};
	uint64_t began = pagescan_now_ns();
	int r;

	pagescan_operation_kernel_init(&operation, t->process->pagemap_fd);
	r = operation.handle.scan(&operation.handle, &arg);
	if (!t->process->is_own)
		pagescan_registry_note_hold(&t->process->registry, began);
	return r != -EPERM;
}

static int find_lost(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct pagescan_mapping m;
	int found, r = 0;

	/* Before the first time, nothing of ours is anywhere. */
	if (!t->was_armed || is_registered(t, start, end))
		return 0;
	while (r == 0 && start < end &&
	       (found = pagescan_process_find_mapping(t->process, start, &m)) != 0) {
		if (found < 0)
			return pagescan_track_error(t, found);
		start = track_max(m.start, start);
		m.end = track_min(m.end, end);
		if (start < end && !is_registered(t, start, m.end))
			r = pagescan_rangeset_add(&t->lost, start, m.end, 0);
		start = m.end;
	}
	return r;
}

/* What could not be registered may be another's: nothing must be taken off that. */
static int forget_if_failed(struct pagescan_tracker *t, int r, uint64_t start, uint64_t end)
{
	if (r < 0)
		(void)pagescan_rangeset_remove(&t->lost, start, end);
	return r;
}

int pagescan_lost_enlist(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	int r = find_lost(t, start, end);

	if (r == 0)
		r = pagescan_registry_enlist(&t->process->registry, start, end);
	return forget_if_failed(t, r, start, end);
}

int pagescan_lost_add(struct pagescan_tracker *t, const struct pagescan_registration *add)
{
	int r = find_lost(t, add->start, add->end);

	if (r == 0)
		r = pagescan_registry_add(&t->process->registry, add);
	if (r == 0)
		r = pagescan_lost_unarm(t);
	return forget_if_failed(t, r, add->start, add->end);
}

int pagescan_lost_unarm(struct pagescan_tracker *t)
{
	const struct pagescan_range *range;
	int r = 0;

	while (r == 0 && (range = pagescan_rangeset_find(&t->lost, 0))) {
		uint64_t start = range->start, end = range->end;

		/* Registering each mapping once more might cut one that has just grown. */
		pagescan_wp_async_unarm_mapping(t, start, end);
		r = pagescan_rangeset_remove(&t->lost, start, end);
	}
	return r;
}
