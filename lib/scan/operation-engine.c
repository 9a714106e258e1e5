/* SPDX-License-Identifier: MIT */
/*
 * The operation, performed here: what PAGEMAP_SCAN does, over a view of memory.
 * Numbers with an R are the rules that a line follows.
 */
#include "scan/operation.h"

#include "base/system.h"
#include "scan/user-memory.h"
#include "scan/view.h"

#include <errno.h>
#include <pagescan/base.h>
#include <stddef.h>

/* R5.6: as many regions are gathered before the walk is left and they are copied out. */
#define N_GATHERED 512

/* One call on its way. */
struct call {
	const struct pagescan_operation_engine *engine;
	struct pagescan_view *view;
	struct uapi_pm_scan_arg arg; /* the caller's, with what it leaves out filled in */
	uint64_t interest;           /* all categories that are asked about */
	bool is_protecting;
	bool has_vector;
	bool is_written_only; /* R6.2 */

	uint64_t n_found;  /* pages, since the call began (R5.4) */
	uint64_t n_copied; /* regions that the caller has */
	uint64_t stopped_at;

	struct pagescan_region gathered[N_GATHERED];
	size_t n_gathered;
	size_t room; /* for regions, before the walk must be left */

	/* Of the mapping that is walked. */
	struct pagescan_view_mapping mapping;
	uint64_t mapping_categories;
};

/* What a step of the walk says, besides negative errnos. */
enum { GO_ON = 0, STOP = 1, SKIP_MAPPING = 2 };

static uint64_t pages_in(uint64_t start, uint64_t end)
{
	return (end - start) / pagescan_page_size();
}

/* R5.1 */
static bool matches(const struct call *call, uint64_t categories)
{
	uint64_t x = categories ^ call->arg.category_inverted;

	if ((x & call->arg.category_mask) != call->arg.category_mask)
		return false;
	return !call->arg.category_anyof_mask || (x & call->arg.category_anyof_mask);
}

static struct pagescan_region *last_gathered(struct call *call)
{
	return call->n_gathered ? &call->gathered[call->n_gathered - 1] : NULL;
}

/* R5.3: the last region goes on, or a new one begins; false if there is no room for one. */
static bool gather(struct call *call, uint64_t start, uint64_t end, uint64_t categories)
{
	struct pagescan_region *last = last_gathered(call);

	if (last && last->end == start && last->categories == categories) {
		last->end = end;
		return true;
	}
	/* What was withdrawn whole has left its place free. */
	if (!last || last->end) {
		if (call->n_gathered == call->room)
			return false;
		last = &call->gathered[call->n_gathered++];
	}
	*last = (struct pagescan_region){start, end, categories};
	return true;
}

/*
 * Report [start, *end), or as much of it as the limits let through: lowers *end
 * (R5.4, R5.5).
 */
static int report(struct call *call, uint64_t start, uint64_t *end, uint64_t categories)
{
	uint64_t n_left = call->arg.max_pages - call->n_found;
	bool is_cut = pages_in(start, *end) > n_left;

	if (!call->has_vector)
		return GO_ON;
	if (is_cut)
		*end = start + n_left * pagescan_page_size();
	if (*end > start && !gather(call, start, *end, categories & call->arg.return_mask)) {
		*end = start;
		is_cut = true;
	}
	call->n_found += pages_in(start, *end);
	if (is_cut)
		call->stopped_at = *end;
	return is_cut ? STOP : GO_ON;
}

/* R7.4, R7.6: as if [start, end), which was reported last, had not been found. */
static void withdraw(struct call *call, uint64_t start, uint64_t end)
{
	struct pagescan_region *last = last_gathered(call);

	if (!last)
		return;
	if (last->start == start)
		*last = (struct pagescan_region){0};
	else
		last->end = start;
	call->n_found -= pages_in(start, end);
}

static bool is_hugetlb(const struct call *call)
{
	return call->mapping.page_size > pagescan_page_size();
}

