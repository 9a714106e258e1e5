/* SPDX-License-Identifier: MIT */
/*
 * Huge entries look like any others in pagemap. What smaps counts of them decides if
 * there are no more blocks that could be huge than that (section 12).
 */
#include "scan/view-procfs.h"

#include "uapi/kpageflags.h"
#include "uapi/pagemap.h"

#include <unistd.h>

/* All pages of a huge entry are alike in these. */
#define ALIKE                                                                                      \
	(UAPI_PAGEMAP_PRESENT | UAPI_PAGEMAP_FILE | UAPI_PAGEMAP_UFFD_WP | UAPI_PAGEMAP_SOFT_DIRTY)

uint64_t pagescan_view_procfs_block(void)
{
	return pagescan_page_size() * (pagescan_page_size() / sizeof(uint64_t));
}

static bool has_frames(const struct pagescan_view_procfs *v)
{
	return v->process->procfs.zero_frame != 0;
}

/* Whether it could be mapped by a huge entry: all present and alike, frames in a row. */
static bool could_be_huge(const struct pagescan_view_procfs *v, const uint64_t *entries)
{
	size_t n = pagescan_view_procfs_block() / pagescan_page_size();
	uint64_t step = has_frames(v) ? 1 : 0, first = entries[0] & UAPI_PAGEMAP_PFN_MASK;

	if (!(entries[0] & UAPI_PAGEMAP_PRESENT) || first % n)
		return false;
	for (size_t i = 1; i < n; i++) {
		if (((entries[i] ^ entries[0]) & ALIKE) ||
		    (entries[i] & UAPI_PAGEMAP_PFN_MASK) != first + i * step)
			return false;
	}
	return true;
}

static uint64_t flags_of(const struct pagescan_view_procfs *v, uint64_t entry)
{
	uint64_t frame = entry & UAPI_PAGEMAP_PFN_MASK, flags;

	if (pread(v->process->procfs.kpageflags_fd, &flags, sizeof(flags),
		  (off_t)(frame * sizeof(flags))) != sizeof(flags))
		return 0;
	return flags;
}

/* A part of the huge zero page is mapped by nothing else: when split, it is small zero pages. */
static bool is_huge_zero(uint64_t flags)
{
	return (flags & UAPI_KPF_ZERO_PAGE) && (flags & UAPI_KPF_THP);
}

/* Whether @entries are of a candidate; and if it is known, whether of the zero page. */
static bool is_candidate(const struct pagescan_view_procfs *v, const uint64_t *entries,
			 bool *ret_is_zero)
{
	uint64_t flags;

	*ret_is_zero = false;
	if (!could_be_huge(v, entries))
		return false;
	if (v->process->procfs.kpageflags_fd < 0)
		return true;
	flags = flags_of(v, entries[0]);
	*ret_is_zero = is_huge_zero(flags);
	return flags & UAPI_KPF_THP;
}

/* How many bytes of a mapping are candidates that smaps could have counted. */
static int count_candidates(struct pagescan_view_procfs *v,
			    const struct pagescan_smaps_mapping *mapping, uint64_t *ret)
{
	uint64_t block = pagescan_view_procfs_block(), page_size = pagescan_page_size();
	uint64_t *entries = v->process->procfs.entries, bytes = 0;
	size_t step = block / page_size, at_most = PAGESCAN_PROCFS_N_ENTRIES / step * step;
	uint64_t at = (mapping->start + block - 1) / block * block;
	uint64_t end = mapping->end / block * block;
	bool is_zero;

	v->n = 0;
	while (at < end) {
		uint64_t left = (end - at) / page_size;
		ssize_t n =
			pagescan_view_procfs_read(v, at, entries, left < at_most ? left : at_most);

		if (n < (ssize_t)step)
			return n < 0 ? (int)n : 0;
		for (ssize_t i = 0; i + (ssize_t)step <= n; i += (ssize_t)step) {
			if (is_candidate(v, entries + i, &is_zero) && !is_zero)
				bytes += block;
		}
		at += (uint64_t)n / step * block;
	}
	*ret = bytes;
	return 0;
}

int pagescan_view_procfs_learn_huge(struct pagescan_view_procfs *v, uint64_t address,
				    uint64_t interest)
{
	struct pagescan_smaps_mapping smaps;
	uint64_t candidates = 0;
	int r;

	if (v->huge_blocks != PAGESCAN_HUGE_UNASKED)
		return 0;
	v->huge_blocks = PAGESCAN_HUGE_NONE;
	if (v->mapping.page_size > pagescan_page_size() ||
	    v->mapping.end - v->mapping.start < pagescan_view_procfs_block())
		return 0;
	if (v->process->procfs.kpageflags_fd >= 0 &&
	    (interest & (PAGESCAN_IS_HUGE | PAGESCAN_IS_PFNZERO)))
		v->huge_blocks = PAGESCAN_HUGE_ZERO;
	if (!(interest & PAGESCAN_IS_HUGE))
		return 0;
	r = pagescan_smaps_find(&v->process->procfs.smaps, v->process->proc_fd, address, &smaps);
	if (r <= 0 || smaps.start > address || !smaps.huge)
		return r < 0 ? r : 0;
	r = count_candidates(v, &smaps, &candidates);
	if (r == 0 && candidates == smaps.huge)
		v->huge_blocks = PAGESCAN_HUGE_ALL;
	return r;
}

bool pagescan_view_procfs_is_huge(const struct pagescan_view_procfs *v, uint64_t block,
				  const uint64_t *entries, bool *ret_is_zero)
{
	*ret_is_zero = false;
	if (block == v->split_block || block < v->mapping.start ||
	    block + pagescan_view_procfs_block() > v->mapping.end)
		return false;
	return is_candidate(v, entries, ret_is_zero) &&
	       (*ret_is_zero || v->huge_blocks == PAGESCAN_HUGE_ALL);
}
