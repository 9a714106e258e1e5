/* SPDX-License-Identifier: MIT */
/*
 * Find the pages that were written, and write-protect them in the same step: the
 * next search finds only what was written after this one.
 */
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page;
static char *memory;

/* Print what was written since the last search. Returns the number of pages or a negative errno. */
static ssize_t find_written_and_protect(struct pagescan_process *process, size_t length)
{
	const struct pagescan_filter written = {
		.required = PAGESCAN_IS_WRITTEN,
		.report = PAGESCAN_IS_WRITTEN,
	};
	const struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + length,
		.flags = PAGESCAN_SCAN_PROTECT | PAGESCAN_SCAN_CHECK,
	};
	struct pagescan_region regions[512];
	struct pagescan_scan *scan;
	ssize_t n, pages = 0;
	int r = pagescan_scan_new(process, &written, &opts, &scan, NULL);

	if (r < 0)
		return r;
	while ((n = pagescan_scan_next(scan, regions, 512)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			const size_t first = (regions[i].start - (uintptr_t)memory) / page;
			const size_t count = (regions[i].end - regions[i].start) / page;

			printf("  page %zu, %zu in a row\n", first, count);
			pages += count;
		}
	pagescan_scan_free(scan);
	return n < 0 ? n : pages;
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	const size_t length = 100 * page;
	struct pagescan_process *process = NULL;
	struct pagescan_tracker *tracker = NULL;
	struct pagescan_error error;

	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	/* Only memory that is tracked through the process object is ever protected. */
	if (pagescan_process_open(0, &process, &error) < 0 ||
	    pagescan_tracker_open(process, NULL, &tracker, &error) < 0) {
		fprintf(stderr, "find_written_and_protect: %s\n", error.text);
		return 1;
	}
	pagescan_tracker_add(tracker, (uintptr_t)memory, length);
	pagescan_tracker_arm(tracker);

	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < round; i++)
			memory[(10 * round + 2 * i) * page] = 1;
		printf("round %d:\n", round);
		printf("  %zd pages\n", find_written_and_protect(process, length));
	}

	pagescan_tracker_close(tracker);
	pagescan_process_close(process);
	return 0;
}
