/* SPDX-License-Identifier: MIT */
/* A scan in its caller's storage: what a tracker uses, so that collecting allocates nothing. */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include "process/process.h"
#include "scan/operation.h"
#include "scan/plan.h"
#include "scan/probe.h"
#include "scan/view-procfs.h"
#include <pagescan/scan.h>

/* May not be copied or moved: it may point into itself. */
struct pagescan_scan {
	struct pagescan_process *process;
	struct pagescan_operation_handle *operation;
	struct pagescan_operation_kernel kernel;
	struct pagescan_operation_engine engine;
	struct pagescan_view_procfs view;

	struct pagescan_condition condition;
	struct pagescan_plan plan;      /* where nothing is known of the memory */
	struct pagescan_plan anon_plan; /* where it is private and anonymous */
	bool needs_kinds;               /* these two differ */
	bool is_era_1;
	bool is_forced; /* the operation, by the option or the environment */
	uint32_t flags;

	uint64_t start;
	uint64_t end;
	uint64_t position;
	uint64_t max_pages; /* UINT64_MAX: no limit */
	uint64_t n_wanted;  /* how many of them are still wanted */

	/* Up to here one mapping a call, because a call over several of them was refused. */
	uint64_t single_end;
	unsigned n_refused; /* calls in a row whose one mapping had changed when asked for again */
};

/* As pagescan_scan_new(), in place; holds no resources, so there is nothing to release. */
int pagescan_scan_init(struct pagescan_scan *scan, struct pagescan_process *process,
		       const struct pagescan_filter *filter, const struct pagescan_scan_opts *opts,
		       struct pagescan_error *reterr);

/* The same over any operation that can do what @can says. */
int pagescan_scan_init_on(struct pagescan_scan *scan, struct pagescan_process *process,
			  const struct pagescan_filter *filter,
			  const struct pagescan_scan_opts *opts,
			  struct pagescan_operation_handle *operation,
			  const struct pagescan_probed *can, struct pagescan_error *reterr);

/*
 * As pagescan_scan_next(), but 0 also of memory that is gone: who makes many scans
 * need not ask for each what became of the process.
 */
ssize_t pagescan_scan_more(struct pagescan_scan *scan, struct pagescan_region *vec, size_t n);

#endif
