/* SPDX-License-Identifier: MIT */
/* The model's rules one by one, without a kernel: those of eras and memory that are hard to come
 * by. */
#include "base/system.h"
#include "support.h"
#include "uapi/pagemap.h"

#include <errno.h>
#include <pagescan/model.h>
#include <string.h>

#define BASE    UINT64_C(0x10000000)
#define WRITTEN PAGESCAN_IS_WRITTEN
#define PRESENT PAGESCAN_IS_PRESENT
#define SWAPPED PAGESCAN_IS_SWAPPED
#define ALLOWED PAGESCAN_IS_WPALLOWED

static uint64_t page, huge;

static struct pagescan_model *model_of_era(enum pagescan_era era)
{
	struct pagescan_model_opts opts = {.size = sizeof(opts), .era = era};
	struct pagescan_model *model;

	page = pagescan_page_size();
	huge = page * (page / 8);
	assert_int_equal(pagescan_model_new(&opts, &model), 0);
	return model;
}

static struct pagescan_model *model_with(uint32_t memory, enum pagescan_model_mode mode)
{
	struct pagescan_model *model = model_of_era(PAGESCAN_ERA_2);

	assert_int_equal(pagescan_model_map(model, BASE, 4 * huge, memory, 1, 0), 0);
	if (mode)
		assert_int_equal(pagescan_model_register(model, BASE, 4 * huge, mode), 0);
	return model;
}

/* All categories of one page. */
static uint64_t look(struct pagescan_model *model, uint64_t address)
{
	struct pagescan_region region = {0};
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = address,
		.end = address + page,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.return_mask = PAGESCAN_IS_GUARD * 2 - 1,
	};

	if (pagescan_model_scan(model, &arg) == -EINVAL) {
		arg.return_mask = PAGESCAN_IS_GUARD - 1;
		assert_int_equal(pagescan_model_scan(model, &arg), 1);
	}
	assert_int_equal(region.start, address);
	return region.categories;
}

/* Whether the written-only path reports the page (R6.2). */
static int ask_written(struct pagescan_model *model, uint64_t address, uint64_t flags)
{
	struct pagescan_region region;
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = address,
		.end = address + page,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = WRITTEN,
		.return_mask = WRITTEN,
	};

	return pagescan_model_scan(model, &arg);
}

static void arm(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	assert_int_equal(pagescan_model_write_protect(model, start, length, 1), 0);
}

/* R0.4: what tells the eras apart. */
static void test_eras(void **state)
{
	static const struct {
		enum pagescan_era era;
		uint64_t touched, neighbour, hole;
		int fast;
	} eras[] = {
		{PAGESCAN_ERA_1, PRESENT | WRITTEN, 0, 0, 1},
		{PAGESCAN_ERA_2, PRESENT | WRITTEN, WRITTEN, 0, 1},
		{PAGESCAN_ERA_3, PRESENT, 0, 0, 0},
	};

	for (size_t i = 0; i < 3; i++) {
		struct pagescan_model *model = model_of_era(eras[i].era);

		assert_int_equal(
			pagescan_model_map(model, BASE, 2 * huge, PAGESCAN_MODEL_ANON, 0, 0), 0);
		assert_int_equal(pagescan_model_write(model, BASE), 0);
		assert_int_equal(look(model, BASE), eras[i].touched);
		assert_int_equal(look(model, BASE + page), eras[i].neighbour);
		assert_int_equal(look(model, BASE + huge), eras[i].hole);
		assert_int_equal(ask_written(model, BASE + page, 0), eras[i].fast);
		/* Registered, what was given back reads as written from era 2 on. */
		assert_int_equal(
			pagescan_model_register(model, BASE, 2 * huge, PAGESCAN_MODEL_WP_ASYNC), 0);
		assert_int_equal(look(model, BASE + huge),
				 eras[i].era == PAGESCAN_ERA_1 ? ALLOWED : ALLOWED | WRITTEN);
		pagescan_model_free(model);
	}
}

