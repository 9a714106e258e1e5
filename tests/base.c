/* SPDX-License-Identifier: MIT */
/* Errors, options that grow, category names. */
#include "base/error.h"
#include "base/system.h"
#include "support.h"

#include <errno.h>
#include <string.h>

static void test_error_says_what_and_returns_the_code(void **state)
{
	struct pagescan_error error;

	assert_int_equal(pagescan_error_set(&error, -EPERM, "no %s", "luck"), -EPERM);
	assert_int_equal(error.code, -EPERM);
	assert_string_equal(error.text, "no luck");
	assert_int_equal(pagescan_error_set(NULL, -EPERM, "no %s", "luck"), -EPERM);
}

static void test_error_too_long_is_cut(void **state)
{
	struct pagescan_error error;
	char text[400];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	pagescan_error_set(&error, -EINVAL, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
}

struct opts {
	size_t size;
	uint64_t first;
	uint64_t second;
};

static void test_opts_grow_both_ways(void **state)
{
	struct {
		struct opts known;
		uint64_t newer;
	} longer = {{sizeof(longer), 1, 2}, 0};
	struct opts shorter = {offsetof(struct opts, second), 1, 2}, ours;

	assert_int_equal(pagescan_opts_copy(&ours, sizeof(ours), NULL, 16), 0);
	assert_int_equal(ours.size, sizeof(ours));
	assert_int_equal(ours.first, 0);

	assert_int_equal(pagescan_opts_copy(&ours, sizeof(ours), &shorter, 16), 0);
	assert_int_equal(ours.size, sizeof(ours));
	assert_int_equal(ours.first, 1);
	assert_int_equal(ours.second, 0);

	assert_int_equal(pagescan_opts_copy(&ours, sizeof(ours), &longer, 16), 0);
	assert_int_equal(ours.size, sizeof(ours));
	assert_int_equal(ours.second, 2);
	longer.newer = UINT64_C(1) << 63;
	assert_int_equal(pagescan_opts_copy(&ours, sizeof(ours), &longer, 16), -E2BIG);

	shorter.size = 15;
	assert_int_equal(pagescan_opts_copy(&ours, sizeof(ours), &shorter, 16), -EINVAL);
	shorter.size = 0;
	assert_int_equal(pagescan_opts_copy(&ours, sizeof(ours), &shorter, 0), -EINVAL);
}

static void test_category_names(void **state)
{
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_WPALLOWED), "wpallowed");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_WRITTEN), "written");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_FILE), "file");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_PRESENT), "present");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_SWAPPED), "swapped");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_PFNZERO), "pfnzero");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_HUGE), "huge");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_SOFT_DIRTY), "soft_dirty");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_GUARD), "guard");
	assert_string_equal(pagescan_category_name(PAGESCAN_IS_ACCESSED), "accessed");
	assert_null(pagescan_category_name(0));
	assert_null(pagescan_category_name(PAGESCAN_IS_FILE | PAGESCAN_IS_HUGE));
	assert_null(pagescan_category_name(UINT64_C(1) << 10));
}

static void test_system(void **state)
{
	uint64_t before = pagescan_now_ns();

	assert_int_equal(pagescan_page_size() & (pagescan_page_size() - 1), 0);
	assert_true(pagescan_page_size() >= 4096);
	assert_true(pagescan_now_ns() >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_says_what_and_returns_the_code),
		cmocka_unit_test(test_error_too_long_is_cut),
		cmocka_unit_test(test_opts_grow_both_ways),
		cmocka_unit_test(test_category_names),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
