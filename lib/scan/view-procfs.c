/* SPDX-License-Identifier: MIT */
#include "scan/view-procfs.h"

#include "process/mapping.h"
#include "uapi/pagemap.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Any of these, and there is something in the place; a marker too, hugetlb's also (R11.4). */
#define CONTENTS                                                                                   \
	(UAPI_PAGEMAP_PRESENT | UAPI_PAGEMAP_SWAPPED | UAPI_PAGEMAP_UFFD_WP | UAPI_PAGEMAP_GUARD)

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

ssize_t pagescan_view_procfs_read(const struct pagescan_view_procfs *v, uint64_t start,
				  uint64_t *entries, size_t n)
{
	ssize_t got = pread(v->process->pagemap_fd, entries, n * sizeof(*entries),
			    (off_t)(start / pagescan_page_size() * sizeof(*entries)));

	if (got < 0)
		return -errno;
	/* Nothing is read of memory that is gone (R11.7). */
	return got < (ssize_t)sizeof(*entries) ? -ESRCH : got / (ssize_t)sizeof(*entries);
}

/* Memory that no file stands behind, and that no driver can have mapped. */
static bool is_anonymous(const struct pagescan_mapping *mapping)
{
	return pagescan_mapping_kind(mapping) == PAGESCAN_MEMORY_ANON ||
	       (!(mapping->flags & PAGESCAN_MAPPING_SHARED) &&
		strcmp(mapping->name, "/dev/zero") == 0);
}

/* What we registered there is one mapping, and what we did not is another. */
static void cut_by_registry(const struct pagescan_registry *registry, uint64_t address,
			    struct pagescan_view_mapping *mapping)
{
	struct pagescan_registration r;
	uint64_t end;

	if (address < mapping->start)
		address = mapping->start;
	if (registry->uffd < 0 || !pagescan_registry_find(registry, address, &r))
		return;
	if (r.start > address) {
		mapping->end = min_of(r.start, mapping->end);
		return;
	}
	mapping->is_uffd_wp = mapping->is_wp_allowed = true;
	/* Several that touch are one: a huge page may lie across their edges. */
	for (end = r.end; end < mapping->end; end = r.end) {
		if (!pagescan_registry_find(registry, end, &r) || r.start > end)
			break;
	}
	mapping->end = min_of(end, mapping->end);
}

static int find_flags(struct pagescan_view *view, uint64_t address,
		      struct pagescan_view_mapping *mapping)
{
	struct pagescan_view_procfs *v = (struct pagescan_view_procfs *)view;
	struct pagescan_smaps_mapping smaps;
	int r = pagescan_smaps_find(&v->process->procfs.smaps, v->process->proc_fd, address,
				    &smaps);

	if (r < 0)
		return r;
	if (r > 0 && smaps.start <= address) {
		mapping->is_pfnmap = mapping->may_be_pfnmap && smaps.is_pfnmap;
		mapping->is_uffd_wp = smaps.is_uffd_wp;
	}
	mapping->may_be_pfnmap = mapping->may_be_uffd_wp = false;
	return 0;
}

static int find_mapping(struct pagescan_view *view, uint64_t address,
			struct pagescan_view_mapping *ret)
{
	struct pagescan_view_procfs *v = (struct pagescan_view_procfs *)view;
	struct pagescan_mapping found;
	int r = pagescan_process_find_mapping(v->process, address, &found);

	/* Each call of the operation begins here: what was read before is old. */
	v->n = 0;
	v->n_ahead = pagescan_view_procfs_block() / pagescan_page_size();
	v->table_block = v->split_block = UINT64_MAX;
	v->huge_blocks = PAGESCAN_HUGE_UNASKED;
	if (r <= 0)
		return r;
	v->mapping = (struct pagescan_view_mapping){
		.start = found.start,
		.end = found.end,
		.page_size = found.page_size,
	};
	v->is_anon = is_anonymous(&found);
	cut_by_registry(&v->process->registry, address, &v->mapping);
	if (!v->mapping.is_wp_allowed) {
		v->mapping.may_be_pfnmap = !v->is_anon;
		v->mapping.may_be_uffd_wp = true;
		/* In era 3 it decides of every page. */
		if (v->era == PAGESCAN_ERA_3)
			r = find_flags(view, address > found.start ? address : found.start,
				       &v->mapping);
	}
	*ret = v->mapping;
	return r < 0 ? r : 1;
}

