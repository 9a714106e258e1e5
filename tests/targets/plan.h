/* SPDX-License-Identifier: MIT */
/*
 * What a test tells the writer to do. The plan lies in memory that both share, so
 * the test knows what was written without asking.
 */
#ifndef TARGETS_PLAN_H
#define TARGETS_PLAN_H

#include <stdint.h>

#define PLAN_FD        3 /* of the shared plan, in the writer */
#define PLAN_N_THREADS 4
#define PLAN_N_OPS     4096
#define PLAN_N_PAGES   2048

/* The kinds of memory that it writes. */
enum plan_area {
	AREA_ANON,
	AREA_HUGE,
	AREA_SHARED,
	AREA_SHARED_FILE,
	AREA_PRIVATE_FILE,
	AREA_CODE,        /* written while it may not be executed, and the other way round */
	AREA_RESERVATION, /* 256 GiB; its pages lie far apart */
	N_AREAS
};

enum plan_op_kind {
	OP_WRITE,
	OP_READ,
	OP_SYSCALL,   /* the kernel writes */
	OP_GIVE_BACK, /* MADV_DONTNEED */
	OP_REPLACE,   /* map the same anew */
	OP_PROTECT,   /* take the right to write away and give it back */
	OP_FORK       /* a child writes there, and ends */
};

struct plan_op {
	uint8_t kind;
	uint8_t area;
	uint16_t page;
	uint16_t n; /* pages, of all but reads and writes */
};

struct plan {
	/* Said by the writer at its start. */
	uint64_t base[N_AREAS];
	uint64_t n_pages[N_AREAS];
	uint64_t stride[N_AREAS]; /* from one page to the next */

	/* One step: its operations, by all threads at once if their order is of no matter. */
	uint32_t n_ops;
	uint32_t n_threads;
	struct plan_op ops[PLAN_N_OPS];

	/* Of writing without end. */
	uint32_t must_stop;
	uint64_t seed;
	uint64_t n_written;
	uint64_t n_failed; /* what went wrong in the writer */
};

/* What the test says on the writer's standard input, and the writer repeats when it is done. */
enum plan_command {
	COMMAND_STEP = 's',
	COMMAND_RACE = 'r',  /* threads write at random until must_stop; done at once */
	COMMAND_CHURN = 'c', /* they map and unmap, until must_stop */
	COMMAND_JOIN = 'j',  /* wait for them */
	COMMAND_END = 'e'
};

#endif
