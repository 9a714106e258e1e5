/* SPDX-License-Identifier: MIT */
/* What a tracker holds, and what its parts do for each other. */
#ifndef TRACK_TRACK_H
#define TRACK_TRACK_H

#include "process/process.h"
#include <pagescan/scan.h>
#include <pagescan/tracker.h>

/* Regions of a visit, and those that an arm throws away: 512 fill one kernel call (R5.6). */
#define TRACK_BUFFER 512

struct pagescan_tracker {
	struct pagescan_process *process;
	bool owns_process;
	bool is_attached; /* not any more once finished */
	bool was_armed;
	uint32_t flags;
	enum pagescan_era era;
	uint64_t guard; /* PAGESCAN_IS_GUARD where this kernel has it */

	struct pagescan_rangeset wanted;  /* of another process: where its mappings are followed */
	struct pagescan_rangeset refused; /* what could not be tracked, tagged with the errno, */
	struct pagescan_rangeset was_refused; /* and what could not the last time */
	struct pagescan_rangeset run;         /* mappings that are about to be registered */
	struct pagescan_rangeset others; /* seen with another userfaultfd: never taken from it */
	struct pagescan_rangeset huge;   /* blocks that were huge when armed */
	struct pagescan_rangeset lost;   /* to be registered anew: it may have stale marks */

	int error; /* comes with the next call: what was armed before it went first */
	struct pagescan_region buffer[TRACK_BUFFER];
	size_t n_buffered; /* of a visit that was ended early: these are still to be shown, */
	size_t n_shown;    /* but for the first so many. */
	bool must_show;    /* They were armed: no scan will find them again. */

	struct pagescan_tracker_cost cost;
};

static inline uint64_t track_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t track_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Whether anything of [start, end) is in @set. */
static inline bool track_touches(const struct pagescan_rangeset *set, uint64_t start, uint64_t end)
{
	const struct pagescan_range *range = pagescan_rangeset_find(set, start);

	return range && range->start < end;
}

/*
 * Memory like the vdso: private pages of no file. Some kernels register it, and
 * should not (R10.2).
 */
static inline bool track_is_special(const struct pagescan_mapping *mapping)
{
	return mapping->inode == 0 &&
	       pagescan_mapping_kind(mapping) == PAGESCAN_MEMORY_PRIVATE_FILE;
}

/* Whether @tracker may be used: 0, -EINVAL, or -ECHILD in a forked child. */
int pagescan_track_check(const struct pagescan_tracker *tracker);

/* Which error a failure on @tracker's process really is: -ESRCH if its memory is gone. */
int pagescan_track_error(struct pagescan_tracker *tracker, int r);

/*
 * wp-async.c: scan what is registered, from *position on, and move *position past
 * what was looked at. Regions of WRITTEN alone; @scan_flags are PAGESCAN_SCAN_*.
 * Number of regions, 0 at the end; an error that comes after some is kept in
 * tracker->error.
 */
ssize_t pagescan_wp_async_collect(struct pagescan_tracker *tracker, uint64_t *position,
				  struct pagescan_region *vec, size_t n, uint32_t scan_flags);

/* Arm everything registered, whatever was written. */
int pagescan_wp_async_arm(struct pagescan_tracker *tracker);

/* Arm a registered range with its holes, in a way that works in era 1 too. 0 or an error. */
int pagescan_wp_async_fill(struct pagescan_tracker *tracker, uint64_t start, uint64_t end);

/*
 * Take the protection off what is registered in [start, end) of another process,
 * in bounded pieces: all of it counts as written. 0 or -ESRCH.
 */
int pagescan_wp_async_unarm(struct pagescan_tracker *tracker, uint64_t start, uint64_t end);

/* The same for what was found to be ours just now. */
void pagescan_wp_async_unarm_mapping(struct pagescan_tracker *tracker, uint64_t start,
				     uint64_t end);

/* named.c: track what is mapped in [start, end), all of it or nothing; or no longer. */
int pagescan_named_add(struct pagescan_tracker *tracker, uint64_t start, uint64_t end);
int pagescan_named_remove(struct pagescan_tracker *tracker, uint64_t start, uint64_t end);

/*
 * The mapping at *position is not ours, though noted so: it was replaced. Register
 * it, or forget it, or move *position past it, to be looked at the next time.
 * @tries is how often this was done for the same position.
 */
int pagescan_named_repair(struct pagescan_tracker *tracker, uint64_t *position, unsigned tries);

/* follow.c: register what another process has mapped by now where it is to be tracked. */
int pagescan_follow_all(struct pagescan_tracker *tracker);

/* The same in [start, end). What was refused is noted in tracker->refused. */
int pagescan_follow_range(struct pagescan_tracker *tracker, uint64_t start, uint64_t end);

/*
 * lost.c: register [start, end) with the kernel, as pagescan_registry_enlist() does, and
 * remember what of it was not registered yet; then, once it is noted in the registry,
 * take off that what protection it may have kept. 0 or an error.
 */
int pagescan_lost_enlist(struct pagescan_tracker *tracker, uint64_t start, uint64_t end);
int pagescan_lost_unarm(struct pagescan_tracker *tracker);

/* All of it at once. */
int pagescan_lost_add(struct pagescan_tracker *tracker, const struct pagescan_registration *add);

/* huge.c: how much one huge page table entry maps. */
uint64_t pagescan_huge_size(void);

/* Remember the huge pages among @regions, which were just armed. */
void pagescan_huge_note(struct pagescan_tracker *tracker, const struct pagescan_region *regions,
			size_t n);

/* After the end of tracking: count those that are split and, unless told not to, put them back. */
void pagescan_huge_restore(struct pagescan_tracker *tracker);

#endif
