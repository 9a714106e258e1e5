/* SPDX-License-Identifier: MIT */
/* What a tracker of another process does not see, and why. */
#include "track/track.h"

#include <errno.h>

static const char *reason_of(const struct pagescan_tracker *t, const struct pagescan_mapping *m)
{
	const struct pagescan_range *range = pagescan_rangeset_find(&t->refused, m->start);

	if (!range || range->start >= m->end)
		return m->flags & PAGESCAN_MAPPING_SHARED
			       ? "shared: writes of other processes are not seen"
			       : NULL;
	switch (range->tag) {
	case EBUSY:
		return "held by a userfaultfd of the program";
	case EPERM:
		return "shared file opened for reading only";
	case EINVAL:
		return "special memory of the kernel or a device";
	default:
		return "the kernel had no memory to track it";
	}
}

static int visit_range(struct pagescan_tracker *t, const struct pagescan_range *range,
		       pagescan_mapping_visitor visit, void *arg)
{
	struct pagescan_mapping m = {.end = range->start};
	int found, r = 0;

	while (r == 0 && (found = pagescan_process_find_mapping(t->process, m.end, &m)) != 0 &&
	       m.start < range->end) {
		const char *reason = found < 0 ? NULL : reason_of(t, &m);

		if (found < 0)
			return pagescan_track_error(t, found);
		if (reason)
			r = visit(&m, reason, arg);
	}
	return r;
}

PAGESCAN_API int pagescan_tracker_visit_untracked(struct pagescan_tracker *t,
						  pagescan_mapping_visitor visit, void *arg)
{
	const struct pagescan_range *range;
	uint64_t at = 0;
	int r = pagescan_track_check(t);

	if (r == 0 && (!visit || t->process->is_own))
		r = -EINVAL;
	if (r == 0)
		r = pagescan_follow_all(t);
	for (; r == 0 && (range = pagescan_rangeset_find(&t->wanted, at)); at = range->end)
		r = visit_range(t, range, visit, arg);
	return r;
}
