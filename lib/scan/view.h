/* SPDX-License-Identifier: MIT */
/*
 * The view seam: what the engine asks of memory, and does to it. A view tells what
 * stands in the page tables; which categories that makes is the engine's business.
 */
#ifndef SCAN_VIEW_H
#define SCAN_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct pagescan_view_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t page_size; /* larger than the system's for hugetlb */
	bool is_pfnmap;     /* device memory, vvar: skipped (R3.2) */
	bool is_uffd_wp;    /* registered for write-protection, in whatever mode */
	bool is_wp_allowed; /* ... in asynchronous mode (R3.3) */
	bool is_soft_dirty; /* all of it counts as soft-dirty */

	/* Not found out yet, because it is dear: find_flags() does. */
	bool may_be_pfnmap; /* then it has no entry that is not empty */
	bool may_be_uffd_wp;
};

enum pagescan_entry_kind {
	PAGESCAN_ENTRY_HOLE,  /* not even a page table */
	PAGESCAN_ENTRY_EMPTY, /* a page table with nothing in this place */
	PAGESCAN_ENTRY_PRESENT,
	PAGESCAN_ENTRY_SWAPPED /* anything else: swap, migration, a marker (section 4) */
};

/* A run of entries that are alike; or one huge entry, or the part of it that was asked for. */
struct pagescan_entry {
	uint64_t start;
	uint64_t end;
	uint64_t size;       /* what one entry maps */
	uint64_t categories; /* FILE, PFNZERO, SOFT_DIRTY and GUARD of the entry itself */
	enum pagescan_entry_kind kind;
	bool is_armed; /* the write-protect bit or marker */
};

struct pagescan_view {
	/*
	 * The first mapping that ends above @address: 1, 0 if there is none, -ESRCH if
	 * the memory is gone.
	 */
	int (*find_mapping)(struct pagescan_view *view, uint64_t address,
			    struct pagescan_view_mapping *ret);

	/*
	 * Find out the flags that were left open in @mapping, which is the one that was
	 * found last. Asked at @address, where an entry is empty and it matters. NULL if
	 * find_mapping() leaves none open.
	 */
	int (*find_flags)(struct pagescan_view *view, uint64_t address,
			  struct pagescan_view_mapping *mapping);

	/*
	 * The run that begins at @start, up to @end at most and in the mapping that was
	 * found last. Runs may be shorter than they could be, and need differ in what
	 * @interest names alone: the categories that are asked for.
	 */
	int (*find_entry)(struct pagescan_view *view, uint64_t start, uint64_t end,
			  uint64_t interest, struct pagescan_entry *ret);

	/*
	 * Arm all of [start, end) in the mapping that was found last: present pages,
	 * swapped ones, and empty ones by a marker. A huge entry only whole (R7.3). -ENOENT
	 * if the mapping turns out not to be tracked; nothing is done then.
	 */
	int (*protect)(struct pagescan_view *view, uint64_t start, uint64_t end);

	/* Split the huge page at @address, not of hugetlb (R7.4). */
	int (*split)(struct pagescan_view *view, uint64_t address);
};

#endif