/* R10.4, R10.6: private memory, armed, through all that can happen to it. */
static void test_private_memory(void **state)
{
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_ANON, PAGESCAN_MODEL_WP_ASYNC);

	assert_int_equal(pagescan_model_write(model, BASE), 0);
	arm(model, BASE, 4 * page);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT);
	assert_int_equal(look(model, BASE + page), ALLOWED | SWAPPED);
	assert_int_equal(pagescan_model_read(model, BASE + page), 0);
	assert_int_equal(look(model, BASE + page), ALLOWED | PRESENT | PAGESCAN_IS_PFNZERO);
	/* Swapped out and in, it stays armed. */
	assert_int_equal(pagescan_model_swap_out(model, BASE, 2 * page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | SWAPPED);
	assert_int_equal(look(model, BASE + page), ALLOWED | PRESENT | PAGESCAN_IS_PFNZERO);
	assert_int_equal(pagescan_model_read(model, BASE), 0);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT);
	assert_int_equal(pagescan_model_write(model, BASE), 0);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT | WRITTEN);
	assert_int_equal(pagescan_model_swap_out(model, BASE, page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | SWAPPED | WRITTEN);
	/* Given back, its mark is gone. */
	arm(model, BASE, 4 * page);
	assert_int_equal(pagescan_model_dontneed(model, BASE, 4 * page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | WRITTEN);
	pagescan_model_free(model);
}

/* MADV_FREE: the mark stays until the page is reclaimed; what is written meanwhile stays too. */
static void test_freed_lazily(void **state)
{
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_ANON, PAGESCAN_MODEL_WP_ASYNC);

	assert_int_equal(pagescan_model_write(model, BASE), 0);
	assert_int_equal(pagescan_model_write(model, BASE + page), 0);
	arm(model, BASE, 2 * page);
	assert_int_equal(pagescan_model_free_lazily(model, BASE, 2 * page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT);
	assert_int_equal(pagescan_model_write(model, BASE + page), 0);
	assert_int_equal(pagescan_model_swap_out(model, BASE, 2 * page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | WRITTEN);
	assert_int_equal(look(model, BASE + page), ALLOWED | SWAPPED | WRITTEN);
	pagescan_model_free(model);
}

/* MADV_FREE ends at a mapping with a file: what is in swap behind it stays there. */
static void test_freeing_stops_at_a_file(void **state)
{
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_ANON, 0);

	assert_int_equal(pagescan_model_map(model, BASE + page, page, PAGESCAN_MODEL_FILE, 1, 0),
			 0);
	assert_int_equal(pagescan_model_write(model, BASE), 0);
	assert_int_equal(pagescan_model_write(model, BASE + 2 * page), 0);
	assert_int_equal(pagescan_model_swap_out(model, BASE, 3 * page), 0);
	assert_int_equal(pagescan_model_free_lazily(model, BASE, 3 * page), -EINVAL);
	assert_int_equal(look(model, BASE) & SWAPPED, 0);
	assert_int_equal(look(model, BASE + 2 * page) & SWAPPED, SWAPPED);
	assert_int_equal(pagescan_model_free_lazily(model, BASE + 2 * page, page), 0);
	assert_int_equal(look(model, BASE + 2 * page) & SWAPPED, 0);
	pagescan_model_free(model);
}

/* R4.2, R10.6: shared memory keeps its marks, and forgets what was written and then reclaimed. */
static void test_shared_memory(void **state)
{
	const uint64_t file = PAGESCAN_IS_FILE;
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_SHARED, PAGESCAN_MODEL_WP_ASYNC);

	assert_int_equal(pagescan_model_write(model, BASE), 0);
	assert_int_equal(pagescan_model_write(model, BASE + page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT | WRITTEN | file);
	arm(model, BASE, page);
	assert_int_equal(pagescan_model_swap_out(model, BASE, 2 * page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | SWAPPED);
	assert_int_equal(look(model, BASE + page), ALLOWED | WRITTEN);
	assert_int_equal(pagescan_model_read(model, BASE), 0);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT | file);
	assert_int_equal(pagescan_model_dontneed(model, BASE, page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | SWAPPED);
	pagescan_model_free(model);
}

/* R4.1: a private copy of a file's page is no file's page. */
static void test_private_file(void **state)
{
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_FILE, 0);

	assert_int_equal(pagescan_model_read(model, BASE), 0);
	assert_int_equal(look(model, BASE), PRESENT | WRITTEN | PAGESCAN_IS_FILE);
	assert_int_equal(pagescan_model_write(model, BASE), 0);
	assert_int_equal(look(model, BASE), PRESENT | WRITTEN);
	pagescan_model_free(model);
}

/* R10.4: of an armed private huge page, what is written stands alone; a shared one is all written.
 */
static void test_huge_pages(void **state)
{
	const uint64_t is_huge = PAGESCAN_IS_HUGE;
	struct pagescan_model *model =
		model_with(PAGESCAN_MODEL_ANON | PAGESCAN_MODEL_HUGEPAGE, PAGESCAN_MODEL_WP_ASYNC);

	assert_int_equal(pagescan_model_write(model, BASE), 0);
	assert_int_equal(pagescan_model_read(model, BASE + huge), 0);
	assert_int_equal(look(model, BASE + page), ALLOWED | PRESENT | WRITTEN | is_huge);
	assert_int_equal(look(model, BASE + huge),
			 ALLOWED | PRESENT | WRITTEN | is_huge | PAGESCAN_IS_PFNZERO);
	arm(model, BASE, huge);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT | is_huge);
	assert_int_equal(pagescan_model_write(model, BASE + 7 * page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT);
	assert_int_equal(look(model, BASE + 7 * page), ALLOWED | PRESENT | WRITTEN);
	/* R10.9: no page of it may be armed. */
	assert_int_equal(pagescan_model_collapse(model, BASE), -EINVAL);
	assert_int_equal(pagescan_model_write_protect(model, BASE, huge, 0), 0);
	assert_int_equal(pagescan_model_collapse(model, BASE), 0);
	assert_int_equal(look(model, BASE), ALLOWED | PRESENT | WRITTEN | is_huge);
	pagescan_model_free(model);

	model = model_with(PAGESCAN_MODEL_SHARED, 0);
	assert_int_equal(pagescan_model_write(model, BASE), 0);
	assert_int_equal(pagescan_model_collapse(model, BASE), 0);
	assert_int_equal(pagescan_model_register(model, BASE, 4 * huge, PAGESCAN_MODEL_WP_ASYNC),
			 0);
	assert_int_equal(ask_written(model, BASE, 0), 1);
	/* R7.4: to arm a part of it takes it out of the page table. */
	assert_int_equal(ask_written(model, BASE, UAPI_PM_SCAN_WP_MATCHING), 1);
	assert_int_equal(look(model, BASE), ALLOWED | SWAPPED);
	assert_int_equal(look(model, BASE + page), ALLOWED | WRITTEN);
	pagescan_model_free(model);
}

static void test_guard_pages(void **state)
{
	const uint64_t guard = SWAPPED | PAGESCAN_IS_GUARD;
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_ANON, PAGESCAN_MODEL_WP_ASYNC);

	assert_int_equal(pagescan_model_guard_install(model, BASE, page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | WRITTEN | guard);
	assert_int_equal(pagescan_model_write(model, BASE), -EFAULT);
	assert_int_equal(pagescan_model_dontneed(model, BASE, page), 0);
	assert_int_equal(ask_written(model, BASE, UAPI_PM_SCAN_WP_MATCHING), 1);
	assert_int_equal(look(model, BASE), ALLOWED | guard);
	assert_int_equal(pagescan_model_guard_remove(model, BASE, page), 0);
	assert_int_equal(look(model, BASE), ALLOWED | WRITTEN);
	pagescan_model_free(model);

	/* R10.11: the kernel would never come back. */
	model = model_with(PAGESCAN_MODEL_SHARED, PAGESCAN_MODEL_WP_ASYNC);
	arm(model, BASE, page);
	assert_int_equal(pagescan_model_guard_install(model, BASE, page), -EDEADLK);
	assert_int_equal(look(model, BASE), ALLOWED | SWAPPED);
	pagescan_model_free(model);
}

/* R3.3, R4.8: other modes are not wp-allowed, and make others wait. */
static void test_modes(void **state)
{
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_ANON, PAGESCAN_MODEL_WP_SYNC);

	arm(model, BASE, page);
	assert_int_equal(look(model, BASE), SWAPPED);
	assert_int_equal(pagescan_model_write(model, BASE), -EAGAIN);
	assert_int_equal(ask_written(model, BASE + page, UAPI_PM_SCAN_CHECK_WPASYNC), -EPERM);
	assert_int_equal(ask_written(model, BASE + page, UAPI_PM_SCAN_WP_MATCHING), 0);
	assert_int_equal(pagescan_model_register(model, BASE, page, PAGESCAN_MODEL_WP_ASYNC),
			 -EBUSY);
	assert_int_equal(pagescan_model_unregister(model, BASE, 4 * huge), 0);
	assert_int_equal(look(model, BASE), WRITTEN);
	pagescan_model_free(model);

	model = model_with(PAGESCAN_MODEL_ANON, PAGESCAN_MODEL_MISSING);
	assert_int_equal(pagescan_model_read(model, BASE), -EAGAIN);
	assert_int_equal(pagescan_model_write_protect(model, BASE, page, 1), -ENOENT);
	pagescan_model_free(model);
}

