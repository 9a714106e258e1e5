/* SPDX-License-Identifier: MIT */
/*
 * Going through a range call by call. Each step makes one call or two, and leaves
 * the scan's position where everything below was looked at and delivered.
 */
#include "base/system.h"
#include "scan/window.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* Regions to look at before protecting some of them: enough to pass over many at a time. */
#define N_LOOK 64

/*
 * At most as many regions for one protecting call. Each is marked before, so a
 * little for a start (a clean range needs none), and then little against the
 * cost of filling them.
 */
#define N_ARM_FIRST 512
#define N_ARM       4096

/* The caller's array, and how far it is filled. */
struct output {
	struct pagescan_region *vec;
	size_t n;
	size_t size;
};

static bool is_limited(const struct pagescan_scan *scan)
{
	return scan->max_pages != UINT64_MAX;
}

/* The operation on [start, end) of @arg, with the masks of @plan. */
static int operate(struct pagescan_scan *scan, const struct pagescan_plan *plan,
		   struct uapi_pm_scan_arg *arg)
{
	uint64_t began;
	int r;

	arg->size = sizeof(*arg);
	arg->category_inverted = plan->inverted;
	arg->category_mask = plan->mask;
	arg->category_anyof_mask = plan->anyof;
	arg->return_mask = plan->returned;
	/* Protecting checks in any case: a mapping that was replaced is not ours to touch. */
	if (scan->flags)
		arg->flags |= UAPI_PM_SCAN_CHECK_WPASYNC;
	if (scan->process->is_own)
		return scan->operation->scan(scan->operation, arg);
	began = pagescan_now_ns();
	r = scan->operation->scan(scan->operation, arg);
	pagescan_registry_note_hold(&scan->process->registry, began);
	return r;
}

/*
 * Up to where a call that stored @n regions looked at everything. walk_end may be
 * stale or go backwards (R5.6, R5.9, R7.6); but a call that had room left, for
 * regions and for pages, has finished its range, and any other has at least
 * come to the end of its last region.
 */
static uint64_t resume_at(const struct uapi_pm_scan_arg *arg, size_t n)
{
	const struct pagescan_region *vec = (const struct pagescan_region *)(uintptr_t)arg->vec;
	uint64_t n_pages = 0;

	for (size_t i = 0; arg->max_pages && i < n; i++)
		n_pages += (vec[i].end - vec[i].start) / pagescan_page_size();
	if (n < arg->vec_len && (!arg->max_pages || n_pages < arg->max_pages))
		return arg->end;
	return pagescan_max(pagescan_min(arg->walk_end, arg->end), n ? vec[n - 1].end : arg->start);
}

static bool joins(const struct pagescan_region *a, const struct pagescan_region *b)
{
	return a->end == b->start && a->categories == b->categories;
}

/* Whether there was room. Always so for regions that stand behind the output themselves. */
static bool put(struct output *out, struct pagescan_region region)
{
	if (out->n && joins(&out->vec[out->n - 1], &region)) {
		out->vec[out->n - 1].end = region.end;
		return true;
	}
	if (out->n == out->size)
		return false;
	out->vec[out->n++] = region;
	return true;
}

/* Take over @n regions that the kernel stored behind the output, and that need no change. */
static void accept_plain(struct output *out, size_t n)
{
	struct pagescan_region *first = &out->vec[out->n];

	if (n && out->n && joins(first - 1, first)) {
		first[-1].end = first->end;
		n--;
		memmove(first, first + 1, n * sizeof(*first));
	}
	out->n += n;
}

static bool matches(const struct pagescan_scan *scan, const struct pagescan_plan *plan,
		    const struct pagescan_region *region)
{
	return plan->is_exact ||
	       pagescan_condition_matches(&scan->condition, region->categories | plan->implied);
}

/*
 * Take over what matches of @n regions that the kernel stored at @from, which is
 * behind the output or elsewhere. What was armed is delivered whatever it is.
 * Returns up to where that was done: @resume, or before it if no more are wanted
 * or there is no more room.
 */
static uint64_t accept(struct pagescan_scan *scan, const struct pagescan_window *w,
		       struct output *out, const struct pagescan_region *from, size_t n,
		       uint64_t resume)
{
	uint64_t page_size = pagescan_page_size();

	if (w->plan->is_plain && !is_limited(scan)) {
		accept_plain(out, n);
		return resume;
	}
	for (size_t i = 0; i < n; i++) {
		struct pagescan_region region = from[i];
		uint64_t n_pages = (region.end - region.start) / page_size;

		if (!w->is_armed && !matches(scan, w->plan, &region))
			continue;
		n_pages = pagescan_min(n_pages, scan->n_wanted);
		region.end = region.start + n_pages * page_size;
		region.categories = (region.categories | w->plan->implied) & w->plan->reported;
		if (!put(out, region))
			return region.start;
		if (is_limited(scan))
			scan->n_wanted -= n_pages;
		if (scan->n_wanted == 0)
			return region.end;
	}
	return resume;
}

