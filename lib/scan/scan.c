/* SPDX-License-Identifier: MIT */
/* Preparing a scan: what is asked, of what, and whether that can be. */
#include "scan/scan.h"

#include "base/error.h"
#include "base/system.h"
#include "process/mapping.h"
#include "scan/choose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* All conditions of @filter in one. */
static void filter_to_condition(const struct pagescan_filter *filter, struct pagescan_condition *c)
{
	struct pagescan_condition any;

	pagescan_condition_set_cube(c, filter->required, filter->excluded);
	if (filter->any) {
		pagescan_condition_set_cube(&any, 0, filter->any);
		pagescan_condition_not(&any);
		pagescan_condition_and(c, &any);
	}
	if (filter->where)
		pagescan_condition_and(c, &filter->where->condition);
}

static int set_range(struct pagescan_scan *scan, const struct pagescan_scan_opts *opts,
		     uint64_t memory_end, struct pagescan_error *reterr)
{
	uint64_t page_size = pagescan_page_size();

	if (opts->start % page_size)
		return pagescan_error_set(reterr, -EINVAL,
					  "the range starts at 0x%llx, which is not a multiple of "
					  "the page size",
					  (unsigned long long)opts->start);
	if (opts->end && opts->end < opts->start)
		return pagescan_error_set(
			reterr, -EINVAL, "the range ends at 0x%llx, before its start at 0x%llx",
			(unsigned long long)opts->end, (unsigned long long)opts->start);
	scan->end = memory_end;
	/* Beyond the end of user memory there is nothing, and the kernel refuses (R2.7). */
	if (opts->end && opts->end < memory_end)
		scan->end = (opts->end + page_size - 1) / page_size * page_size;
	scan->start = scan->position = opts->start;
	return 0;
}

static int check_categories(const struct pagescan_filter *filter, uint64_t available,
			    struct pagescan_error *reterr)
{
	uint64_t missing = filter->required | filter->excluded | filter->any | filter->report;

	if (filter->where)
		missing |= pagescan_expr_get_categories(filter->where);
	missing &= ~available;
	if (!missing)
		return 0;
	return pagescan_error_set(reterr, -EOPNOTSUPP,
				  "this kernel does not tell the category '%s' of a page",
				  pagescan_category_name(missing & -missing));
}

static void set_populated(struct pagescan_condition *c)
{
	pagescan_condition_set_cube(c, 0, PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED);
	pagescan_condition_not(c);
}

/*
 * What is protected must be known to be written, or the kernel protects nothing
 * (R7.2). In another process's memory, pages that are not there are passed over:
 * protecting those would make page tables where it had none.
 */
static int restrict_to_protectable(struct pagescan_scan *scan, struct pagescan_error *reterr)
{
	struct pagescan_condition written, populated;

	pagescan_condition_set_category(&written, PAGESCAN_IS_WRITTEN);
	if (!pagescan_condition_implies(&scan->condition, &written))
		return pagescan_error_set(reterr, -EINVAL,
					  "pages that are not 'written' cannot be protected: the "
					  "filter must require it");
	if (scan->process->is_own)
		return 0;
	set_populated(&populated);
	pagescan_condition_and(&scan->condition, &populated);
	return 0;
}

/*
 * In era 1 an empty page is written for the written-only path and not for the
 * generic one (section 0). So that the answer does not depend on what kind of
 * memory it is about: a question for written pages alone, which asks to be told
 * nothing else, takes the one path everywhere, and any other question the other.
 */
static void make_plans(struct pagescan_scan *scan, uint64_t report)
{
	uint64_t tracked = scan->flags ? PAGESCAN_IS_WPALLOWED : 0;

	pagescan_plan_make(&scan->plan, &scan->condition, report, tracked, 0, true);
	if (!((scan->plan.mask | scan->plan.anyof | scan->plan.returned) & PAGESCAN_IS_FILE))
		return;
	scan->needs_kinds = true;
	pagescan_plan_make(&scan->anon_plan, &scan->condition, report, tracked, PAGESCAN_IS_FILE,
			   !scan->is_era_1);
}

static int copy_opts(struct pagescan_scan_opts *ours, const struct pagescan_scan_opts *opts,
		     struct pagescan_error *reterr)
{
	int r = pagescan_opts_copy(ours, sizeof(*ours), opts, sizeof(ours->size));

	if (r < 0)
		return pagescan_error_set(reterr, r,
					  "options of a scan that this library does not know");
	return 0;
}

static int check_opts(const struct pagescan_scan_opts *opts, const struct pagescan_filter *filter,
		      struct pagescan_error *reterr)
{
	if (opts->flags & ~(PAGESCAN_SCAN_PROTECT | PAGESCAN_SCAN_CHECK))
		return pagescan_error_set(reterr, -EINVAL, "a scan has no such flags: 0x%x",
					  opts->flags);
	if ((filter->required | filter->excluded | filter->any | filter->report) &
	    ~PAGESCAN_ALL_CATEGORIES)
		return pagescan_error_set(reterr, -EINVAL, "the filter names unknown categories");
	return 0;
}

