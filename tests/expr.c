/* SPDX-License-Identifier: MIT */
/* Conditions as text: what they mean, and what is said of those that mean nothing. */
#include "support.h"

#include <errno.h>
#include <pagescan/scan.h>
#include <string.h>

#define N_CATEGORIES 10
#define N_ROWS       (1u << N_CATEGORIES)

static struct pagescan_expr *parse(const char *text)
{
	struct pagescan_error error = {0};
	struct pagescan_expr *expr;

	if (pagescan_expr_parse(text, &expr, &error) != 0)
		fail_msg("%s: %s", text, error.text);
	return expr;
}

static bool matches(const char *text, uint64_t categories)
{
	struct pagescan_expr *expr = parse(text);
	bool is_match = pagescan_expr_matches(expr, categories);

	pagescan_expr_free(expr);
	return is_match;
}

static void assert_same(const char *a, const char *b)
{
	struct pagescan_expr *x = parse(a), *y = parse(b);

	for (uint64_t row = 0; row < N_ROWS; row++) {
		if (pagescan_expr_matches(x, row) != pagescan_expr_matches(y, row))
			fail_msg("'%s' and '%s' differ at 0x%x", a, b, (unsigned)row);
	}
	assert_int_equal(pagescan_expr_get_categories(x), pagescan_expr_get_categories(y));
	pagescan_expr_free(x);
	pagescan_expr_free(y);
}

static void test_names(void **state)
{
	for (uint64_t bit = 1; bit < N_ROWS; bit <<= 1) {
		struct pagescan_expr *expr = parse(pagescan_category_name(bit));

		assert_int_equal(pagescan_expr_get_categories(expr), bit);
		for (uint64_t row = 0; row < N_ROWS; row++)
			assert_int_equal(pagescan_expr_matches(expr, row), (row & bit) != 0);
		pagescan_expr_free(expr);
	}
	assert_same("WRITTEN", "written");
	assert_same("Soft_Dirty", "soft_dirty");
	assert_true(matches("all", 0));
	assert_false(matches("!ALL", 0));
}

static void test_binding(void **state)
{
	assert_same("written | file & huge", "written | (file & huge)");
	assert_same("written & file | huge", "(written & file) | huge");
	assert_same("!written & file", "(!written) & file");
	assert_same("!written | file", "(!written) | file");
	assert_same("!(written | file)", "!written & !file");
	assert_same("!!written", "written");
	assert_same("!!!written", "! ! ! written");
	assert_same("written&file&!swapped&(present|huge)",
		    "\t( ( written ) &\nfile & !swapped & (huge | present) ) ");
	assert_same("written & !written", "!all");
	assert_same("written | !written", "all");
}

static void test_meaning(void **state)
{
	const char *text = "written & file & !swapped & (present | huge)";
	const uint64_t both = PAGESCAN_IS_WRITTEN | PAGESCAN_IS_FILE;

	assert_true(matches(text, both | PAGESCAN_IS_PRESENT));
	assert_true(matches(text, both | PAGESCAN_IS_HUGE | PAGESCAN_IS_GUARD));
	assert_false(matches(text, both));
	assert_false(matches(text, both | PAGESCAN_IS_HUGE | PAGESCAN_IS_SWAPPED));
	/* Categories that there are not yet do not matter. */
	assert_true(matches("!written", ~(uint64_t)PAGESCAN_IS_WRITTEN));
}

static void test_categories(void **state)
{
	struct pagescan_expr *expr = parse("(written & file) | (written & !file)");

	assert_int_equal(pagescan_expr_get_categories(expr), PAGESCAN_IS_WRITTEN);
	pagescan_expr_free(expr);
}

static void assert_refused(const char *text, const char *message)
{
	struct pagescan_expr *expr = (void *)&expr;
	struct pagescan_error error = {0};

	assert_int_equal(pagescan_expr_parse(text, &expr, &error), -EINVAL);
	assert_ptr_equal(expr, (void *)&expr);
	assert_int_equal(error.code, -EINVAL);
	assert_string_equal(error.text, message);
	assert_int_equal(pagescan_expr_parse(text, &expr, NULL), -EINVAL);
}

