/* SPDX-License-Identifier: MIT */
/* Protecting hugetlb pages: whole ones, or none. */
#include "pool.h"
#include "scan-tracked.h"

#include <string.h>

#define N_HUGE       4
#define LENGTH       (N_HUGE * HUGE)
#define HUGETLB_2MIB (21 << 26)

static int borrow_pool(void **state)
{
	pool_change(N_HUGE);
	return 0;
}

static int give_pool_back(void **state)
{
	pool_change(-N_HUGE);
	return 0;
}

static char *map_huge(struct pagescan_process *process)
{
	char *at = tracked_map(LENGTH, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | HUGETLB_2MIB);

	if (!at) {
		tracked_close(process);
		skip_because("no hugetlb pages to be had (vm.nr_hugepages)");
	}
	tracked_add(process, at, LENGTH, HUGE, PAGESCAN_MEMORY_SHARED);
	return at;
}

static ssize_t scan_once(struct pagescan_process *process, const char *at, uint64_t length,
			 uint64_t max_pages, struct pagescan_region *vec, uint64_t *ret_position)
{
	struct pagescan_scan *scan =
		tracked_scan(process, &for_written, at, length, PAGESCAN_SCAN_PROTECT, max_pages);
	ssize_t n = pagescan_scan_next(scan, vec, N_HUGE);

	*ret_position = pagescan_scan_get_position(scan) - (uintptr_t)at;
	/* It ends, or says the same again. */
	if (n < 0)
		assert_int_equal(pagescan_scan_next(scan, vec, N_HUGE), n);
	pagescan_scan_free(scan);
	return n;
}

static void test_pages(void **state)
{
	struct pagescan_process *process = tracked_open();
	struct pagescan_region vec[N_HUGE];
	char *at = map_huge(process);
	uint64_t position;

	/* Not the second: it is never told and does no harm. */
	at[0] = at[2 * HUGE] = at[3 * HUGE] = 1;
	assert_int_equal(scan_once(process, at, LENGTH - PAGE, 0, vec, &position), -EINVAL);
	assert_int_equal(scan_once(process, at + PAGE, LENGTH - PAGE, 0, vec, &position), -EINVAL);
	assert_int_equal(scan_once(process, at, LENGTH, 511, vec, &position), -EMSGSIZE);
	assert_int_equal(position, 0);
	assert_int_equal(scan_once(process, at, LENGTH, 513, vec, &position), 1);
	assert_int_equal(vec[0].end - vec[0].start, HUGE);
	assert_int_equal(scan_once(process, at, LENGTH, 0, vec, &position), 1);
	assert_int_equal(vec[0].start, (uintptr_t)at + 2 * HUGE);
	assert_int_equal(vec[0].end, (uintptr_t)at + LENGTH);
	assert_int_equal(scan_once(process, at, LENGTH, 0, vec, &position), 0);
	assert_int_equal(position, LENGTH);
	at[3 * HUGE + 5 * PAGE] = 1;
	assert_int_equal(scan_once(process, at, LENGTH, 0, vec, &position), 1);
	assert_int_equal(vec[0].start, (uintptr_t)at + 3 * HUGE);
	munmap(at, LENGTH);
	tracked_close(process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages)};

	return cmocka_run_group_tests_name("scan-hugetlb", tests, borrow_pool, give_pool_back);
}
