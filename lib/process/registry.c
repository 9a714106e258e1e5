/* SPDX-License-Identifier: MIT */
#include "process/registry.h"

#include "base/system.h"
#include "process/mapping.h"
#include "process/process.h"
#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/* Whoever waits for the target's mmap lock waits about this much longer than for one call. */
#define HELD_ENOUGH_NS UINT64_C(200000)

/* Enough for a sleeper to wake and take the lock; the timer's slack comes on top. */
#define PAUSE_NS 20000

/* How long to look for the end of a hole. */
#define LOOK_ENOUGH_NS UINT64_C(100000)

/* A range's tag: its page size, a power of two, with the kind in the low bits. */
#define KIND_MASK UINT64_C(3)

int pagescan_registry_open(struct pagescan_registry *registry, int uffd)
{
	struct uapi_uffdio_api api = {
		.api = UAPI_UFFD_API,
		.features = UAPI_UFFD_FEATURE_WP_ASYNC | UAPI_UFFD_FEATURE_WP_UNPOPULATED,
	};

	if (ioctl(uffd, UAPI_UFFDIO_API, &api) < 0) {
		int r = errno == EINVAL ? -EOPNOTSUPP : -errno;

		close(uffd);
		return r;
	}
	registry->uffd = uffd;
	registry->owner = getpid();
	return 0;
}

void pagescan_registry_note_hold(struct pagescan_registry *registry, uint64_t began_ns)
{
	uint64_t held = pagescan_now_ns() - began_ns;

	if (held > registry->longest_hold_ns)
		registry->longest_hold_ns = held;
	registry->held_ns += held;
	if (registry->held_ns >= HELD_ENOUGH_NS) {
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
		registry->held_ns = 0;
	}
}

static int call(struct pagescan_registry *registry, unsigned long request, void *arg)
{
	uint64_t began = pagescan_now_ns();
	int r = ioctl(registry->uffd, request, arg) < 0 ? -errno : 0;

	pagescan_registry_note_hold(registry, began);
	return r;
}

static int enlist(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct uapi_uffdio_register request = {
		.range = {.start = start, .len = end - start},
		.mode = UAPI_UFFDIO_REGISTER_MODE_WP,
	};

	return call(registry, UAPI_UFFDIO_REGISTER, &request);
}

static int dismiss(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct uapi_uffdio_range range = {.start = start, .len = end - start};

	return call(registry, UAPI_UFFDIO_UNREGISTER, &range);
}

/* A registration that failed midway: let go of what was not ours before. */
static void dismiss_gaps(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct pagescan_range *ours =
			pagescan_rangeset_find(&registry->ranges, start);
		uint64_t gap_end = ours && ours->start < end ? ours->start : end;

		if (start < gap_end)
			(void)dismiss(registry, start, gap_end);
		start = ours && ours->start < end ? ours->end : end;
	}
}

int pagescan_registry_add(struct pagescan_registry *registry, const struct pagescan_registration *r)
{
	int result = enlist(registry, r->start, r->end);

	if (result == 0)
		result = pagescan_rangeset_add(&registry->ranges, r->start, r->end,
					       r->page_size | r->kind);
	/* Every other refusal comes before the first mapping is changed. */
	if (result == -ENOMEM)
		dismiss_gaps(registry, r->start, r->end);
	return result;
}

bool pagescan_registry_find(const struct pagescan_registry *registry, uint64_t address,
			    struct pagescan_registration *ret)
{
	const struct pagescan_range *range = pagescan_rangeset_find(&registry->ranges, address);

	if (!range)
		return false;
	*ret = (struct pagescan_registration){
		.start = range->start,
		.end = range->end,
		.page_size = range->tag & ~KIND_MASK,
		.kind = (enum pagescan_memory_kind)(range->tag & KIND_MASK),
	};
	return true;
}

/*
 * Linux before 6.17 unregisters other userfaultfds' memory just as well, and the
 * target may have put such memory here since. Registering tells, and is refused then.
 */
static int take_off(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	int r = enlist(registry, start, end);

	return r < 0 ? r : dismiss(registry, start, end);
}

/* What cannot be taken off stays until the userfaultfd is closed: another's, or out of mappings. */
static int take_off_by_mapping(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct pagescan_mapping mapping;
	int r;

	while ((r = pagescan_maps_reader_find(registry->maps, start, &mapping)) > 0) {
		if (mapping.start >= end)
			break;
		if (mapping.start > start)
			start = mapping.start;
		(void)take_off(registry, start, mapping.end < end ? mapping.end : end);
		if (mapping.end >= end)
			break;
		start = mapping.end;
	}
	return r < 0 ? r : 0;
}

static bool is_populated(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct pagescan_region region;
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_anyof_mask = PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED,
	};
	uint64_t began = pagescan_now_ns();
	int n = ioctl(registry->pagemap_fd, UAPI_PAGEMAP_SCAN, &arg);

	pagescan_registry_note_hold(registry, began);
	return n != 0;
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
 * Where the next piece ends: a huge range without contents is one, all else is
 * aligned pieces, so that their edges cut no huge page.
 */
static uint64_t find_piece(struct pagescan_registry *registry, uint64_t start, uint64_t end,
			   uint64_t page_size)
{
	uint64_t unit = page_size > PAGESCAN_HOLD_ARM ? page_size : PAGESCAN_HOLD_ARM;
	uint64_t boundary = (start / unit + 1) * unit;
	uint64_t hole_end;

	if (boundary >= end)
		return end;
	hole_end = skip_hole(registry, start, end);
	if (hole_end >= end)
		return end;
	return hole_end < boundary ? boundary : hole_end / unit * unit;
}

/* -ESRCH if the memory is gone, so that there is nothing to do any more. */
static int release_range(struct pagescan_registry *registry, uint64_t start, uint64_t end,
			 uint64_t page_size)
{
	int r = 0;

	while (start < end && r == 0) {
		uint64_t piece_end = find_piece(registry, start, end, page_size);

		r = take_off(registry, start, piece_end);
		/* It needs one more mapping for a moment, and the target may have no more. */
		if (r == -ENOMEM)
			piece_end = end;
		if (r < 0)
			r = take_off_by_mapping(registry, start, piece_end);
		start = piece_end;
	}
	return r;
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

int pagescan_registry_forget(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	return pagescan_rangeset_remove(&registry->ranges, start, end);
}

void pagescan_registry_close(struct pagescan_registry *registry)
{
	struct pagescan_registration found;
	uint64_t start = 0;
	int r = 0;

	if (registry->uffd < 0)
		return;
	if (registry->owner != getpid())
		r = -ECHILD;
	/* The kernel does it all at close, but in one hold of the lock. */
	while (r == 0 && pagescan_registry_find(registry, start, &found)) {
		r = release_range(registry, found.start, found.end, found.page_size);
		start = found.end;
	}
	close(registry->uffd);
	registry->uffd = -1;
	pagescan_rangeset_free(&registry->ranges);
}
