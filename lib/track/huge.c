/* SPDX-License-Identifier: MIT */
/*
 * Huge pages: a write to an armed one splits it (R10.4), and the program stays
 * slower for it after we are gone. So those that were huge are remembered and put
 * back at the end; while they are armed the kernel refuses to (R10.9).
 */
#include "track/track.h"

#include "base/system.h"
#include "scan/scan.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Linux 6.1 on; not in Debian 12's headers of libc. */
#define UAPI_MADV_COLLAPSE 25

uint64_t pagescan_huge_size(void)
{
	/* One page full of page table entries maps it. */
	return pagescan_page_size() / sizeof(uint64_t) * pagescan_page_size();
}

void pagescan_huge_note(struct pagescan_tracker *t, const struct pagescan_region *regions, size_t n)
{
	uint64_t mask = pagescan_huge_size() - 1;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = (regions[i].start + mask) & ~mask, end = regions[i].end & ~mask;
		const struct pagescan_range *known;

		if (!(regions[i].categories & PAGESCAN_IS_HUGE) || start >= end)
			continue;
		known = pagescan_rangeset_find(&t->huge, start);
		if (known && known->start <= start && known->end >= end)
			continue;
		/* Without memory for it, it is not put back. */
		(void)pagescan_rangeset_add(&t->huge, start, end, 0);
	}
}

/* Whether a block is mapped as one, all there, and no longer huge. */
static bool is_split(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	const struct pagescan_filter filter = {
		.required = PAGESCAN_IS_PRESENT,
		.excluded = PAGESCAN_IS_HUGE | PAGESCAN_IS_PFNZERO,
	};
	const struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = start,
		.end = end,
	};
	struct pagescan_mapping mapping;
	struct pagescan_region region;
	struct pagescan_scan scan;

	if (pagescan_process_find_mapping(t->process, start, &mapping) != 1 ||
	    mapping.start > start || mapping.end < end || mapping.page_size != pagescan_page_size())
		return false;
	if (pagescan_scan_init(&scan, t->process, &filter, &opts, NULL) < 0 ||
	    pagescan_scan_more(&scan, &region, 1) != 1)
		return false;
	return region.start == start && region.end == end;
}

static bool put_back(struct pagescan_tracker *t, uint64_t start, uint64_t end)
{
	struct iovec block = {(void *)(uintptr_t)start, end - start};

	if (t->process->is_own)
		return madvise(block.iov_base, block.iov_len, UAPI_MADV_COLLAPSE) == 0;
	return syscall(SYS_process_madvise, t->process->pidfd, &block, 1, UAPI_MADV_COLLAPSE, 0) ==
	       (ssize_t)block.iov_len;
}

void pagescan_huge_restore(struct pagescan_tracker *t)
{
	uint64_t size = pagescan_huge_size(), at = 0;
	const struct pagescan_range *range;

	while ((range = pagescan_rangeset_find(&t->huge, at))) {
		at = track_max(at, range->start);
		if (is_split(t, at, at + size)) {
			t->cost.n_huge_split++;
			if (!(t->flags & PAGESCAN_TRACKER_LEAVE_SPLIT) &&
			    put_back(t, at, at + size))
				t->cost.n_huge_restored++;
		}
		at += size;
	}
}
