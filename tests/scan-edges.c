/* SPDX-License-Identifier: MIT */
/* What scans refuse, where they stop, and what they must leave alone. */
#include "child.h"
#include "scan-tracked.h"

#include <string.h>

#define N_PAGES UINT64_C(48)
#define LENGTH  (N_PAGES * PAGE)

static void test_refusals(void **state)
{
	struct pagescan_scan_opts opts = {.size = sizeof(opts)};
	struct pagescan_description can;
	struct pagescan_filter filter = {.report = PAGESCAN_IS_PRESENT};
	struct pagescan_error error;

	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_AUTO, &can, NULL), 0);
	assert_int_equal(scan_try(&filter, &opts, &error), 0);
	opts.start = 1;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	opts.start = 2 * PAGE;
	opts.end = PAGE;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	opts.end = 2 * PAGE + 1;
	assert_int_equal(scan_try(&filter, &opts, &error), 0);
	opts.flags = 4;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	opts.flags = PAGESCAN_SCAN_PROTECT;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	assert_non_null(strstr(error.text, "written"));
	opts.flags = 0;
	opts.operation = 7;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	opts.operation = PAGESCAN_OPERATION_AUTO;
	opts.size = sizeof(opts.size) - 1;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	filter.excluded = UINT64_C(1) << 40;
	assert_int_equal(scan_try(&filter, NULL, &error), -EINVAL);
	filter.excluded = 0;
	assert_int_equal(scan_try(NULL, NULL, &error), -EINVAL);
	if (!(can.categories & PAGESCAN_IS_ACCESSED)) {
		filter.report = PAGESCAN_IS_ACCESSED;
		assert_int_equal(scan_try(&filter, NULL, &error), -EOPNOTSUPP);
		assert_non_null(strstr(error.text, "'accessed'"));
	}
	pagescan_scan_free(NULL);
}

/* Protecting needs WRITTEN, however that is said. */
static void test_written_by_expression(void **state)
{
	struct pagescan_scan_opts opts = {.size = sizeof(opts), .flags = PAGESCAN_SCAN_PROTECT};
	struct pagescan_error error;
	struct pagescan_expr *expr;
	struct pagescan_filter filter = {0};

	assert_int_equal(
		pagescan_expr_parse("(written & present) | !(huge | !written)", &expr, NULL), 0);
	filter.where = expr;
	assert_int_equal(scan_try(&filter, &opts, &error), 0);
	pagescan_expr_free(expr);
	assert_int_equal(pagescan_expr_parse("written | present", &expr, NULL), 0);
	filter.where = expr;
	assert_int_equal(scan_try(&filter, &opts, &error), -EINVAL);
	pagescan_expr_free(expr);
}

