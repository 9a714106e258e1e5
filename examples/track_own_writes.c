/* SPDX-License-Identifier: MIT */
/* Which pages of my own memory did I write? The README's example, whole. */
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	const size_t length = 1000 * page;
	char *memory =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pagescan_tracker *tracker;
	struct pagescan_region regions[512];
	struct pagescan_error error;
	uint64_t cursor = 0;
	ssize_t n;

	if (memory == MAP_FAILED)
		return 1;
	if (pagescan_tracker_open(NULL, NULL, &tracker, &error) < 0) {
		fprintf(stderr, "track_own_writes: %s\n", error.text);
		return 1;
	}
	pagescan_tracker_add(tracker, (uintptr_t)memory, length);
	pagescan_tracker_arm(tracker);

	memory[17 * page] = 1;
	memset(memory + 500 * page, 2, 3 * page);

	while ((n = pagescan_tracker_collect(tracker, &cursor, regions, 512,
					     PAGESCAN_COLLECT_REARM)) > 0)
		for (ssize_t i = 0; i < n; i++)
			printf("pages %zu to %zu were written\n",
			       (size_t)(regions[i].start - (uintptr_t)memory) / page,
			       (size_t)(regions[i].end - (uintptr_t)memory) / page - 1);

	pagescan_tracker_close(tracker);
	return n < 0;
}