/* R3.2: the check comes before the skip. */
static void test_special_memory(void **state)
{
	struct pagescan_model *model = model_with(PAGESCAN_MODEL_SPECIAL, 0);
	struct uapi_pm_scan_arg arg = {.size = sizeof(arg), .start = BASE, .end = BASE + page};
	struct pagescan_region region;

	arg.vec = (uintptr_t)&region;
	arg.vec_len = 1;
	assert_int_equal(pagescan_model_scan(model, &arg), 0);
	arg.flags = UAPI_PM_SCAN_CHECK_WPASYNC;
	assert_int_equal(pagescan_model_scan(model, &arg), -EPERM);
	assert_int_equal(pagescan_model_register(model, BASE, page, PAGESCAN_MODEL_WP_ASYNC),
			 -EINVAL);
	pagescan_model_free(model);
}

static void test_wrong_arguments(void **state)
{
	struct pagescan_model_opts opts = {.size = sizeof(opts), .era = 4};
	struct pagescan_model *model = (void *)1;

	assert_int_equal(pagescan_model_new(&opts, &model), -EINVAL);
	opts = (struct pagescan_model_opts){.size = sizeof(opts), .categories = UINT64_C(1) << 10};
	assert_int_equal(pagescan_model_new(&opts, &model), -EINVAL);
	assert_ptr_equal(model, (void *)1);
	assert_int_equal(pagescan_model_new(NULL, &model), 0);
	assert_int_equal(pagescan_model_map(model, 1, page, PAGESCAN_MODEL_ANON, 0, 0), -EINVAL);
	assert_int_equal(pagescan_model_map(model, page, 1, PAGESCAN_MODEL_ANON, 0, 0), -EINVAL);
	assert_int_equal(pagescan_model_map(model, page, 0, PAGESCAN_MODEL_ANON, 0, 0), -EINVAL);
	assert_int_equal(pagescan_model_map(model, page, page, PAGESCAN_MODEL_HUGETLB, 0, 0),
			 -EINVAL);
	assert_int_equal(pagescan_model_map(model, page, page, 77, 0, 0), -EINVAL);
	assert_int_equal(pagescan_model_map(model, ~(page - 1), page, PAGESCAN_MODEL_ANON, 0, 0),
			 -EINVAL);
	assert_int_equal(pagescan_model_register(model, page, page, PAGESCAN_MODEL_WP_ASYNC),
			 -EINVAL);
	assert_int_equal(pagescan_model_read(model, page), -EFAULT);
	assert_int_equal(pagescan_model_move(model, page, page, 2 * page), -EFAULT);
	assert_int_equal(pagescan_model_collapse(model, huge), -EINVAL);
	pagescan_model_free(model);
	pagescan_model_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eras),
		cmocka_unit_test(test_private_memory),
		cmocka_unit_test(test_freed_lazily),
		cmocka_unit_test(test_freeing_stops_at_a_file),
		cmocka_unit_test(test_shared_memory),
		cmocka_unit_test(test_private_file),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_guard_pages),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_special_memory),
		cmocka_unit_test(test_wrong_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
