/* SPDX-License-Identifier: MIT */
/* A scan in its caller's storage: what a tracker uses, so that collecting allocates nothing. */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include "process/process.h"
#include "scan/operation.h"
#include <pagescan/scan.h>

struct pagescan_scan {
	struct pagescan_process *process;
	uint64_t position;
};

/* As pagescan_scan_new(), in place; holds no resources, so there is nothing to release. */
int pagescan_scan_init(struct pagescan_scan *scan, struct pagescan_process *process,
		       const struct pagescan_filter *filter, const struct pagescan_scan_opts *opts,
		       struct pagescan_error *reterr);

#endif
