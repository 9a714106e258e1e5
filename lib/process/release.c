/* SPDX-License-Identifier: MIT */
/*
 * Letting go of what is registered. Releasing a part of a mapping cuts it in two,
 * and the program's mremap() of it fails while it is. So whole mappings are
 * released, many small ones at once; only one with more in it than may be cleared
 * in one hold of the lock is released in pieces.
 */
#include "base/system.h"
#include "process/mapping.h"
#include "process/process.h"
#include "uapi/pagemap.h"

#include <errno.h>

/* How long to look for the end of a hole. */
#define LOOK_ENOUGH_NS UINT64_C(100000)

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

/* The first regions with entries to clear. */
static int look(struct pagescan_registry *registry, uint64_t start, uint64_t end,
		struct pagescan_region *vec, size_t n)
{
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)vec,
		.vec_len = n,
		.category_anyof_mask = PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED,
	};
	uint64_t began = pagescan_now_ns();
	int r;

	if (n == 1)
		arg.max_pages = 1;
	r = ioctl(registry->pagemap_fd, UAPI_PAGEMAP_SCAN, &arg);
	pagescan_registry_note_hold(registry, began);
	return r;
}

static bool is_populated(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct pagescan_region region;

	return look(registry, start, end, &region, 1) != 0;
}

/*
 * Up to where there is surely nothing to clear. No further than can be looked at
 * in a short time: empty page tables take the kernel about as long to clear.
 */
static uint64_t skip_hole(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	uint64_t began = pagescan_now_ns();

	while (start < end) {
		uint64_t rest = end - start;
		uint64_t next = start + (rest < PAGESCAN_HOLD_LOOK ? rest : PAGESCAN_HOLD_LOOK);

		if (is_populated(registry, start, next))
			break;
		start = next;
		if (pagescan_now_ns() - began > LOOK_ENOUGH_NS)
			break;
	}
	return start;
}

/*
 * Where the next piece of a mapping ends. What fits into one hold of the lock is
 * not cut, because mremap() of a mapping that is cut fails; nor is a huge range
 * without contents. All else is aligned pieces, so that their edges cut no huge page.
 */
static uint64_t find_piece(struct pagescan_registry *registry, uint64_t start, uint64_t end,
			   uint64_t page_size)
{
	uint64_t unit = page_size > PAGESCAN_HOLD_ARM ? page_size : PAGESCAN_HOLD_ARM;
	uint64_t boundary = (start / unit + 1) * unit;
	uint64_t hole_end;

	if (end - start <= unit)
		return end;
	hole_end = skip_hole(registry, start, end);
	if (hole_end >= end)
		return end;
	return hole_end < boundary ? boundary : hole_end / unit * unit;
}

/* What cannot be taken off stays until the userfaultfd is closed: another's, or changed meanwhile.
 */
static void release_mapping(struct pagescan_registry *registry, uint64_t start, uint64_t end,
			    uint64_t page_size)
{
	while (start < end) {
		uint64_t piece_end = find_piece(registry, start, end, page_size);

		/* It needs one more mapping for a moment, and the target may have no more. */
		if (take_off(registry, start, piece_end) == -ENOMEM && piece_end < end) {
			(void)take_off(registry, start, end);
			return;
		}
		start = piece_end;
	}
}

/* 0, or -ESRCH if the memory is gone, so that there is nothing to do any more. */
static int release_range(struct pagescan_registry *registry, uint64_t start, uint64_t end,
			 uint64_t page_size)
{
	struct pagescan_mapping mapping;
	int r = 0;

	while (start < end &&
	       (r = pagescan_maps_reader_find(registry->maps, start, &mapping)) > 0 &&
	       mapping.start < end) {
		if (mapping.start > start)
			start = mapping.start;
		release_mapping(registry, start, mapping.end < end ? mapping.end : end, page_size);
		start = mapping.end;
	}
	return r < 0 ? r : 0;
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
		(void)release_range(registry, from, to, found.page_size);
		start = to;
	}
	return 0;
}

/* How many bytes of a mapping there are to clear, at most. */
static uint64_t weigh(struct pagescan_registry *registry, const struct pagescan_mapping *mapping)
{
	struct pagescan_region vec[N_WEIGH];
	uint64_t weight = 0;
	int n;

	if (mapping->end - mapping->start > PAGESCAN_HOLD_LOOK)
		return UINT64_MAX;
	n = look(registry, mapping->start, mapping->end, vec, N_WEIGH);
	if (n < 0)
		return UINT64_MAX;
	for (int i = 0; i < n; i++)
		weight += vec[i].end - vec[i].start;
	return n < N_WEIGH ? weight : weight + mapping->end - vec[n - 1].end;
}

/*
 * Mappings to be released by one call, with the holes between them. They come and
 * go meanwhile, and an edge must not fall into one that was merged or has grown:
 * it lies next to one that is not in the chunk, where there is any.
 */
struct chunk {
	struct pagescan_registry *registry;
	uint64_t edge; /* end of the one before, if that is in no chunk; else 0 */
	uint64_t start;
	uint64_t end; /* 0: there are none */
	uint64_t weight;
};

/* What is refused, because it changed meanwhile, stays until the userfaultfd is closed. */
static void end_chunk(struct chunk *chunk, uint64_t end)
{
	if (chunk->end)
		(void)take_off(chunk->registry, chunk->start, end);
	chunk->end = chunk->weight = 0;
}

/* What comes before @mapping is released, and @mapping by itself. */
static void release_alone(struct chunk *chunk, const struct pagescan_mapping *mapping)
{
	end_chunk(chunk, mapping->start);
	release_mapping(chunk->registry, mapping->start, mapping->end, mapping->page_size);
	chunk->edge = mapping->end;
}

static void add_to_chunk(struct chunk *chunk, const struct pagescan_mapping *mapping)
{
	uint64_t weight = weigh(chunk->registry, mapping);

	if (weight > PAGESCAN_HOLD_ARM) {
		release_alone(chunk, mapping);
		return;
	}
	if (weight > PAGESCAN_HOLD_ARM - chunk->weight)
		end_chunk(chunk, chunk->end);
	if (!chunk->end)
		chunk->start = chunk->edge ? chunk->edge : mapping->start;
	chunk->edge = 0;
	chunk->end = mapping->end;
	chunk->weight += weight;
}

void pagescan_registry_release_all(struct pagescan_registry *registry)
{
	struct chunk chunk = {.registry = registry};
	const struct pagescan_range *range;
	struct pagescan_mapping mapping;
	uint64_t at = 0;

	while ((range = pagescan_rangeset_find(&registry->ranges, at)) &&
	       pagescan_maps_reader_find(registry->maps, at, &mapping) > 0) {
		/* Registering cuts off what is not registered: a part of a mapping is a new one. */
		bool is_ours = range->start <= mapping.start && range->end >= mapping.end;

		at = mapping.end;
		if (is_ours) {
			add_to_chunk(&chunk, &mapping);
			continue;
		}
		end_chunk(&chunk, mapping.start);
		chunk.edge = at;
		/* Of those in between, only the last can be next to ours. */
		range = pagescan_rangeset_find(&registry->ranges, at);
		if (range && range->start > at) {
			at = range->start - 1;
			chunk.edge = 0;
		}
	}
	end_chunk(&chunk, chunk.end);
}
