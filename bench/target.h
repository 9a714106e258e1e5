/* SPDX-License-Identifier: MIT */
/* A process to look at, that notices itself how long it was kept waiting. */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a target does all the time; each doing is timed. */
enum target_work {
	TARGET_CLOCK, /* look at the clock, in the first thread: a long time is a stop */
	TARGET_MMAP,  /* map and unmap, in a thread of its own */
	TARGET_STORE, /* store into each page of what is populated, in a thread of its own */
	TARGET_N_WORKS
};

struct target;

/*
 * Start one that does the works of which the bits are set in @works. It reserves
 * @reserved bytes and populates the first @populated. It ends with its parent.
 */
int target_start(unsigned works, size_t reserved, size_t populated, struct target **ret);

void target_stop(struct target *target);

pid_t target_get_pid(const struct target *target);

/* Forget how long it waited until now. */
void target_reset(struct target *target);

/* The longest time that one piece of work took since the reset, in nanoseconds. */
uint64_t target_get_longest(struct target *target, enum target_work work);

#endif
