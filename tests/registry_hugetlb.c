/* SPDX-License-Identifier: MIT */
/* Registering hugetlb memory, and letting go of it. */
#include "pool.h"
#include "process/process.h"
#include "support.h"
#include "uffd.h"

#include <string.h>
#include <sys/mman.h>

#define HUGE         (UINT64_C(2) << 20)
#define LENGTH       (UINT64_C(80) << 20)
#define N_HUGE       40
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

static void check_pieces(struct pagescan_process *process, uint64_t at,
			 enum pagescan_memory_kind kind)
{
	struct pagescan_registry *registry = &process->registry;
	struct pagescan_registration r = {at, at + LENGTH, HUGE, kind}, found;
	struct pagescan_region vec[64];
	int n;

	assert_int_equal(pagescan_registry_add(registry, &r), 0);
	assert_true(pagescan_registry_find(registry, at, &found));
	assert_int_equal(found.page_size, HUGE);
	assert_int_equal(found.kind, kind);
	n = uffd_scan(process->pagemap_fd, at, at + LENGTH,
		      PAGESCAN_IS_PRESENT | PAGESCAN_IS_WRITTEN, true, vec, 64);
	assert_int_equal(n, 1);
	assert_int_equal(vec[0].end - vec[0].start, LENGTH);
	assert_int_equal(uffd_count(process->pagemap_fd, at, at + LENGTH,
				    PAGESCAN_IS_PRESENT | PAGESCAN_IS_WRITTEN),
			 0);

	assert_int_equal(pagescan_registry_release(registry, at + HUGE, at + LENGTH - HUGE), 0);
	assert_int_equal(uffd_count(process->pagemap_fd, at, at + LENGTH, PAGESCAN_IS_WPALLOWED),
			 2 * HUGE);
	assert_int_equal(uffd_count_armed(process->pagemap_fd, at, at + LENGTH), 2 * HUGE);
	assert_int_equal(pagescan_registry_release(registry, at, at + LENGTH), 0);
	assert_int_equal(uffd_count(process->pagemap_fd, at, at + LENGTH, PAGESCAN_IS_WPALLOWED),
			 0);
	assert_int_equal(uffd_count_armed(process->pagemap_fd, at, at + LENGTH), 0);
}

static void check(int flags, enum pagescan_memory_kind kind)
{
	struct pagescan_process *process;
	void *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
			    MAP_ANONYMOUS | MAP_HUGETLB | HUGETLB_2MIB | flags, -1, 0);
	int opened;

	if (memory == MAP_FAILED)
		skip_because("no pool of huge pages can be had here");
	memset(memory, 1, LENGTH);
	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	opened = pagescan_registry_open(&process->registry, uffd_make());
	if (opened == 0)
		check_pieces(process, (uintptr_t)memory, kind);
	pagescan_process_close(process);
	munmap(memory, LENGTH);
	if (opened < 0)
		skip_because("no userfaultfd with async write-protection here");
}

static void test_private(void **state)
{
	check(MAP_PRIVATE, PAGESCAN_MEMORY_PRIVATE_FILE);
}

static void test_shared(void **state)
{
	check(MAP_SHARED, PAGESCAN_MEMORY_SHARED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, borrow_pool, give_pool_back);
}