static void test_mistakes(void **state)
{
	assert_refused("", "at column 1: expected a category, '!' or '(', found the end");
	assert_refused("  ", "at column 3: expected a category, '!' or '(', found the end");
	assert_refused("written &", "at column 10: expected a category, '!' or '(', found the end");
	assert_refused("written & )", "at column 11: expected a category, '!' or '(', found ')'");
	assert_refused("written && file",
		       "at column 10: expected a category, '!' or '(', found '&'");
	assert_refused("written file", "at column 9: expected '&', '|' or the end, found 'file'");
	assert_refused("(written", "at column 9: expected '&', '|' or ')', found the end");
	assert_refused("(written huge)", "at column 10: expected '&', '|' or ')', found 'huge'");
	assert_refused("written)", "at column 8: expected '&', '|' or the end, found ')'");
	assert_refused("written & \x80", "at column 11: expected a category, '!' or '(', found the "
					 "byte 0x80");
	assert_refused("written !", "at column 9: expected '&', '|' or the end, found '!'");
	assert_refused("()", "at column 2: expected a category, '!' or '(', found ')'");
	assert_refused("written | writen",
		       "at column 11: 'writen' is no category; those are all, wpallowed, written, "
		       "file, present, swapped, pfnzero, huge, soft_dirty, guard, accessed");
}

static void test_null(void **state)
{
	struct pagescan_expr *expr;

	assert_int_equal(pagescan_expr_parse(NULL, &expr, NULL), -EINVAL);
	assert_int_equal(pagescan_expr_parse("all", NULL, NULL), -EINVAL);
	pagescan_expr_free(NULL);
}

static void test_depth_and_length(void **state)
{
	struct pagescan_expr *expr;
	struct pagescan_error error;
	char text[5000];

	memset(text, '(', 2000);
	text[2000] = '\0';
	assert_int_equal(pagescan_expr_parse(text, &expr, &error), -EINVAL);
	assert_string_equal(error.text, "at column 101: more than 100 parentheses in each other");

	memset(text, '!', 4000);
	strcpy(text + 4000, "written");
	assert_same(text, "written");

	memset(text, '(', 100);
	memcpy(text + 100, "written", 7);
	memset(text + 107, ')', 100);
	strcpy(text + 207, "|(huge)");
	assert_same(text, "written | huge");

	memset(text, ' ', 4999);
	text[4999] = '\0';
	assert_int_equal(pagescan_expr_parse(text, &expr, &error), -EINVAL);
	assert_string_equal(error.text, "a condition of more than 4096 characters");

	memset(text, 'x', 4000);
	text[4000] = '\0';
	assert_int_equal(pagescan_expr_parse(text, &expr, &error), -EINVAL);
	assert_memory_equal(error.text, "at column 1: 'xxx", 17);
	assert_non_null(strstr(error.text, "accessed"));
}

/* Nothing that can be typed does harm, and what is taken means the same when read again. */
static void test_garbage(void **state)
{
	static const char *const pieces[] = {"written", "file", "(", ")", "!",  "&",    "|",
					     " ",       "all",  "x", "_", "\t", "\xff", "7"};
	uint64_t random = test_seed();
	unsigned n_taken = 0;

	for (int round = 0; round < 100000; round++) {
		struct pagescan_error error = {0};
		struct pagescan_expr *expr = NULL;
		char text[128] = "";
		size_t n = test_random(&random) % 12;
		int r;

		while (n--)
			strcat(text, pieces[test_random(&random) % 14]);
		r = pagescan_expr_parse(text, &expr, &error);
		assert_int_equal(r, expr ? 0 : -EINVAL);
		assert_int_equal(error.text[0] != '\0', r < 0);
		n_taken += r == 0;
		pagescan_expr_free(expr);
	}
	assert_true(n_taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_meaning),
		cmocka_unit_test(test_categories),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_depth_and_length),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests_name("expr", tests, NULL, NULL);
}
