/* SPDX-License-Identifier: MIT */
/* How much does another process write? Prints it five times, and what asking cost. */
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static ssize_t count_written(struct pagescan_tracker *tracker)
{
	static struct pagescan_region regions[4096];
	uint64_t cursor = 0, bytes = 0;
	ssize_t n;

	while ((n = pagescan_tracker_collect(tracker, &cursor, regions, 4096,
					     PAGESCAN_COLLECT_REARM)) > 0)
		for (ssize_t i = 0; i < n; i++)
			bytes += regions[i].end - regions[i].start;
	return n < 0 ? n : (ssize_t)bytes;
}

int main(int argc, char **argv)
{
	const struct pagescan_tracker_opts opts = {
		.size = sizeof(opts),
		.flags = PAGESCAN_TRACKER_ALL,
	};
	const struct timespec interval = {.tv_nsec = 200000000};
	struct pagescan_process *process = NULL;
	struct pagescan_tracker *tracker = NULL;
	struct pagescan_tracker_cost cost;
	struct pagescan_error error;

	if (argc != 2) {
		fprintf(stderr, "usage: watch_process PID\n");
		return 2;
	}
	if (pagescan_process_open(atoi(argv[1]), &process, &error) < 0 ||
	    pagescan_tracker_open(process, &opts, &tracker, &error) < 0) {
		fprintf(stderr, "watch_process: %s\n", error.text);
		return 1;
	}
	pagescan_tracker_arm(tracker);
	for (int i = 0; i < 5; i++) {
		ssize_t bytes;

		nanosleep(&interval, NULL);
		bytes = count_written(tracker);
		if (bytes < 0) {
			printf("the process ended\n");
			break;
		}
		printf("wrote to %zd KiB of its memory\n", bytes / 1024);
	}

	pagescan_tracker_finish(tracker);
	pagescan_tracker_get_cost(tracker, &cost);
	printf("it was stopped for %.3f ms to attach, and took at most %llu write faults\n",
	       cost.stopped_ns / 1e6, (unsigned long long)cost.n_faults);
	pagescan_tracker_close(tracker);
	pagescan_process_close(process);
	return 0;
}
