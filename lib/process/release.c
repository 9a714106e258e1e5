/* SPDX-License-Identifier: MIT */
/*
 * Letting go of what is registered. Releasing a part of a mapping cuts it in two,
 * and the program's mremap() of it fails until the rest follows: in pieces of 32
 * MiB, 50 of 50 detaches hit a program that grows 256 MiB every 10 ms. So a mapping
 * is released whole, which keeps the lock about as long as its fork() would.
 */
#include "base/system.h"
#include "process/mapping.h"
#include "process/process.h"
#include "uapi/pagemap.h"

/* Regions to look at before a mapping counts as full. */
#define N_WEIGH 32

/*
 * Linux before 6.17 unregisters other userfaultfds' memory just as well, and the
 * target may have put such memory here since. Registering tells, and is refused then.
 */
static int take_off(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	int r = pagescan_registry_enlist(registry, start, end);

	return r < 0 ? r : pagescan_registry_dismiss(registry, start, end);
}

/* What is refused, because it changed meanwhile, stays until the userfaultfd is closed. */
static void release_range(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct pagescan_mapping mapping;

	while (start < end && pagescan_maps_reader_find(registry->maps, start, &mapping) > 0 &&
	       mapping.start < end) {
		if (mapping.start > start)
			start = mapping.start;
		(void)take_off(registry, start, mapping.end < end ? mapping.end : end);
		start = mapping.end;
	}
}

int pagescan_registry_release(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct pagescan_registration found;

	while (start < end && pagescan_registry_find(registry, start, &found) &&
	       found.start < end) {
		uint64_t from = found.start > start ? found.start : start;
		uint64_t to = found.end < end ? found.end : end;
		int r = pagescan_rangeset_remove(&registry->ranges, from, to);

		if (r < 0)
			return r;
		release_range(registry, from, to);
		start = to;
	}
	return 0;
}

/* How many bytes of a mapping there are to clear, at most. */
static uint64_t weigh(struct pagescan_registry *registry, const struct pagescan_mapping *mapping)
{
	struct pagescan_region vec[N_WEIGH];
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = mapping->start,
		.end = mapping->end,
		.vec = (uintptr_t)vec,
		.vec_len = N_WEIGH,
		.category_anyof_mask = PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED,
	};
	uint64_t began = pagescan_now_ns(), weight = 0;
	int n;

	if (mapping->end - mapping->start > PAGESCAN_HOLD_LOOK)
		return UINT64_MAX;
	n = ioctl(registry->pagemap_fd, UAPI_PAGEMAP_SCAN, &arg);
	pagescan_registry_note_hold(registry, began);
	if (n < 0)
		return UINT64_MAX;
	for (int i = 0; i < n; i++)
		weight += vec[i].end - vec[i].start;
	return n < N_WEIGH ? weight : weight + mapping->end - vec[n - 1].end;
}

/*
 * Private memory without a file, to be released by one call, with the holes in it.
 * It comes, merges and goes meanwhile, and no edge must fall into such a mapping:
 * so it is all of it between two mappings of another kind. Only what has more in it
 * than may be cleared in one hold of the lock is divided, at the edges of mappings.
 */
struct chunk {
	struct pagescan_registry *registry;
	uint64_t edge; /* end of the mapping of another kind before it; 0: there is none */
	uint64_t start;
	uint64_t end; /* 0: it is empty */
	uint64_t weight;
	bool has_ours;
};

static void end_chunk(struct chunk *chunk, uint64_t end)
{
	if (chunk->has_ours && take_off(chunk->registry, chunk->start, end) < 0)
		(void)pagescan_registry_release(chunk->registry, chunk->start, end);
	chunk->end = chunk->weight = 0;
	chunk->has_ours = false;
}

static void add_to_chunk(struct chunk *chunk, const struct pagescan_mapping *mapping, bool is_ours)
{
	uint64_t weight = is_ours ? weigh(chunk->registry, mapping) : 0;

	if (weight > PAGESCAN_HOLD_ARM - chunk->weight) {
		end_chunk(chunk, mapping->start);
		chunk->edge = mapping->start;
	}
	if (weight > PAGESCAN_HOLD_ARM) {
		(void)take_off(chunk->registry, mapping->start, mapping->end);
		chunk->edge = mapping->end;
		return;
	}
	if (!chunk->end)
		chunk->start = chunk->edge ? chunk->edge : mapping->start;
	chunk->end = mapping->end;
	chunk->weight += weight;
	chunk->has_ours |= is_ours;
}

void pagescan_registry_release_all(struct pagescan_registry *registry)
{
	struct chunk chunk = {.registry = registry};
	const struct pagescan_range *range;
	struct pagescan_mapping m;
	uint64_t at = 0;

	while ((range = pagescan_rangeset_find(&registry->ranges, at)) &&
	       pagescan_maps_reader_find(registry->maps, at, &m) > 0) {
		bool is_ours = range->start < m.end && range->end > m.start;

		at = m.end;
		if (pagescan_mapping_kind(&m) == PAGESCAN_MEMORY_ANON) {
			add_to_chunk(&chunk, &m, is_ours);
			continue;
		}
		end_chunk(&chunk, m.start);
		if (is_ours)
			(void)take_off(registry, m.start, m.end);
		chunk.edge = m.end;
	}
	end_chunk(&chunk, chunk.end);
}
