/* SPDX-License-Identifier: MIT */
/*
 * No write is lost: threads write while scans protect, and whoever copies what is
 * told has in the end what is there. However the scan has to go about it.
 */
#include "scan-tracked.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define N_PAGES   2048
#define LENGTH    (N_PAGES * PAGE)
#define N_WRITERS 3
#define N_SCANS   300

struct race {
	struct pagescan_process *process;
	char *memory, *copy;
	_Atomic bool is_over;
	_Atomic uint64_t n_written;
};

static void *write_on(void *arg)
{
	struct race *race = arg;
	uint64_t random = (uintptr_t)&random, n = 0;

	while (!atomic_load(&race->is_over)) {
		uint64_t page = test_random(&random) % N_PAGES;

		/* Some pages are written all the time. */
		if (test_random(&random) % 2)
			page %= 16;
		__atomic_add_fetch((uint64_t *)(race->memory + page * PAGE), 1, __ATOMIC_RELAXED);
		n++;
	}
	atomic_fetch_add(&race->n_written, n);
	return NULL;
}

static void copy_told(struct race *race, const struct pagescan_region *vec, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++) {
		uint64_t offset = vec[i].start - (uintptr_t)race->memory;

		for (; offset < vec[i].end - (uintptr_t)race->memory; offset += PAGE)
			*(uint64_t *)(race->copy + offset) = __atomic_load_n(
				(uint64_t *)(race->memory + offset), __ATOMIC_RELAXED);
	}
}

static void scan_once(struct race *race, const struct pagescan_filter *filter, size_t n_vec,
		      uint64_t max_pages)
{
	static struct pagescan_region vec[1024];
	struct pagescan_scan *scan = tracked_scan(race->process, filter, race->memory, LENGTH,
						  PAGESCAN_SCAN_PROTECT, max_pages);
	ssize_t n;

	while ((n = pagescan_scan_next(scan, vec, n_vec)) > 0)
		copy_told(race, vec, n);
	if (n < 0)
		fail_msg("the scan failed: %zd", n);
	pagescan_scan_free(scan);
}

static void run(const char *where, size_t n_vec, uint64_t max_pages, int flags)
{
	struct race race = {.process = tracked_open()};
	struct pagescan_filter filter = {.required = PAGESCAN_IS_WRITTEN};
	struct pagescan_expr *expr = NULL;
	pthread_t threads[N_WRITERS];

	race.memory = tracked_map(LENGTH, flags | MAP_ANONYMOUS);
	/* Of huge pages, fewer are no answer. */
	if (max_pages)
		madvise(race.memory, LENGTH, MADV_NOHUGEPAGE);
	race.copy = calloc(1, LENGTH);
	if (where)
		assert_int_equal(pagescan_expr_parse(where, &expr, NULL), 0);
	filter.where = expr;
	tracked_add(race.process, race.memory, LENGTH, PAGE,
		    flags == MAP_SHARED ? PAGESCAN_MEMORY_SHARED : PAGESCAN_MEMORY_ANON);
	/* In era 1 only what was there counts, but for the first of the questions. */
	for (uint64_t i = 0; i < LENGTH; i += PAGE)
		race.memory[i] = 1;
	for (int i = 0; i < N_WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, &race), 0);
	for (int i = 0; i < N_SCANS; i++)
		scan_once(&race, &filter, n_vec, max_pages);
	atomic_store(&race.is_over, true);
	for (int i = 0; i < N_WRITERS; i++)
		pthread_join(threads[i], NULL);
	scan_once(&race, &filter, 1024, 0);
	printf("# %llu writes\n", (unsigned long long)race.n_written);
	for (uint64_t i = 0; i < LENGTH; i += PAGE)
		assert_memory_equal(race.memory + i, race.copy + i, sizeof(uint64_t));
	pagescan_expr_free(expr);
	free(race.copy);
	munmap(race.memory, LENGTH);
	tracked_close(race.process);
}

static void test_exact(void **state)
{
	run(NULL, 1024, 0, MAP_PRIVATE);
}

static void test_small_array(void **state)
{
	run(NULL, 3, 0, MAP_PRIVATE);
}

static void test_shared(void **state)
{
	run("present | swapped", 1024, 0, MAP_SHARED);
}

static void test_max_pages(void **state)
{
	run(NULL, 64, 100, MAP_PRIVATE);
}

/* One that the kernel cannot tell in one call, and that is true of every page here. */
static void test_inexact(void **state)
{
	run("(present & !huge) | (swapped & !pfnzero) | (huge & present)", 64, 0, MAP_PRIVATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),   cmocka_unit_test(test_small_array),
		cmocka_unit_test(test_shared),  cmocka_unit_test(test_max_pages),
		cmocka_unit_test(test_inexact),
	};

	return cmocka_run_group_tests_name("scan-race", tests, NULL, NULL);
}
