/* SPDX-License-Identifier: MIT */
#include "process/registry.h"

#include "base/system.h"
#include "process/process.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/* Whoever waits for the target's mmap lock waits about this much longer than for one call. */
#define HELD_ENOUGH_NS UINT64_C(200000)

/* Enough for a sleeper to wake and take the lock; the timer's slack comes on top. */
#define PAUSE_NS 20000

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

int pagescan_registry_enlist(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	struct uapi_uffdio_register request = {
		.range = {.start = start, .len = end - start},
		.mode = UAPI_UFFDIO_REGISTER_MODE_WP,
	};

	return call(registry, UAPI_UFFDIO_REGISTER, &request);
}

int pagescan_registry_dismiss(struct pagescan_registry *registry, uint64_t start, uint64_t end)
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
			(void)pagescan_registry_dismiss(registry, start, gap_end);
		start = ours && ours->start < end ? ours->end : end;
	}
}

int pagescan_registry_note(struct pagescan_registry *registry,
			   const struct pagescan_registration *r)
{
	return pagescan_rangeset_add(&registry->ranges, r->start, r->end, r->page_size | r->kind);
}

int pagescan_registry_add(struct pagescan_registry *registry, const struct pagescan_registration *r)
{
	int result = pagescan_registry_enlist(registry, r->start, r->end);

	if (result == 0)
		result = pagescan_registry_note(registry, r);
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

int pagescan_registry_forget(struct pagescan_registry *registry, uint64_t start, uint64_t end)
{
	return pagescan_rangeset_remove(&registry->ranges, start, end);
}

void pagescan_registry_close(struct pagescan_registry *registry)
{
	if (registry->uffd < 0)
		return;
	/* The kernel does it all at close, but in one hold of the lock. */
	if (registry->owner == getpid() && registry->is_own)
		(void)pagescan_registry_release(registry, 0, UINT64_MAX);
	else if (registry->owner == getpid())
		pagescan_registry_release_all(registry);
	close(registry->uffd);
	registry->uffd = -1;
	pagescan_rangeset_free(&registry->ranges);
}