/* The bits of an entry that make a difference for @interest. */
static uint64_t mask_for(const struct pagescan_view_procfs *v, uint64_t interest)
{
	uint64_t mask = 0;

	if (interest & PAGESCAN_IS_PRESENT)
		mask |= UAPI_PAGEMAP_PRESENT;
	if (interest & PAGESCAN_IS_SWAPPED)
		mask |= UAPI_PAGEMAP_SWAPPED;
	if (interest & PAGESCAN_IS_WRITTEN)
		mask |= CONTENTS;
	if ((interest & PAGESCAN_IS_FILE) && !v->is_anon)
		mask |= UAPI_PAGEMAP_FILE;
	if (interest & PAGESCAN_IS_SOFT_DIRTY)
		mask |= UAPI_PAGEMAP_SOFT_DIRTY;
	if (interest & PAGESCAN_IS_GUARD)
		mask |= UAPI_PAGEMAP_GUARD;
	return mask;
}

static bool is_zero_page(const struct pagescan_view_procfs *v, uint64_t entry)
{
	uint64_t zero = v->process->procfs.zero_frame;

	return zero && (entry & (UAPI_PAGEMAP_PRESENT | UAPI_PAGEMAP_PFN_MASK)) ==
			       (UAPI_PAGEMAP_PRESENT | zero);
}

/* How many of @n entries are like the first in @mask. */
static size_t count_alike(const uint64_t *entries, size_t n, uint64_t mask)
{
	size_t i = 1;

	while (i < n && !((entries[i] ^ entries[0]) & mask))
		i++;
	return i;
}

/* And in being the zero page or not. */
static size_t count_alike_zero(const struct pagescan_view_procfs *v, const uint64_t *entries,
			       size_t n, uint64_t mask)
{
	bool is_zero = is_zero_page(v, entries[0]);
	size_t i = 1;

	while (i < n && !((entries[i] ^ entries[0]) & mask) &&
	       is_zero_page(v, entries[i]) == is_zero)
		i++;
	return i;
}

static void decode(const struct pagescan_view_procfs *v, uint64_t entry, struct pagescan_entry *ret)
{
	/* On the huge zero page the bit lies (R11.5): no private memory without a file has it. */
	if ((entry & UAPI_PAGEMAP_FILE) && !v->is_anon)
		ret->categories |= PAGESCAN_IS_FILE;
	/* The mapping's is in it too. */
	if (entry & UAPI_PAGEMAP_SOFT_DIRTY)
		ret->categories |= PAGESCAN_IS_SOFT_DIRTY;
	if (entry & UAPI_PAGEMAP_GUARD)
		ret->categories |= PAGESCAN_IS_GUARD;
	ret->is_armed = entry & UAPI_PAGEMAP_UFFD_WP;
	ret->kind = PAGESCAN_ENTRY_EMPTY;
	if (entry & UAPI_PAGEMAP_PRESENT)
		ret->kind = PAGESCAN_ENTRY_PRESENT;
	else if (entry & CONTENTS)
		ret->kind = PAGESCAN_ENTRY_SWAPPED;
}

static void note_table(struct pagescan_view_procfs *v, uint64_t address)
{
	uint64_t size = pagescan_view_procfs_block();

	v->table_block = address / size * size;
	v->has_table = true;
}

/* Whether anything is in the block: then it has a page table. */
static int find_table(struct pagescan_view_procfs *v, uint64_t block)
{
	uint64_t entries[512];
	size_t n_left = pagescan_view_procfs_block() / pagescan_page_size();
	uint64_t any = 0, at = block;

	if (v->table_block == block)
		return v->has_table;
	while (n_left > 0 && !(any & CONTENTS)) {
		ssize_t n = pagescan_view_procfs_read(v, at, entries, min_of(n_left, 512));

		/* User memory ends inside of it. */
		if (n == -ESRCH && at > block)
			break;
		if (n < 0)
			return (int)n;
		for (ssize_t i = 0; i < n; i++)
			any |= entries[i];
		n_left -= (size_t)n;
		at += (uint64_t)n * pagescan_page_size();
	}
	v->table_block = block;
	v->has_table = any & CONTENTS;
	return v->has_table;
}

/* Decide whether the empty run @ret is a hole, and cut it where that may change. */
static int tell_hole(struct pagescan_view_procfs *v, struct pagescan_entry *ret)
{
	uint64_t size = pagescan_view_procfs_block(), block = ret->start / size * size;
	uint64_t last = ret->end / size * size;
	int r;

	/* Whole blocks of it are. */
	if (block == ret->start && last > block) {
		ret->end = last;
		ret->kind = PAGESCAN_ENTRY_HOLE;
		return 0;
	}
	ret->end = min_of(ret->end, block + size);
	r = find_table(v, block);
	if (r == 0)
		ret->kind = PAGESCAN_ENTRY_HOLE;
	return r < 0 ? r : 0;
}

static size_t entries_in(uint64_t start, uint64_t end)
{
	return (end - start) / pagescan_page_size();
}