/* Section 0, R4.7: written is what is not armed, but eras differ over what is not there. */
static bool is_written(const struct call *call, const struct pagescan_entry *entry)
{
	enum pagescan_era era = call->engine->era;
	bool is_tracked = call->mapping.is_uffd_wp;

	if (entry->is_armed || (era == PAGESCAN_ERA_3 && !is_tracked))
		return false;
	switch (entry->kind) {
	case PAGESCAN_ENTRY_HOLE:
		return era != PAGESCAN_ERA_1 && is_tracked && !is_hugetlb(call);
	case PAGESCAN_ENTRY_EMPTY:
		return !is_hugetlb(call) && (era != PAGESCAN_ERA_1 || call->is_written_only);
	default:
		return true;
	}
}

/* Section 4. */
static uint64_t categories_of(const struct call *call, const struct pagescan_entry *entry)
{
	uint64_t categories = call->mapping_categories | entry->categories;

	if (is_written(call, entry))
		categories |= PAGESCAN_IS_WRITTEN;
	/* R4.6: in hugetlb an empty slot is huge, a place without a slot is not. */
	if (entry->size > pagescan_page_size() && entry->kind != PAGESCAN_ENTRY_HOLE)
		categories |= PAGESCAN_IS_HUGE;
	if (entry->kind == PAGESCAN_ENTRY_PRESENT)
		categories |= PAGESCAN_IS_PRESENT;
	if (entry->kind == PAGESCAN_ENTRY_SWAPPED)
		categories |= PAGESCAN_IS_SWAPPED;
	return categories;
}

/*
 * Arm [start, end), which was reported with the result @stops. A mapping that turns
 * out not to be tracked (any more) is as if it had never been (R3.3).
 */
static int protect(struct call *call, uint64_t start, uint64_t end, int stops)
{
	int r = start < end ? call->view->protect(call->view, start, end) : 0;

	if (r != -ENOENT)
		return r < 0 ? r : stops;
	withdraw(call, start, end);
	if (stops == STOP)
		call->stopped_at = 0;
	return call->arg.flags & UAPI_PM_SCAN_CHECK_WPASYNC ? -EPERM : SKIP_MAPPING;
}

/* Entries of a page table. */
static int walk_pages(struct call *call, const struct pagescan_entry *entry)
{
	uint64_t categories = categories_of(call, entry), end = entry->end;
	int stops;

	/* R6.1: without a vector the masks do not matter here. */
	if (call->is_protecting && !call->has_vector)
		return entry->is_armed ? GO_ON : protect(call, entry->start, end, GO_ON);
	if (!matches(call, categories))
		return GO_ON;
	stops = report(call, entry->start, &end, categories);
	if (!call->is_protecting || !(categories & PAGESCAN_IS_WRITTEN))
		return stops;
	return protect(call, entry->start, end, stops);
}

/* R7.3: a hole is armed whenever it matches, and has page tables then. */
static int walk_hole(struct call *call, const struct pagescan_entry *entry)
{
	uint64_t categories = categories_of(call, entry), end = entry->end;
	int stops;

	if (!matches(call, categories))
		return GO_ON;
	stops = report(call, entry->start, &end, categories);
	return call->is_protecting ? protect(call, entry->start, end, stops) : stops;
}

/*
 * A huge page, whole or in part. What limits cut is not armed: hugetlb's is
 * withdrawn, and the walk goes on behind it (R7.6); any other is split, and its
 * pages are looked at one by one (R7.4), which -EAGAIN asks for.
 */
static int walk_huge(struct call *call, const struct pagescan_entry *entry)
{
	uint64_t categories = categories_of(call, entry), end = entry->end;
	int r, stops;

	if (!matches(call, categories))
		return GO_ON;
	stops = report(call, entry->start, &end, categories);
	if (!call->is_protecting || end == entry->start || !(categories & PAGESCAN_IS_WRITTEN))
		return stops;
	if (end - entry->start == entry->size)
		return protect(call, entry->start, end, stops);
	withdraw(call, entry->start, end);
	if (is_hugetlb(call)) {
		call->stopped_at = entry->start;
		return GO_ON;
	}
	r = call->view->split(call->view, entry->start);
	return r < 0 ? r : -EAGAIN;
}

