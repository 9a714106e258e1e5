/* SPDX-License-Identifier: MIT */
/*
 * What looking at a process's memory entry by entry takes: a buffer, and the files
 * that tell more than the entries do. Got when it is first needed, kept until the process is
 * closed, so that scans hold nothing.
 */
#ifndef PROCESS_PROCFS_H
#define PROCESS_PROCFS_H

#include "process/smaps.h"

/* 64 KiB: reading more at a time is not faster. The entries of 16 huge pages. */
#define PAGESCAN_PROCFS_N_ENTRIES 8192

struct pagescan_procfs {
	uint64_t *entries; /* NULL: not got yet */
	struct pagescan_smaps smaps;
	int kpageflags_fd;   /* -1: not permitted */
	uint64_t zero_frame; /* of the zero page; 0: frames are hidden (R11.2) */
};

/* 0 or -ENOMEM. */
int pagescan_procfs_get(struct pagescan_procfs *procfs);

void pagescan_procfs_close(struct pagescan_procfs *procfs);

/* The frame of a page that was read and never written, or 0. */
uint64_t pagescan_find_zero_frame(void);

#endif