static void test_whole_memory(void **state)
{
	static struct pagescan_region vec[600];
	struct pagescan_filter present = {.required = PAGESCAN_IS_PRESENT};
	struct pagescan_process *process;
	struct pagescan_scan *scan;
	char here = 1;
	bool is_found = false;
	ssize_t n;

	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	assert_int_equal(pagescan_scan_new(process, &present, NULL, &scan, NULL), 0);
	assert_int_equal(pagescan_scan_next(scan, vec, 0), -EINVAL);
	assert_int_equal(pagescan_scan_next(scan, NULL, 1), -EINVAL);
	while ((n = pagescan_scan_next(scan, vec, 600)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			is_found |=
				vec[i].start <= (uintptr_t)&here && vec[i].end > (uintptr_t)&here;
	}
	assert_int_equal(n, 0);
	assert_true(is_found);
	assert_int_equal(pagescan_scan_next(scan, vec, 1), 0);
	assert_true(pagescan_scan_get_position(scan) > (uintptr_t)&here);
	pagescan_scan_free(scan);

	/* Beyond the end of memory there is nothing, and that is no mistake. */
	scan = tracked_scan(process, &present, (void *)(UINT64_C(1) << 63), PAGE, 0, 0);
	assert_int_equal(pagescan_scan_next(scan, vec, 1), 0);
	pagescan_scan_free(scan);
	pagescan_process_close(process);
}

/* Three equal parts, of which the middle one is mapped anew after it was registered. */
static char *map_replaced(struct pagescan_process *process)
{
	char *at = tracked_map(LENGTH, MAP_PRIVATE | MAP_ANONYMOUS);

	tracked_add(process, at, LENGTH, PAGE, PAGESCAN_MEMORY_ANON);
	assert_true(mmap(at + LENGTH / 3, LENGTH / 3, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + LENGTH / 3);
	/* Every other page, so that there are many regions. */
	for (uint64_t i = 0; i < N_PAGES; i += 2)
		at[i * PAGE] = 1;
	return at;
}

/* The pages told must be just those that are armed now, and written. */
static void assert_armed(struct pagescan_process *process, const char *at, const bool *is_told)
{
	for (uint64_t i = 0; i < N_PAGES; i++)
		assert_int_equal(uffd_is_armed(process->pagemap_fd, (uintptr_t)at + i * PAGE),
				 is_told[i]);
}

static void note(const char *at, const struct pagescan_region *vec, ssize_t n, bool *is_told)
{
	for (ssize_t i = 0; i < n; i++) {
		for (uint64_t a = vec[i].start; a < vec[i].end; a += PAGE) {
			uint64_t page = (a - (uintptr_t)at) / PAGE;

			assert_true(page < N_PAGES);
			assert_false(is_told[page]);
			is_told[page] = true;
		}
	}
}

/* Only what has contents, so that each written page is a region. */
static const struct pagescan_filter for_contents = {
	.required = PAGESCAN_IS_WRITTEN | PAGESCAN_IS_PRESENT,
	.report = PAGESCAN_IS_WRITTEN,
};

static void check_replaced(size_t n_vec, uint32_t flags)
{
	struct pagescan_process *process = tracked_open();
	char *at = map_replaced(process);
	struct pagescan_scan *scan =
		tracked_scan(process, &for_contents, at, LENGTH, PAGESCAN_SCAN_PROTECT | flags, 0);
	struct pagescan_region vec[N_PAGES];
	bool is_told[N_PAGES] = {false};
	ssize_t n;

	while ((n = pagescan_scan_next(scan, vec, n_vec)) > 0)
		note(at, vec, n, is_told);
	for (uint64_t i = 0; i < N_PAGES; i++) {
		bool is_middle = i / (N_PAGES / 3) == 1;
		bool is_beyond = flags && i >= N_PAGES / 3;

		assert_int_equal(is_told[i], i % 2 == 0 && !is_middle && !is_beyond);
	}
	assert_armed(process, at, is_told);
	if (flags) {
		assert_int_equal(n, -EPERM);
		assert_int_equal(pagescan_scan_get_position(scan), (uintptr_t)at + LENGTH / 3);
		assert_int_equal(pagescan_scan_next(scan, vec, n_vec), -EPERM);
	} else {
		assert_int_equal(n, 0);
		assert_int_equal(pagescan_scan_get_position(scan), (uintptr_t)at + LENGTH);
	}
	pagescan_scan_free(scan);
	munmap(at, LENGTH);
	tracked_close(process);
}

static void test_replaced(void **state)
{
	check_replaced(1, 0);
	check_replaced(N_PAGES, 0);
	check_replaced(1, PAGESCAN_SCAN_CHECK);
	check_replaced(N_PAGES, PAGESCAN_SCAN_CHECK);
}

/* A tracker that is not ours loses nothing by us. */
static void test_not_ours(void **state)
{
	struct pagescan_process *process = tracked_open(), *other = tracked_open();
	char *at = tracked_map(LENGTH, MAP_PRIVATE | MAP_ANONYMOUS);
	struct pagescan_scan *scan;
	struct pagescan_region vec[4];

	tracked_add(other, at, LENGTH, PAGE, PAGESCAN_MEMORY_ANON);
	memset(at, 1, LENGTH);
	scan = tracked_scan(process, &for_written, at, LENGTH, PAGESCAN_SCAN_PROTECT, 0);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), 0);
	pagescan_scan_free(scan);
	scan = tracked_scan(process, &for_written, at, LENGTH,
			    PAGESCAN_SCAN_PROTECT | PAGESCAN_SCAN_CHECK, 0);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), -EPERM);
	pagescan_scan_free(scan);
	scan = tracked_scan(other, &for_written, at, LENGTH, PAGESCAN_SCAN_PROTECT, 0);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), 1);
	assert_int_equal(vec[0].end - vec[0].start, LENGTH);
	pagescan_scan_free(scan);
	munmap(at, LENGTH);
	tracked_close(other);
	tracked_close(process);
}

