/* SPDX-License-Identifier: MIT */
/* A tracker's life: opening, what it is to track, what it cost, closing. */
#include "track/track.h"

#include "base/error.h"
#include "base/system.h"
#include "process/attach.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int pagescan_track_check(const struct pagescan_tracker *tracker)
{
	if (!tracker || !tracker->is_attached)
		return -EINVAL;
	return tracker->process->registry.owner == getpid() ? 0 : -ECHILD;
}

int pagescan_track_error(struct pagescan_tracker *tracker, int r)
{
	if (tracker->process->is_own)
		return r;
	if (pagescan_process_get_state(tracker->process) != PAGESCAN_PROCESS_RUNNING)
		return -ESRCH;
	return r;
}

static int check_opts(const struct pagescan_tracker_opts *opts,
		      const struct pagescan_process *process, struct pagescan_error *reterr)
{
	if (opts->flags & ~(PAGESCAN_TRACKER_ALL | PAGESCAN_TRACKER_LEAVE_SPLIT))
		return pagescan_error_set(reterr, -EINVAL, "unknown flag of a tracker");
	if ((opts->flags & PAGESCAN_TRACKER_ALL) && process->is_own)
		return pagescan_error_set(reterr, -EINVAL,
					  "the own process is tracked by ranges that are named, "
					  "not as a whole");
	if (process->has_tracker)
		return pagescan_error_set(reterr, -EBUSY,
					  "this process object has a tracker already");
	return 0;
}

static int attach(struct pagescan_tracker *t, uint32_t stop_timeout_ms,
		  struct pagescan_error *reterr)
{
	struct pagescan_capabilities can;
	int r = pagescan_scan_probe(&can);

	if (r < 0)
		return pagescan_error_set(reterr, r, "the kernel's abilities could not be tried");
	if (can.era == PAGESCAN_ERA_NONE)
		return pagescan_error_set(reterr, -EOPNOTSUPP,
					  "this kernel cannot scan page tables: it lacks "
					  "PAGEMAP_SCAN (Linux 6.7 and later have it)");
	t->era = can.era;
	t->guard = can.categories & PAGESCAN_IS_GUARD;
	r = pagescan_attach(t->process, stop_timeout_ms, reterr);
	if (r < 0)
		return r;
	t->process->has_tracker = true;
	t->is_attached = true;
	t->cost.stopped_ns = t->process->stopped_ns;
	if (t->flags & PAGESCAN_TRACKER_ALL)
		return pagescan_rangeset_add(&t->wanted, 0, UINT64_MAX, 0);
	return 0;
}

PAGESCAN_API int pagescan_tracker_open(struct pagescan_process *process,
				       const struct pagescan_tracker_opts *opts,
				       struct pagescan_tracker **ret, struct pagescan_error *reterr)
{
	struct pagescan_tracker_opts ours;
	struct pagescan_tracker *t;
	int r = pagescan_opts_copy(&ours, sizeof(ours), opts, sizeof(size_t));

	if (r < 0)
		return pagescan_error_set(reterr, r,
					  "options of a tracker that this library "
					  "does not know");
	t = calloc(1, sizeof(*t));
	if (!t)
		return pagescan_error_set(reterr, -ENOMEM, "out of memory");
	t->process = process;
	t->flags = ours.flags;
	if (!process) {
		r = pagescan_process_open(0, &t->process, reterr);
		if (r < 0)
			goto fail;
		t->owns_process = true;
	}
	r = check_opts(&ours, t->process, reterr);
	if (r == 0)
		r = attach(t, ours.stop_timeout_ms, reterr);
	if (r < 0)
		goto fail;
	*ret = t;
	return 0;
fail:
	pagescan_tracker_close(t);
	return r;
}

PAGESCAN_API void pagescan_tracker_finish(struct pagescan_tracker *t)
{
	struct pagescan_registry *registry;

	if (!t || !t->is_attached)
		return;
	registry = &t->process->registry;
	pagescan_registry_close(registry);
	if (registry->owner == getpid())
		pagescan_huge_restore(t);
	t->cost.longest_hold_ns = registry->longest_hold_ns;
	t->process->has_tracker = false;
	t->is_attached = false;
}

PAGESCAN_API void pagescan_tracker_close(struct pagescan_tracker *t)
{
	if (!t)
		return;
	pagescan_tracker_finish(t);
	if (t->owns_process)
		pagescan_process_close(t->process);
	pagescan_rangeset_free(&t->wanted);
	pagescan_rangeset_free(&t->refused);
	pagescan_rangeset_free(&t->was_refused);
	pagescan_rangeset_free(&t->run);
	pagescan_rangeset_free(&t->others);
	pagescan_rangeset_free(&t->huge);
	pagescan_rangeset_free(&t->lost);
	free(t);
}

static int check_range(uint64_t address, uint64_t length)
{
	uint64_t mask = pagescan_page_size() - 1;

	if ((address & mask) || (length & mask) || length == 0 || address + length < address)
		return -EINVAL;
	return 0;
}

PAGESCAN_API int pagescan_tracker_add(struct pagescan_tracker *t, uint64_t address, uint64_t length)
{
	int r = pagescan_track_check(t);

	if (r == 0)
		r = check_range(address, length);
	return r == 0 ? pagescan_named_add(t, address, address + length) : r;
}

PAGESCAN_API int pagescan_tracker_remove(struct pagescan_tracker *t, uint64_t address,
					 uint64_t length)
{
	int r = pagescan_track_check(t);

	if (r == 0)
		r = check_range(address, length);
	return r == 0 ? pagescan_named_remove(t, address, address + length) : r;
}

PAGESCAN_API void pagescan_tracker_get_cost(const struct pagescan_tracker *t,
					    struct pagescan_tracker_cost *ret)
{
	*ret = t->cost;
	if (t->is_attached)
		ret->longest_hold_ns = t->process->registry.longest_hold_ns;
}