static int walk_entry(struct call *call, const struct pagescan_entry *entry)
{
	if (entry->kind == PAGESCAN_ENTRY_HOLE)
		return walk_hole(call, entry);
	if (entry->size > pagescan_page_size())
		return walk_huge(call, entry);
	return walk_pages(call, entry);
}

/*
 * Whether flags that the view left open matter for @entry. Whose memory it is
 * decides of a hole whether it is written (section 0), and a device's is skipped (R3.2).
 */
static bool needs_flags(const struct call *call, const struct pagescan_entry *entry)
{
	const struct pagescan_view_mapping *mapping = &call->mapping;
	bool is_hole = entry->kind == PAGESCAN_ENTRY_HOLE;
	uint64_t categories = categories_of(call, entry);

	if (!is_hole && entry->kind != PAGESCAN_ENTRY_EMPTY)
		return false;
	if (!mapping->may_be_pfnmap &&
	    !(mapping->may_be_uffd_wp && is_hole && (call->interest & PAGESCAN_IS_WRITTEN)))
		return false;
	return matches(call, categories) || matches(call, categories ^ PAGESCAN_IS_WRITTEN);
}

static int walk_mapping(struct call *call, uint64_t at, uint64_t end)
{
	struct pagescan_entry entry;

	while (at < end) {
		int r = call->view->find_entry(call->view, at, end, call->interest, &entry);

		if (r == 0 && needs_flags(call, &entry)) {
			r = call->view->find_flags(call->view, at, &call->mapping);
			if (call->mapping.is_pfnmap)
				return r;
		}
		if (r == 0)
			r = walk_entry(call, &entry);
		if (r == -EAGAIN)
			continue;
		if (r != GO_ON)
			return r == SKIP_MAPPING ? GO_ON : r;
		at = entry.end;
	}
	return GO_ON;
}

/* R3.3. Whether the mapping that was found is to be walked: 1, 0 or an error. */
static int enter_mapping(struct call *call)
{
	const struct pagescan_view_mapping *mapping = &call->mapping;
	uint64_t allowed = mapping->is_wp_allowed ? PAGESCAN_IS_WPALLOWED : 0;

	if (!allowed && (call->arg.flags & UAPI_PM_SCAN_CHECK_WPASYNC))
		return -EPERM;
	if (mapping->is_pfnmap || (!allowed && call->is_protecting))
		return 0;
	call->mapping_categories = allowed | (mapping->is_soft_dirty ? PAGESCAN_IS_SOFT_DIRTY : 0);
	/* Where no page can match, nothing is armed without a vector either. */
	return !(call->arg.category_mask & PAGESCAN_IS_WPALLOWED) ||
	       ((allowed ^ call->arg.category_inverted) & PAGESCAN_IS_WPALLOWED);
}

static int walk(struct call *call, uint64_t at)
{
	int r = GO_ON;

	while (at < call->arg.end && r == GO_ON) {
		uint64_t end;

		r = call->view->find_mapping(call->view, at, &call->mapping);
		if (r <= 0 || call->mapping.start >= call->arg.end)
			return r < 0 ? r : GO_ON;
		if (at < call->mapping.start)
			at = call->mapping.start;
		end = call->mapping.end < call->arg.end ? call->mapping.end : call->arg.end;
		r = enter_mapping(call);
		if (r > 0)
			r = walk_mapping(call, at, end);
		at = end;
	}
	return r;
}

/* Give the caller what was gathered. */
static int copy_out(struct call *call)
{
	size_t n = call->n_gathered;
	uint64_t to = call->arg.vec + call->n_copied * sizeof(*call->gathered);

	if (n && !call->gathered[n - 1].end)
		n--;
	call->n_gathered = 0;
	if (n && pagescan_copy_to_user(to, call->gathered, n * sizeof(*call->gathered)) < 0)
		return -EFAULT;
	call->n_copied += n;
	return 0;
}

