/* SPDX-License-Identifier: MIT */
/* Which operation does a scan, and what must be right whichever it is. */
#include "process/mapping.h"
#include "scan-tracked.h"

#include <string.h>

#define N_PAGES (HUGE / PAGE)

/* Which operation does a scan: the option wins over the environment. */
static void test_operation(void **state)
{
	struct pagescan_scan_opts opts = {.size = sizeof(opts)};
	struct pagescan_filter filter = {.report = PAGESCAN_IS_PRESENT};
	struct pagescan_description can, forced;
	struct pagescan_capabilities kernel;
	struct pagescan_error error;
	char *was = getenv("PAGESCAN_OPERATION");
	int missing;

	was = was ? strdup(was) : NULL;
	assert_int_equal(pagescan_scan_probe(&kernel), 0);
	missing = kernel.era == PAGESCAN_ERA_NONE ? -EOPNOTSUPP : 0;
	unsetenv("PAGESCAN_OPERATION");
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_AUTO, &can, NULL), 0);
	assert_int_equal(can.operation,
			 missing ? PAGESCAN_OPERATION_ENGINE : PAGESCAN_OPERATION_KERNEL);
	assert_int_equal(can.exact | can.over_reported | can.unknown, can.categories);
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_ENGINE, &can, NULL), 0);
	assert_int_equal(can.operation, PAGESCAN_OPERATION_ENGINE);
	assert_true(can.exact & PAGESCAN_IS_WRITTEN);
	setenv("PAGESCAN_OPERATION", "engine", 1);
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_AUTO, &forced, NULL), 0);
	assert_memory_equal(&forced, &can, sizeof(can));
	assert_int_equal(scan_try(&filter, &opts, &error), 0);
	opts.operation = PAGESCAN_OPERATION_KERNEL;
	assert_int_equal(scan_try(&filter, &opts, &error), missing);
	if (missing)
		assert_non_null(strstr(error.text, "PAGEMAP_SCAN"));
	setenv("PAGESCAN_OPERATION", "nonsense", 1);
	assert_int_equal(scan_try(&filter, &opts, &error), missing);
	opts.operation = PAGESCAN_OPERATION_AUTO;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	assert_non_null(strstr(error.text, "'nonsense'"));
	if (was)
		setenv("PAGESCAN_OPERATION", was, 1);
	else
		unsetenv("PAGESCAN_OPERATION");
	free(was);
}

/* Memory that was written and then given back was written, whatever else is asked. */
static void test_given_back(void **state)
{
	struct pagescan_process *process = tracked_open();
	char *at = tracked_map(HUGE, MAP_PRIVATE | MAP_ANONYMOUS);
	const struct pagescan_filter filter = {
		.required = PAGESCAN_IS_WRITTEN,
		.excluded = PAGESCAN_IS_PRESENT,
		.report = PAGESCAN_IS_WRITTEN | PAGESCAN_IS_SWAPPED,
	};
	struct pagescan_region vec[N_PAGES];
	struct pagescan_scan *scan;

	madvise(at, HUGE, MADV_NOHUGEPAGE);
	memset(at, 1, HUGE);
	tracked_add(process, at, HUGE, PAGE, PAGESCAN_MEMORY_ANON);
	scan = tracked_scan(process, &for_written, at, HUGE, PAGESCAN_SCAN_PROTECT, 0);
	while (pagescan_scan_next(scan, vec, N_PAGES) > 0)
		;
	pagescan_scan_free(scan);
	at[3 * PAGE] = 2;
	madvise(at + 3 * PAGE, PAGE, MADV_DONTNEED);
	scan = tracked_scan(process, &filter, at, HUGE, 0, 0);
	assert_int_equal(pagescan_scan_next(scan, vec, N_PAGES), 1);
	assert_int_equal(vec[0].start, (uintptr_t)at + 3 * PAGE);
	assert_int_equal(vec[0].end, (uintptr_t)at + 4 * PAGE);
	assert_int_equal(vec[0].categories, PAGESCAN_IS_WRITTEN);
	pagescan_scan_free(scan);
	munmap(at, HUGE);
	tracked_close(process);
}

static ssize_t count_present(struct pagescan_process *process, const char *at)
{
	const struct pagescan_filter present = {.required = PAGESCAN_IS_PRESENT};
	struct pagescan_scan *scan = tracked_scan(process, &present, at, PAGE, 0, 0);
	struct pagescan_region vec[1];
	ssize_t n = pagescan_scan_next(scan, vec, 1);

	pagescan_scan_free(scan);
	return n;
}

/* A scan knows what was mapped before it began, also where maps is read as a text. */
static void test_new_mapping(void **state)
{
	struct pagescan_process *process;
	char *at = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(at != MAP_FAILED);
	at[0] = 1;
	munmap(at + PAGE, 2 * PAGE);
	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	pagescan_maps_reader_close(process->maps);
	assert_int_equal(
		pagescan_maps_reader_open(process->proc_fd, PAGESCAN_MAPS_TEXT, &process->maps), 0);
	process->registry.maps = process->maps;
	assert_int_equal(count_present(process, at), 1);
	assert_true(mmap(at + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + 2 * PAGE);
	at[2 * PAGE] = 1;
	assert_int_equal(count_present(process, at + 2 * PAGE), 1);
	munmap(at, 3 * PAGE);
	pagescan_process_close(process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operation),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_new_mapping),
	};

	return cmocka_run_group_tests_name("scan-operations", tests, NULL, NULL);
}