int pagescan_scan_init_on(struct pagescan_scan *scan, struct pagescan_process *process,
			  const struct pagescan_filter *filter,
			  const struct pagescan_scan_opts *opts,
			  struct pagescan_operation_handle *operation,
			  const struct pagescan_probed *can, struct pagescan_error *reterr)
{
	struct pagescan_scan_opts ours;
	int r = copy_opts(&ours, opts, reterr);

	if (r < 0)
		return r;
	r = check_opts(&ours, filter, reterr);
	if (r < 0)
		return r;
	scan->process = process;
	scan->operation = operation;
	scan->is_era_1 = can->capabilities.era == PAGESCAN_ERA_1;
	scan->needs_kinds = false;
	scan->flags = ours.flags;
	scan->max_pages = scan->n_wanted = ours.max_pages ? ours.max_pages : UINT64_MAX;
	scan->single_end = 0;
	scan->n_refused = 0;
	filter_to_condition(filter, &scan->condition);
	r = set_range(scan, &ours, can->memory_end, reterr);
	if (r == 0)
		r = check_categories(filter, can->capabilities.categories, reterr);
	if (r == 0 && (ours.flags & PAGESCAN_SCAN_PROTECT))
		r = restrict_to_protectable(scan, reterr);
	if (r == 0)
		make_plans(scan, filter->report);
	return r;
}

/* Its operation, as far as it is known from what was asked. */
static int init_chosen(struct pagescan_scan *scan, struct pagescan_process *process,
		       const struct pagescan_filter *filter, const struct pagescan_scan_opts *opts,
		       const struct pagescan_choice *choice, struct pagescan_error *reterr)
{
	const struct pagescan_capabilities *can = &choice->can.capabilities;
	struct pagescan_operation_handle *operation = &scan->kernel.handle;
	int r = 0;

	if (choice->operation == PAGESCAN_OPERATION_ENGINE) {
		r = pagescan_view_procfs_init(&scan->view, process, can->era);
		pagescan_operation_engine_init(&scan->engine, &scan->view.view, can->era,
					       can->categories, choice->can.memory_end);
		operation = &scan->engine.handle;
	} else {
		pagescan_operation_kernel_init(&scan->kernel, process->pagemap_fd);
	}
	if (r < 0)
		return pagescan_error_set(reterr, r, "out of memory");
	return pagescan_scan_init_on(scan, process, filter, opts, operation, &choice->can, reterr);
}

/*
 * Era 1 says of pages that are not there that they were not written, but in its
 * written-only path (section 0). Whether that may make the answer wrong; a scan
 * that protects must remain one step.
 */
static bool is_unsound(const struct pagescan_scan *scan, uint64_t report)
{
	struct pagescan_condition populated;

	if (!scan->is_era_1 || scan->flags || scan->plan.is_fast || scan->plan.is_never)
		return false;
	if (!((pagescan_condition_depends(&scan->condition) | report) & PAGESCAN_IS_WRITTEN))
		return false;
	set_populated(&populated);
	return !pagescan_condition_implies(&scan->condition, &populated);
}

int pagescan_scan_init(struct pagescan_scan *scan, struct pagescan_process *process,
		       const struct pagescan_filter *filter, const struct pagescan_scan_opts *opts,
		       struct pagescan_error *reterr)
{
	struct pagescan_scan_opts ours;
	struct pagescan_choice choice;
	int r;

	if (!process || !filter)
		return pagescan_error_set(reterr, -EINVAL, "a scan needs a process and a filter");
	r = copy_opts(&ours, opts, reterr);
	if (r == 0)
		r = pagescan_operation_choose(ours.operation, &choice, reterr);
	if (r == 0)
		r = init_chosen(scan, process, filter, opts, &choice, reterr);
	scan->is_forced = r == 0 && choice.is_forced;
	return r;
}

int pagescan_scan_new(struct pagescan_process *process, const struct pagescan_filter *filter,
		      const struct pagescan_scan_opts *opts, struct pagescan_scan **ret,
		      struct pagescan_error *reterr)
{
	struct pagescan_scan_opts ours;
	struct pagescan_scan *scan;
	int r;

	if (!ret)
		return pagescan_error_set(reterr, -EINVAL, "a scan needs a place to be stored");
	scan = malloc(sizeof(*scan));
	if (!scan)
		return pagescan_error_set(reterr, -ENOMEM, "out of memory");
	r = pagescan_scan_init(scan, process, filter, opts, reterr);
	if (r == 0 && !scan->is_forced && is_unsound(scan, filter->report)) {
		r = copy_opts(&ours, opts, reterr);
		ours.operation = PAGESCAN_OPERATION_ENGINE;
		if (r == 0)
			r = pagescan_scan_init(scan, process, filter, &ours, reterr);
	}
	if (r == 0)
		pagescan_maps_reader_begin(process->maps);
	if (r < 0) {
		free(scan);
		return r;
	}
	*ret = scan;
	return 0;
}

void pagescan_scan_free(struct pagescan_scan *scan)
{
	free(scan);
}

uint64_t pagescan_scan_get_position(const struct pagescan_scan *scan)
{
	return scan->position;
}