static struct pagescan_region *room(const struct output *out, size_t *ret_n)
{
	*ret_n = pagescan_min(out->size - out->n, INT_MAX);
	return &out->vec[out->n];
}

/*
 * Look at @w, straight into the output; but if much of what comes is not wanted
 * and there is little room, by way of an array of our own.
 */
static int step_look(struct pagescan_scan *scan, const struct pagescan_window *w,
		     struct output *out)
{
	struct pagescan_region found[N_LOOK], *vec;
	struct uapi_pm_scan_arg arg = {.start = w->start, .end = w->end};
	size_t n;
	int r;

	vec = room(out, &n);
	if (!w->plan->is_exact && n < N_LOOK) {
		vec = found;
		n = N_LOOK;
	}
	arg.vec = (uintptr_t)vec;
	arg.vec_len = n;
	if (is_limited(scan) && w->plan->is_exact)
		arg.max_pages = scan->n_wanted;
	r = operate(scan, w->plan, &arg);
	if (r < 0)
		return r == -EPERM ? pagescan_window_refuse(scan, w) : r;
	scan->position = accept(scan, w, out, vec, (size_t)r, resume_at(&arg, (size_t)r));
	return 1;
}

/* How many regions a call stored that failed: its count is lost (R1.8), what it armed is not. */
static size_t count_stored(const struct pagescan_region *vec, size_t n)
{
	size_t i = 0;

	while (i < n && vec[i].end)
		i++;
	return i;
}

/*
 * Protect what matches in [@start, @end) of @w, straight into the output. What a
 * failing call has armed is delivered, and then the call is made again from
 * there: its error comes when it has nothing to deliver.
 */
static int step_arm(struct pagescan_scan *scan, const struct pagescan_window *w, uint64_t start,
		    uint64_t end, struct output *out)
{
	struct uapi_pm_scan_arg arg = {
		.start = start, .end = end, .flags = UAPI_PM_SCAN_WP_MATCHING};
	struct pagescan_region *vec;
	uint64_t resume = start;
	size_t n, n_stored;
	int r;

	vec = room(out, &n);
	n = pagescan_min(n, out->n < N_ARM_FIRST ? N_ARM_FIRST : N_ARM);
	n = pagescan_min(n, (end - start) / pagescan_page_size());
	for (size_t i = 0; i < n; i++)
		vec[i].end = 0;
	arg.vec = (uintptr_t)vec;
	arg.vec_len = n;
	r = operate(scan, w->plan, &arg);
	n_stored = r < 0 ? count_stored(vec, n) : (size_t)r;
	if (r == -EPERM && n_stored == 0)
		return pagescan_window_refuse(scan, w);
	if (r >= 0)
		resume = resume_at(&arg, n_stored);
	else if (n_stored)
		resume = vec[n_stored - 1].end;
	scan->position = accept(scan, w, out, vec, n_stored, resume);
	return r >= 0 || r == -EPERM ? 1 : r;
}

/* 1 if the page is part of a huge one, 0 if not. */
static int is_huge(struct pagescan_scan *scan, uint64_t address)
{
	static const struct pagescan_plan huge = {.mask = PAGESCAN_IS_HUGE};
	struct pagescan_region region;
	struct uapi_pm_scan_arg arg = {
		.start = address,
		.end = address + pagescan_page_size(),
		.vec = (uintptr_t)&region,
		.vec_len = 1,
	};

	return operate(scan, &huge, &arg);
}

/*
 * Where to stop in @region if @n_pages are wanted. A huge page that this would
 * cut is left alone: the kernel would split it, or pass it over unprotected
 * (R7.4, R7.6).
 */
static int cut_region(struct pagescan_scan *scan, const struct pagescan_window *w,
		      const struct pagescan_region *region, uint64_t n_pages, uint64_t *ret)
{
	uint64_t cut = region->end, block;
	int r = 0;

	if (n_pages < (region->end - region->start) / pagescan_page_size())
		cut = region->start + n_pages * pagescan_page_size();
	block = pagescan_align_down(cut, w->unit);
	/* The range itself may cut it. */
	if (cut < region->end && block < cut && block >= w->start && block + w->unit <= w->end)
		r = is_huge(scan, cut);
	if (r < 0)
		return r;
	*ret = r ? pagescan_max(block, region->start) : cut;
	return 0;
}

