/* SPDX-License-Identifier: MIT */
/* Arming, and handing out what was written. */
#include "track/track.h"

#include <errno.h>
#include <string.h>

PAGESCAN_API int pagescan_tracker_arm(struct pagescan_tracker *t)
{
	int r = pagescan_track_check(t);

	if (r < 0)
		return r;
	t->n_buffered = 0;
	t->error = 0;
	if (!t->process->is_own)
		r = pagescan_follow_all(t);
	if (r == 0)
		r = pagescan_wp_async_arm(t);
	/* A scan of dead memory finds nothing and succeeds (R2.0). */
	return pagescan_track_error(t, r);
}

/* What an earlier visit armed but did not show. */
static ssize_t take_buffered(struct pagescan_tracker *t, struct pagescan_region *vec, size_t n)
{
	n = track_min(n, t->n_buffered - t->n_shown);
	memcpy(vec, &t->buffer[t->n_shown], n * sizeof(*vec));
	t->n_shown += n;
	if (t->n_shown == t->n_buffered)
		t->n_buffered = 0;
	return n;
}

static ssize_t collect(struct pagescan_tracker *t, uint64_t *cursor, struct pagescan_region *vec,
		       size_t n, uint32_t flags)
{
	uint32_t scan_flags =
		PAGESCAN_SCAN_CHECK | (flags & PAGESCAN_COLLECT_REARM ? PAGESCAN_SCAN_PROTECT : 0);
	ssize_t r = t->error;

	if (r < 0) {
		t->error = 0;
		return r;
	}
	if (*cursor == 0 && !t->process->is_own)
		r = pagescan_follow_all(t);
	if (r == 0)
		r = pagescan_wp_async_collect(t, cursor, vec, n, scan_flags);
	if (r > 0)
		return r;
	r = pagescan_track_error(t, r);
	if (r == 0) {
		*cursor = 0;
		if (flags & PAGESCAN_COLLECT_REARM)
			t->was_armed = true;
	}
	return r;
}

static int check_collect(const struct pagescan_tracker *t, uint32_t flags)
{
	if (flags & ~PAGESCAN_COLLECT_REARM)
		return -EINVAL;
	return pagescan_track_check(t);
}

PAGESCAN_API ssize_t pagescan_tracker_collect(struct pagescan_tracker *t, uint64_t *cursor,
					      struct pagescan_region *vec, size_t n, uint32_t flags)
{
	int r = check_collect(t, flags);

	if (r < 0)
		return r;
	if (!cursor || !vec || n == 0)
		return -EINVAL;
	if (t->n_buffered)
		return take_buffered(t, vec, n);
	return collect(t, cursor, vec, n, flags);
}

/* Show what is in the buffer. What the visitor does not take stays there. */
static int show(struct pagescan_tracker *t, pagescan_region_visitor visit, void *arg)
{
	while (t->n_shown < t->n_buffered) {
		struct pagescan_region region = t->buffer[t->n_shown++];
		int r = visit(&region, arg);

		if (r != 0)
			return r;
	}
	return 0;
}

PAGESCAN_API int pagescan_tracker_visit(struct pagescan_tracker *t, uint32_t flags,
					pagescan_region_visitor visit, void *arg)
{
	uint64_t cursor = 0;
	int r = check_collect(t, flags);

	if (r < 0)
		return r;
	if (!visit)
		return -EINVAL;
	r = show(t, visit, arg);
	while (r == 0) {
		ssize_t n = collect(t, &cursor, t->buffer, TRACK_BUFFER, flags);

		t->n_buffered = 0;
		if (n <= 0)
			return n;
		t->n_shown = 0;
		t->n_buffered = n;
		t->must_show = flags & PAGESCAN_COLLECT_REARM;
		r = show(t, visit, arg);
	}
	if (t->n_shown == t->n_buffered || !t->must_show)
		t->n_buffered = 0;
	return r;
}
