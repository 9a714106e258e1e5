/* SPDX-License-Identifier: MIT */
/*
 * Write tracking as the kernel's documentation describes it, in five steps, and
 * what of it is which call here. The fifth step is repeated as long as one likes.
 */
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page;
static char *memory;

static int print_region(const struct pagescan_region *region, void *arg)
{
	size_t *pages = arg;
	const size_t count = (region->end - region->start) / page;

	printf("    page %zu, %zu in a row\n", (size_t)(region->start - (uintptr_t)memory) / page,
	       count);
	*pages += count;
	return 0;
}

static int show(struct pagescan_tracker *tracker, const char *what, uint32_t flags)
{
	size_t pages = 0;
	int r;

	printf("  %s:\n", what);
	r = pagescan_tracker_visit(tracker, flags, print_region, &pages);
	printf("    %zu pages\n", pages);
	return r;
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	const size_t length = 1024 * page;
	struct pagescan_tracker *tracker;
	struct pagescan_error error;
	int r;

	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;

	/* 1. Make a userfaultfd. 2. Enable asynchronous write protection on it. */
	if (pagescan_tracker_open(NULL, NULL, &tracker, &error) < 0) {
		fprintf(stderr, "track_in_five_steps: %s\n", error.text);
		return 1;
	}
	/* 3. Register the range. */
	r = pagescan_tracker_add(tracker, (uintptr_t)memory, length);
	/* 4. Write-protect it. */
	if (!r)
		r = pagescan_tracker_arm(tracker);

	for (int round = 1; !r && round <= 2; round++) {
		printf("round %d\n", round);
		memset(memory + 100 * round * page, round, round * page);

		/* 5. Find what was written since: only look, or protect again as well. */
		r = show(tracker, "only looking", 0);
		if (!r)
			r = show(tracker, "and protecting again", PAGESCAN_COLLECT_REARM);
		if (!r)
			r = show(tracker, "looking once more", 0);
	}

	pagescan_tracker_close(tracker);
	return r ? 1 : 0;
}
