/* SPDX-License-Identifier: MIT */
/*
 * How does my code take a kernel that I do not have? A simulated address space
 * answers PAGEMAP_SCAN by the rules of each era: here, whether memory that was given
 * back reads as written, which loses data for whoever trusts the older answer.
 */
#include <pagescan/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE UINT64_C(0x10000000)

/* The kernel's struct pm_scan_arg. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};

/* Present pages, and those that were written. */
static int scan(struct pagescan_model *model, uint64_t page, struct pagescan_region *regions,
		size_t n)
{
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = BASE,
		.end = BASE + 16 * page,
		.vec = (uintptr_t)regions,
		.vec_len = n,
		.anyof = PAGESCAN_IS_PRESENT | PAGESCAN_IS_WRITTEN,
		.returned = PAGESCAN_IS_PRESENT | PAGESCAN_IS_WRITTEN,
	};

	return pagescan_model_scan(model, &arg);
}

static int try_era(enum pagescan_era era)
{
	struct pagescan_model_opts opts = {.size = sizeof(opts), .era = era};
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct pagescan_region regions[16];
	struct pagescan_model *model;
	int n = pagescan_model_new(&opts, &model);

	if (n < 0)
		return n;
	/* Three pages are written and tracked; then one is written again, and one given back. */
	pagescan_model_map(model, BASE, 16 * page, PAGESCAN_MODEL_ANON, 0, 0);
	pagescan_model_register(model, BASE, 16 * page, PAGESCAN_MODEL_WP_ASYNC);
	for (uint64_t i = 0; i < 3; i++)
		pagescan_model_write(model, BASE + i * page);
	pagescan_model_write_protect(model, BASE, 16 * page, 1);
	pagescan_model_write(model, BASE + page);
	pagescan_model_dontneed(model, BASE + 2 * page, page);

	n = scan(model, page, regions, 16);
	printf("era %d:", era);
	for (int i = 0; i < n; i++)
		printf(" page %llu%s%s", (unsigned long long)((regions[i].start - BASE) / page),
		       regions[i].categories & PAGESCAN_IS_PRESENT ? " present" : "",
		       regions[i].categories & PAGESCAN_IS_WRITTEN ? " written;" : ";");
	printf("\n");
	pagescan_model_free(model);
	return n < 0 ? n : 0;
}

int main(void)
{
	for (int era = PAGESCAN_ERA_1; era <= PAGESCAN_ERA_3; era++) {
		int r = try_era((enum pagescan_era)era);

		if (r < 0) {
			fprintf(stderr, "era %d: %s\n", era, strerror(-r));
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}
