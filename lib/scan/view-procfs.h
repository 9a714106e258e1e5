/* SPDX-License-Identifier: MIT */
/*
 * The view of what a kernel tells that lacks the operation, or denies it: entries of
 * pagemap, maps, smaps, kpageflags where permitted, and what we registered ourselves.
 * What cannot be seen that way:
 *
 *   - Whether a page table exists in which all is empty: taken as if it did not. One
 *     surely does if any entry of the same block is not empty.
 *   - Registrations that are not ours: nothing is WPALLOWED there.
 *   - Which pages huge entries map: only where the totals of smaps leave no choice,
 *     that is, where there are as many candidates as they say. Else none is HUGE.
 *   - Without frame numbers (R11.2), the zero page: no page is PFNZERO then.
 *   - In hugetlb, missing tables, migration, and soft-dirty bits of entries (R11.4).
 *
 * smaps is read where nothing else decides, and once for addresses that rise: what is
 * HUGE was so at one moment since pagescan_view_procfs_init().
 */
#ifndef SCAN_VIEW_PROCFS_H
#define SCAN_VIEW_PROCFS_H

#include "process/process.h"
#include "scan/view.h"
#include <pagescan/scan.h>

/* Which blocks of a mapping huge entries map, of those that could be. */
enum pagescan_huge_blocks {
	PAGESCAN_HUGE_UNASKED,
	PAGESCAN_HUGE_NONE,
	PAGESCAN_HUGE_ZERO, /* those of the huge zero page, which no total counts */
	PAGESCAN_HUGE_ALL
};

struct pagescan_view_procfs {
	struct pagescan_view view;
	struct pagescan_process *process; /* borrowed */
	enum pagescan_era era;

	/* Of the mapping that was found last. */
	struct pagescan_view_mapping mapping;
	bool is_anon; /* FILE is never said of it */
	enum pagescan_huge_blocks huge_blocks;
	uint64_t split_block; /* is not huge any more; UINT64_MAX: none */

	/* What process->procfs.entries holds. */
	uint64_t first;
	size_t n;
	size_t n_ahead; /* as many are read next; whole blocks */

	/* The block that was last asked for its page table, or UINT64_MAX. */
	uint64_t table_block;
	bool has_table;
};

/* 0 or -ENOMEM. Holds nothing. */
int pagescan_view_procfs_init(struct pagescan_view_procfs *view, struct pagescan_process *process,
			      enum pagescan_era era);

/* Between its parts. */

int pagescan_view_procfs_protect(struct pagescan_view *view, uint64_t start, uint64_t end);
int pagescan_view_procfs_split(struct pagescan_view *view, uint64_t address);

/* What a table of pages maps, and a huge entry does. */
uint64_t pagescan_view_procfs_block(void);

/* Read @n entries from @start on. Returns how many there are, -ESRCH if there are none. */
ssize_t pagescan_view_procfs_read(const struct pagescan_view_procfs *v, uint64_t start,
				  uint64_t *entries, size_t n);

/* Find out v->huge_blocks, at @address, if it was not yet asked. May overwrite the entries. */
int pagescan_view_procfs_learn_huge(struct pagescan_view_procfs *v, uint64_t address,
				    uint64_t interest);

/* Whether a huge entry maps @block, whose entries these are, and whether of the zero page. */
bool pagescan_view_procfs_is_huge(const struct pagescan_view_procfs *v, uint64_t block,
				  const uint64_t *entries, bool *ret_is_zero);

#endif
