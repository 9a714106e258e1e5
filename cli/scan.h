/* SPDX-License-Identifier: MIT */
/* pagescan scan: what its two ways of answering share. */
#ifndef CLI_SCAN_H
#define CLI_SCAN_H

#include "cli.h"
#include "output.h"
#include "walk.h"

struct scan_job {
	struct output out;
	struct pagescan_process *process;
	struct pagescan_scan *scan;
	struct walk walk;
	uint64_t report;
	uint64_t start;
	uint64_t end; /* 0: the end of memory */
	uint64_t page_size;
};

/* Called for each part of a region that lies in one mapping, job->walk.mapping. */
typedef int (*scan_visitor)(struct scan_job *job, const struct pagescan_region *piece, void *arg);

/* 0, or a negative errno: of the scan, of the walk, or of @visit. */
int scan_for_each(struct scan_job *job, scan_visitor visit, void *arg);

/* One row a mapping. 0 or a negative errno. */
int scan_summarize(struct scan_job *job);

#endif