/* The run at @start, which is no huge page. */
static int find_run(struct pagescan_view_procfs *v, uint64_t start, uint64_t end, uint64_t interest,
		    struct pagescan_entry *ret)
{
	size_t at = entries_in(v->first, start), n = entries_in(start, end);
	const uint64_t *entries = v->process->procfs.entries + at;
	uint64_t mask = mask_for(v, interest);
	bool is_zero_asked = (interest & PAGESCAN_IS_PFNZERO) && v->process->procfs.zero_frame;

	n = min_of(n, v->n - at);
	n = is_zero_asked ? count_alike_zero(v, entries, n, mask) : count_alike(entries, n, mask);
	*ret = (struct pagescan_entry){
		.start = start,
		.end = start + n * pagescan_page_size(),
		.size = pagescan_page_size(),
	};
	decode(v, entries[0], ret);
	if (is_zero_asked && is_zero_page(v, entries[0]))
		ret->categories |= PAGESCAN_IS_PFNZERO;
	if (!(interest & PAGESCAN_IS_WRITTEN))
		return 0;
	/* What stands here or next saves looking through the block. */
	if (ret->kind != PAGESCAN_ENTRY_EMPTY)
		note_table(v, ret->end - 1);
	else if (at + n < v->n && (entries[n] & CONTENTS))
		note_table(v, ret->end);
	return ret->kind == PAGESCAN_ENTRY_EMPTY ? tell_hole(v, ret) : 0;
}

/* One huge page of hugetlb, or the part of it that is asked for. */
static void find_hugetlb(const struct pagescan_view_procfs *v, uint64_t start, uint64_t end,
			 struct pagescan_entry *ret)
{
	uint64_t size = v->mapping.page_size;

	*ret = (struct pagescan_entry){
		.start = start,
		.end = min_of(end, start / size * size + size),
		.size = size,
	};
	decode(v, v->process->procfs.entries[entries_in(v->first, start)], ret);
}

/* Read what begins at @start, whole blocks if huge pages are looked for among them. */
static int fill(struct pagescan_view_procfs *v, uint64_t start, uint64_t end)
{
	uint64_t block = pagescan_view_procfs_block();
	ssize_t n;

	if (v->n && start >= v->first && entries_in(v->first, start) < v->n)
		return 0;
	if (v->huge_blocks > PAGESCAN_HUGE_NONE) {
		start = start / block * block;
		end = (end + block - 1) / block * block;
	}
	v->first = start;
	v->n = 0;
	n = pagescan_view_procfs_read(v, start, v->process->procfs.entries,
				      min_of(entries_in(start, end), v->n_ahead));
	/* A walk that is left soon, with many short runs, throws the rest away. */
	v->n_ahead = min_of(2 * v->n_ahead, PAGESCAN_PROCFS_N_ENTRIES);
	if (n < 0)
		return (int)n;
	v->n = (size_t)n;
	return 0;
}

static int find_entry(struct pagescan_view *view, uint64_t start, uint64_t end, uint64_t interest,
		      struct pagescan_entry *ret)
{
	struct pagescan_view_procfs *v = (struct pagescan_view_procfs *)view;
	uint64_t size = pagescan_view_procfs_block(), block = start / size * size;
	bool is_zero;
	int r = pagescan_view_procfs_learn_huge(v, start, interest);

	if (r == 0)
		r = fill(v, start, end);
	if (r < 0)
		return r;
	if (v->mapping.page_size > pagescan_page_size()) {
		find_hugetlb(v, start, end, ret);
		return 0;
	}
	if (v->huge_blocks <= PAGESCAN_HUGE_NONE)
		return find_run(v, start, end, interest, ret);
	end = min_of(end, block + size);
	/* A reading that was cut short has not all of it. */
	if (block < v->first || entries_in(v->first, block + size) > v->n ||
	    !pagescan_view_procfs_is_huge(
		    v, block, v->process->procfs.entries + entries_in(v->first, block), &is_zero))
		return find_run(v, start, end, interest, ret);
	*ret = (struct pagescan_entry){.start = start, .end = end, .size = size};
	decode(v, v->process->procfs.entries[entries_in(v->first, start)], ret);
	if (is_zero)
		ret->categories |= PAGESCAN_IS_PFNZERO;
	return 0;
}

int pagescan_view_procfs_init(struct pagescan_view_procfs *v, struct pagescan_process *process,
			      enum pagescan_era era)
{
	*v = (struct pagescan_view_procfs){
		.view =
			{
				.find_mapping = find_mapping,
				.find_flags = find_flags,
				.find_entry = find_entry,
				.protect = pagescan_view_procfs_protect,
				.split = pagescan_view_procfs_split,
			},
		.process = process,
		.era = era,
	};
	pagescan_smaps_begin(&process->procfs.smaps);
	return pagescan_procfs_get(&process->procfs);
}