/* A huge page is told and armed as a whole or not at all. */
static void test_huge_and_max_pages(void **state)
{
	struct pagescan_process *process = tracked_open();
	char *at = tracked_map(2 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS);
	uint64_t start = (uintptr_t)at;
	struct pagescan_scan *scan;
	struct pagescan_region vec[4];

	madvise(at, 2 * HUGE, MADV_HUGEPAGE);
	tracked_add(process, at, 2 * HUGE, PAGE, PAGESCAN_MEMORY_ANON);
	memset(at, 1, 2 * HUGE);
	if (uffd_count(process->pagemap_fd, start, start + 2 * HUGE, PAGESCAN_IS_HUGE) !=
	    2 * HUGE) {
		tracked_close(process);
		skip_because("no huge pages to be had");
	}
	scan = tracked_scan(process, &for_written, at, 2 * HUGE, PAGESCAN_SCAN_PROTECT, 511);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), -EMSGSIZE);
	assert_int_equal(pagescan_scan_get_position(scan), start);
	pagescan_scan_free(scan);
	scan = tracked_scan(process, &for_written, at, 2 * HUGE, PAGESCAN_SCAN_PROTECT, 1023);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), 1);
	assert_int_equal(vec[0].end, start + HUGE);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), 0);
	assert_int_equal(pagescan_scan_get_position(scan), start + HUGE);
	pagescan_scan_free(scan);
	assert_int_equal(uffd_count(process->pagemap_fd, start, start + 2 * HUGE, PAGESCAN_IS_HUGE),
			 2 * HUGE);
	scan = tracked_scan(process, &for_written, at, 2 * HUGE, PAGESCAN_SCAN_PROTECT, 512);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), 1);
	assert_int_equal(vec[0].start, start + HUGE);
	pagescan_scan_free(scan);
	munmap(at, 2 * HUGE);
	tracked_close(process);
}

static void wait_forever(int fd, void *arg)
{
	child_hear(fd);
}

static void call_exec(int fd, void *arg)
{
	child_hear(fd);
	execlp("sleep", "sleep", "100", NULL);
}

static void check_gone(bool is_exec)
{
	struct child child = child_start(is_exec ? call_exec : wait_forever, NULL);
	struct pagescan_filter present = {.required = PAGESCAN_IS_PRESENT};
	struct pagescan_process *process;
	struct pagescan_scan *scan;
	struct pagescan_region vec[4];
	ssize_t n;

	assert_int_equal(pagescan_process_open(child.pid, &process, NULL), 0);
	assert_int_equal(pagescan_scan_new(process, &present, NULL, &scan, NULL), 0);
	assert_true(pagescan_scan_next(scan, vec, 4) > 0);
	if (is_exec) {
		child_say(child.fd, 'x');
		while (pagescan_process_get_state(process) == PAGESCAN_PROCESS_RUNNING)
			usleep(1000);
	} else {
		kill(child.pid, SIGKILL);
		child_wait_ended(&child);
	}
	while ((n = pagescan_scan_next(scan, vec, 4)) > 0)
		;
	assert_int_equal(n, -ESRCH);
	assert_int_equal(pagescan_scan_next(scan, vec, 4), -ESRCH);
	pagescan_scan_free(scan);
	pagescan_process_close(process);
	child_end(&child);
}

static void test_gone(void **state)
{
	check_gone(false);
	check_gone(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),     cmocka_unit_test(test_written_by_expression),
		cmocka_unit_test(test_whole_memory), cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_not_ours),     cmocka_unit_test(test_huge_and_max_pages),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests_name("scan-edges", tests, NULL, NULL);
}
