/* SPDX-License-Identifier: MIT */
/* What a process object holds. */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include "base/system.h"
#include "process/procfs.h"
#include "process/registry.h"
#include <pagescan/process.h>

/*
 * Bounds for one call that holds another process's mmap lock, so that its mmap
 * and its faults wait a fraction of a millisecond at most (field: arming 4 GiB in
 * one call stalled mmap for 89 ms). Looking is cheaper than arming.
 */
#define PAGESCAN_HOLD_ARM  (UINT64_C(32) << 20)
#define PAGESCAN_HOLD_LOOK (UINT64_C(256) << 20)

struct pagescan_spawn;       /* lib/process/spawn.h */
struct pagescan_maps_reader; /* lib/process/mapping.c */

struct pagescan_process {
	pid_t pid;
	bool is_own;
	bool has_tracker;
	int pidfd;      /* -1: own */
	int proc_fd;    /* /proc/PID: never meets a later process of the same number */
	int pagemap_fd; /* keeps the memory that was opened (R9.2) */
	int auxv_fd;    /* so does this; tells whether the process still lives in it */
	struct pagescan_maps_reader *maps;
	struct pagescan_registry registry;
	struct pagescan_procfs procfs;
	uint64_t stopped_ns;          /* by attaching */
	struct pagescan_spawn *spawn; /* of a program that we started and that does not run yet */
};

/* What kind of memory a mapping is. */
enum pagescan_memory_kind pagescan_mapping_kind(const struct pagescan_mapping *mapping);

#endif