/* The first run of pages among @n regions that match, no longer than is wanted. All 0: none. */
static int find_run(struct pagescan_scan *scan, const struct pagescan_window *w,
		    const struct pagescan_region *found, size_t n, struct pagescan_region *run)
{
	uint64_t n_wanted = scan->n_wanted;
	int r;

	*run = (struct pagescan_region){0};
	for (size_t i = 0; i < n; i++) {
		bool is_wanted = matches(scan, w->plan, &found[i]);

		if (run->end && (!is_wanted || found[i].start != run->end))
			break;
		if (!is_wanted)
			continue;
		if (!run->end)
			run->start = found[i].start;
		r = cut_region(scan, w, &found[i], n_wanted, &run->end);
		if (r < 0)
			return r;
		if (run->end < found[i].end)
			break;
		n_wanted -= (found[i].end - found[i].start) / pagescan_page_size();
	}
	return 0;
}

/* The end of a call in another process, of which no more than @size may be held: a huge page must.
 */
static uint64_t bound(const struct pagescan_window *w, uint64_t start, uint64_t end, uint64_t size)
{
	return pagescan_min(end, pagescan_next_multiple(start, pagescan_max(size, w->unit)));
}

/*
 * Look first, and then protect where something was found: where one call cannot
 * do both because the kernel cannot tell the condition or must not reach the
 * limit; and in another process, whose memory lock one call may hold only so
 * long. A page that is written in between is not lost: it matches now or the
 * next time. One that matched and changed is still armed only if the masks of
 * the plan, which are the nearest to the condition that the kernel can tell,
 * hold of it, and is reported then as what it is now.
 */
static int step_find_and_arm(struct pagescan_scan *scan, const struct pagescan_window *w,
			     struct output *out)
{
	struct pagescan_region found[N_LOOK], run;
	struct uapi_pm_scan_arg arg = {.start = w->start, .end = w->end, .vec = (uintptr_t)found};
	bool is_whole = w->plan->is_exact && !is_limited(scan);
	bool is_own = scan->process->is_own;
	int r, n;

	if (!is_own)
		arg.end = bound(w, w->start, w->end, pagescan_window_look(w->plan));
	arg.vec_len = is_whole ? 1 : N_LOOK;
	r = operate(scan, w->plan, &arg);
	n = r;
	if (r >= 0)
		r = find_run(scan, w, found, (size_t)n, &run);
	if (r < 0)
		return r == -EPERM ? pagescan_window_refuse(scan, w) : r;
	if (!run.end) {
		scan->position = resume_at(&arg, (size_t)n);
		return 1;
	}
	if (run.start == run.end) {
		scan->position = run.start;
		if (scan->n_wanted == scan->max_pages)
			return -EMSGSIZE;
		scan->n_wanted = 0;
		return 1;
	}
	if (is_whole) {
		run.start = pagescan_max(w->start, pagescan_align_down(run.start, w->unit));
		run.end = w->end;
	}
	if (!is_own)
		run.end = bound(w, run.start, run.end, PAGESCAN_HOLD_ARM);
	return step_arm(scan, w, run.start, run.end, out);
}

/* No page matches where the check succeeds: all are wp-allowed there. */
static const struct pagescan_plan check_only = {
	.mask = PAGESCAN_IS_WPALLOWED, .inverted = PAGESCAN_IS_WPALLOWED, .is_exact = true};

/* 1 to go on, 0 at the end of the range, or an error. */
static int step(struct pagescan_scan *scan, struct output *out)
{
	struct pagescan_window w;
	int r = pagescan_window_find(scan, out->size - out->n, &w);

	if (r <= 0)
		return r;
	if (w.plan->is_never && !(scan->flags & PAGESCAN_SCAN_CHECK)) {
		scan->position = w.end;
		return 1;
	}
	if (w.plan->is_never)
		w = (struct pagescan_window){w.start, w.end, &check_only, false, w.unit};
	if (!w.is_armed)
		return step_look(scan, &w, out);
	if (scan->process->is_own && w.plan->is_exact && !is_limited(scan))
		return step_arm(scan, &w, w.start, w.end, out);
	return step_find_and_arm(scan, &w, out);
}

ssize_t pagescan_scan_more(struct pagescan_scan *scan, struct pagescan_region *vec, size_t n)
{
	struct output out = {.vec = vec, .size = n};
	int r = 1;

	while (r > 0 && out.n < out.size && scan->n_wanted > 0)
		r = step(scan, &out);
	if (out.n)
		return (ssize_t)out.n;
	return r < 0 ? r : 0;
}

ssize_t pagescan_scan_next(struct pagescan_scan *scan, struct pagescan_region *vec, size_t n)
{
	ssize_t r;

	if (!scan || !vec || n == 0)
		return -EINVAL;
	r = pagescan_scan_more(scan, vec, n);
	/* Of memory that is gone some kernels tell nothing, without an error (R2.0). */
	if (r == 0 && !scan->process->is_own &&
	    pagescan_process_get_state(scan->process) != PAGESCAN_PROCESS_RUNNING)
		return -ESRCH;
	return r;
}