/* R5.7: go on after the walk was left, as long as there is room and more is wanted. */
static int walk_all(struct call *call)
{
	uint64_t at = call->arg.start;
	int r, copied;

	do {
		uint64_t left = call->arg.vec_len - call->n_copied;

		call->room = left < N_GATHERED ? left : N_GATHERED;
		r = walk(call, at);
		copied = copy_out(call);
		if (copied < 0)
			return copied;
		at = call->stopped_at;
	} while (r == STOP && call->n_copied < call->arg.vec_len &&
		 call->n_found != call->arg.max_pages);
	return r < 0 ? r : (int)call->n_copied;
}

static bool is_user_range(const struct pagescan_operation_engine *engine, uint64_t start,
			  uint64_t length)
{
	return start + length >= start && start + length <= engine->memory_end;
}

/* Section 2, in its order. Nothing is written back if this fails (R1.7). */
static int check(const struct pagescan_operation_engine *engine, const struct uapi_pm_scan_arg *arg)
{
	const uint64_t region = sizeof(struct pagescan_region);
	uint64_t masks = arg->category_inverted | arg->category_mask | arg->category_anyof_mask |
			 arg->return_mask;
	uint64_t length;

	if (arg->size != sizeof(*arg))
		return -EINVAL;
	if (arg->flags & ~(UAPI_PM_SCAN_WP_MATCHING | UAPI_PM_SCAN_CHECK_WPASYNC))
		return -EINVAL;
	if (masks & ~engine->categories)
		return -EINVAL;
	if (arg->start % pagescan_page_size())
		return -EINVAL;
	/* R2.7: an end below the start is a range that wraps, and -EFAULT. */
	if (!is_user_range(engine, arg->start, arg->end - arg->start))
		return -EFAULT;
	if (!arg->vec && arg->vec_len)
		return -EINVAL;
	/* R2.10: the product saturates. */
	if (__builtin_mul_overflow(arg->vec_len, region, &length))
		length = UINT64_MAX;
	return arg->vec && !is_user_range(engine, arg->vec, length) ? -EFAULT : 0;
}

static void begin(struct call *call)
{
	struct uapi_pm_scan_arg *arg = &call->arg;
	uint64_t page_size = pagescan_page_size();

	/* R2.12 */
	arg->end = (arg->end + page_size - 1) / page_size * page_size;
	if (!arg->max_pages)
		arg->max_pages = UINT64_MAX;
	call->has_vector = arg->vec_len;
	call->is_protecting = arg->flags & UAPI_PM_SCAN_WP_MATCHING;
	call->interest = arg->category_mask | arg->category_anyof_mask | arg->return_mask;
	if (call->is_protecting)
		call->interest |= PAGESCAN_IS_WRITTEN;
	call->is_written_only = arg->category_mask == PAGESCAN_IS_WRITTEN &&
				arg->return_mask == PAGESCAN_IS_WRITTEN &&
				!arg->category_anyof_mask && !arg->category_inverted;
}

static int engine_scan(struct pagescan_operation_handle *handle, struct uapi_pm_scan_arg *arg)
{
	const struct pagescan_operation_engine *engine =
		(const struct pagescan_operation_engine *)handle;
	struct call call;
	uint64_t walk_end;
	int r;

	call.engine = engine;
	call.view = engine->view;
	call.n_found = call.n_copied = call.stopped_at = call.n_gathered = 0;
	/* R2.1 */
	r = pagescan_copy_from_user(&call.arg, (uintptr_t)arg, sizeof(call.arg));
	if (r == 0)
		r = check(engine, &call.arg);
	if (r < 0)
		return r;
	begin(&call);
	r = walk_all(&call);
	/* Section 8. */
	walk_end = call.stopped_at ? call.stopped_at : call.arg.end;
	if (pagescan_copy_to_user((uintptr_t)arg + offsetof(struct uapi_pm_scan_arg, walk_end),
				  &walk_end, sizeof(walk_end)) < 0)
		return -EFAULT;
	return r;
}

void pagescan_operation_engine_init(struct pagescan_operation_engine *op,
				    struct pagescan_view *view, enum pagescan_era era,
				    uint64_t categories, uint64_t memory_end)
{
	*op = (struct pagescan_operation_engine){
		.handle = {.scan = engine_scan},
		.view = view,
		.era = era,
		.categories = categories,
		.memory_end = memory_end,
	};
}
