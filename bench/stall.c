/* SPDX-License-Identifier: MIT */
/*
 * The longest mmap and the longest store in a target with a large reservation,
 * in each phase of tracking, against the same target left alone for as long.
 */
#include "bench.h"
#include "measure.h"
#include "target.h"
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <time.h>

#define RESERVED  (UINT64_C(256) << 30)
#define POPULATED (UINT64_C(1) << 30)
#define N_ROUNDS  20
#define N_REGIONS 4096

enum phase { PHASE_ATTACH, PHASE_ARM, PHASE_COLLECT, PHASE_DETACH, N_PHASES };

static const char *const phase_names[N_PHASES] = {"attach", "arm", "collect", "detach"};

static const enum target_work works[] = {TARGET_MMAP, TARGET_STORE};
static const char *const work_names[] = {"mmap", "store"};

#define N_WORKS 2

struct stall {
	struct target *target;
	struct pagescan_process *process;
	struct pagescan_tracker *tracker;
	uint64_t tracked[N_PHASES][N_WORKS][N_ROUNDS];
	uint64_t alone[N_PHASES][N_WORKS][N_ROUNDS];
};

static int do_attach(struct stall *s)
{
	const struct pagescan_tracker_opts opts = {
		.size = sizeof(opts),
		.flags = PAGESCAN_TRACKER_ALL,
	};

	return pagescan_tracker_open(s->process, &opts, &s->tracker, &bench_error);
}

static int do_arm(struct stall *s)
{
	return pagescan_tracker_arm(s->tracker);
}

static int do_collect(struct stall *s)
{
	static struct pagescan_region regions[N_REGIONS];
	uint64_t cursor = 0;
	ssize_t n;

	do
		n = pagescan_tracker_collect(s->tracker, &cursor, regions, N_REGIONS,
					     PAGESCAN_COLLECT_REARM);
	while (n > 0);
	return n;
}

static int do_detach(struct stall *s)
{
	pagescan_tracker_close(s->tracker);
	s->tracker = NULL;
	return 0;
}

static int (*const phases[N_PHASES])(struct stall *) = {do_attach, do_arm, do_collect, do_detach};

static void sleep_ns(uint64_t ns)
{
	nanosleep(&(struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}, NULL);
}

static void read_longest(struct stall *s, uint64_t longest[N_WORKS][N_ROUNDS], int round)
{
	for (int i = 0; i < N_WORKS; i++)
		longest[i][round] = target_get_longest(s->target, works[i]);
}

static int stall_round(struct stall *s, int round)
{
	uint64_t took[N_PHASES];

	for (int phase = 0; phase < N_PHASES; phase++) {
		uint64_t begin;
		int r;

		/* Time to write, so that there is something to collect and to let go. */
		if (phase != PHASE_ARM)
			sleep_ns(50000000);
		target_reset(s->target);
		begin = bench_now_ns();
		r = phases[phase](s);
		took[phase] = bench_now_ns() - begin;
		if (r < 0)
			return r;
		read_longest(s, s->tracked[phase], round);
	}
	for (int phase = 0; phase < N_PHASES; phase++) {
		target_reset(s->target);
		sleep_ns(took[phase]);
		read_longest(s, s->alone[phase], round);
	}
	return 0;
}

static void stall_print(struct stall *s, int phase, int work)
{
	uint64_t *tracked = s->tracked[phase][work], *alone = s->alone[phase][work];
	const uint64_t tracked_median = bench_median(tracked, N_ROUNDS);
	const uint64_t alone_median = bench_median(alone, N_ROUNDS);
	char name[64];

	snprintf(name, sizeof(name), "target-stall-%s-%s", work_names[work], phase_names[phase]);
	bench_print(name, tracked_median / 1e3, alone_median / 1e3, "us");
	snprintf(name, sizeof(name), "target-stall-%s-%s-max", work_names[work],
		 phase_names[phase]);
	bench_print(name, tracked[N_ROUNDS - 1] / 1e3, alone[N_ROUNDS - 1] / 1e3, "us");
}

int bench_target_stall(void)
{
	static struct stall s;
	int r = target_start(1U << TARGET_MMAP | 1U << TARGET_STORE, RESERVED, POPULATED,
			     &s.target);

	if (r < 0)
		return r;
	r = pagescan_process_open(target_get_pid(s.target), &s.process, &bench_error);
	for (int round = 0; !r && round < N_ROUNDS; round++)
		r = stall_round(&s, round);
	pagescan_tracker_close(s.tracker);
	pagescan_process_close(s.process);
	target_stop(s.target);
	for (int work = 0; !r && work < N_WORKS; work++)
		for (int phase = 0; phase < N_PHASES; phase++)
			stall_print(&s, phase, work);
	return r;
}
