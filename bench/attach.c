/* SPDX-License-Identifier: MIT */
/*
 * How long a process stands still when we attach. There is no other side: the two
 * columns are the median and the maximum.
 */
#include "bench.h"
#include "measure.h"
#include "target.h"
#include <pagescan/pagescan.h>

#define N_ATTACHES 200

/* Attach and let go again: the time that the library says, and the longest the target saw. */
static int attach_once(struct target *target, uint64_t *ret_stopped, uint64_t *ret_gap)
{
	const struct pagescan_tracker_opts opts = {
		.size = sizeof(opts),
		.flags = PAGESCAN_TRACKER_ALL,
	};
	struct pagescan_process *process;
	struct pagescan_tracker *tracker;
	struct pagescan_tracker_cost cost;
	int r = pagescan_process_open(target_get_pid(target), &process, &bench_error);

	if (r < 0)
		return r;
	target_reset(target);
	r = pagescan_tracker_open(process, &opts, &tracker, &bench_error);
	if (!r) {
		*ret_gap = target_get_longest(target, TARGET_CLOCK);
		pagescan_tracker_get_cost(tracker, &cost);
		*ret_stopped = cost.stopped_ns;
		pagescan_tracker_close(tracker);
	}
	pagescan_process_close(process);
	return r;
}

static void print(const char *name, uint64_t *values)
{
	const uint64_t median = bench_median(values, N_ATTACHES);

	bench_print(name, median / 1e3, values[N_ATTACHES - 1] / 1e3, "us");
}

int bench_attach_stop(void)
{
	uint64_t stopped[N_ATTACHES], gaps[N_ATTACHES];
	struct target *target;
	int r = target_start(1U << TARGET_CLOCK, 0, 0, &target);

	if (r < 0)
		return r;
	for (int i = 0; !r && i < N_ATTACHES; i++)
		r = attach_once(target, &stopped[i], &gaps[i]);
	target_stop(target);
	if (r < 0)
		return r;
	print("attach-stop", stopped);
	print("attach-stop-seen", gaps);
	return 0;
}
