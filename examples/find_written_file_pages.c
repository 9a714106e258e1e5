/* SPDX-License-Identifier: MIT */
/*
 * Find pages that have been written, are file-backed, are not swapped, and are
 * either present or huge: once with the question in categories, once in words.
 */
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page;
static char *memory;

static int find(struct pagescan_process *process, const struct pagescan_filter *filter,
		size_t length)
{
	const struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + length,
	};
	struct pagescan_region regions[512];
	struct pagescan_scan *scan;
	struct pagescan_error error;
	ssize_t n;

	if (pagescan_scan_new(process, filter, &opts, &scan, &error) < 0) {
		fprintf(stderr, "find_written_file_pages: %s\n", error.text);
		return -1;
	}
	while ((n = pagescan_scan_next(scan, regions, 512)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			const size_t first = (regions[i].start - (uintptr_t)memory) / page;
			const size_t count = (regions[i].end - regions[i].start) / page;

			printf("  page %zu, %zu in a row:", first, count);
			for (uint64_t bit = 1; bit; bit <<= 1)
				if (regions[i].categories & bit)
					printf(" %s", pagescan_category_name(bit));
			printf("\n");
		}
	pagescan_scan_free(scan);
	return n < 0 ? -1 : 0;
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	const size_t length = 100 * page;
	struct pagescan_process *process = NULL;
	struct pagescan_tracker *tracker = NULL;
	struct pagescan_expr *where = NULL;
	struct pagescan_error error;
	FILE *file = tmpfile();
	int status;

	if (!file || ftruncate(fileno(file), length) < 0)
		return 1;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
	if (memory == MAP_FAILED)
		return 1;
	if (pagescan_process_open(0, &process, &error) < 0 ||
	    pagescan_tracker_open(process, NULL, &tracker, &error) < 0 ||
	    pagescan_expr_parse("written & file & !swapped & (present | huge)", &where, &error) <
		    0) {
		fprintf(stderr, "find_written_file_pages: %s\n", error.text);
		return 1;
	}
	pagescan_tracker_add(tracker, (uintptr_t)memory, length);
	pagescan_tracker_arm(tracker);
	memory[20 * page] = 1;
	memory[21 * page] = 1;
	memory[60 * page] = 1;

	const struct pagescan_filter in_categories = {
		.required = PAGESCAN_IS_WRITTEN | PAGESCAN_IS_FILE,
		.excluded = PAGESCAN_IS_SWAPPED,
		.any = PAGESCAN_IS_PRESENT | PAGESCAN_IS_HUGE,
		.report = PAGESCAN_IS_WRITTEN | PAGESCAN_IS_FILE | PAGESCAN_IS_PRESENT |
			  PAGESCAN_IS_HUGE,
	};
	const struct pagescan_filter in_words = {
		.where = where,
		.report = in_categories.report,
	};

	printf("asked in categories:\n");
	status = find(process, &in_categories, length);
	printf("asked in words:\n");
	status |= find(process, &in_words, length);

	pagescan_expr_free(where);
	pagescan_tracker_close(tracker);
	pagescan_process_close(process);
	fclose(file);
	return status ? 1 : 0;
}
