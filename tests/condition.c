/* SPDX-License-Identifier: MIT */
/* Conditions against a plain evaluation, and plans against what the kernel makes of their masks. */
#include "scan/condition.h"
#include "scan/plan.h"
#include "support.h"

#define N_ROWS (1u << PAGESCAN_N_CATEGORIES)

/* An expression in a form that is as far from a table as can be. */
struct node {
	enum { CATEGORY, NOT, AND, OR } kind;
	unsigned category;
	const struct node *a, *b;
};

struct nodes {
	struct node nodes[64];
	size_t n;
};

static bool evaluate(const struct node *node, uint64_t row)
{
	switch (node->kind) {
	case NOT:
		return !evaluate(node->a, row);
	case AND:
		return evaluate(node->a, row) && evaluate(node->b, row);
	case OR:
		return evaluate(node->a, row) || evaluate(node->b, row);
	default:
		return row >> node->category & 1;
	}
}

static void build(const struct node *node, struct pagescan_condition *ret)
{
	struct pagescan_condition b;

	if (node->kind == CATEGORY) {
		pagescan_condition_set_category(ret, UINT64_C(1) << node->category);
		return;
	}
	build(node->a, ret);
	if (node->kind == NOT) {
		pagescan_condition_not(ret);
		return;
	}
	build(node->b, &b);
	if (node->kind == AND)
		pagescan_condition_and(ret, &b);
	else
		pagescan_condition_or(ret, &b);
}

static const struct node *make_node(struct nodes *pool, uint64_t *random, unsigned depth)
{
	struct node *node = &pool->nodes[pool->n++];

	node->kind = depth ? test_random(random) % 4 : CATEGORY;
	node->category = test_random(random) % PAGESCAN_N_CATEGORIES;
	if (node->kind != CATEGORY)
		node->a = make_node(pool, random, depth - 1);
	if (node->kind == AND || node->kind == OR)
		node->b = make_node(pool, random, depth - 1);
	return node;
}

static void random_condition(struct pagescan_condition *c, uint64_t *random)
{
	struct nodes pool = {.n = 0};

	build(make_node(&pool, random, test_random(random) % 6), c);
}

static void test_expressions(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 2000; round++) {
		struct nodes pool = {.n = 0};
		const struct node *root = make_node(&pool, &random, round % 6);
		struct pagescan_condition c;

		build(root, &c);
		for (uint64_t row = 0; row < N_ROWS; row++)
			assert_int_equal(pagescan_condition_matches(&c, row), evaluate(root, row));
	}
}

static void test_cube(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 500; round++) {
		uint64_t required = test_random(&random) & test_random(&random) & (N_ROWS - 1);
		uint64_t excluded = test_random(&random) & test_random(&random) & (N_ROWS - 1);
		struct pagescan_condition c;

		pagescan_condition_set_cube(&c, required, excluded);
		for (uint64_t row = 0; row < N_ROWS; row++)
			assert_int_equal(pagescan_condition_matches(&c, row),
					 (row & required) == required && !(row & excluded));
		assert_int_equal(pagescan_condition_is_never(&c), (required & excluded) != 0);
	}
}

/* What the table says of each category, found row by row. */
static void assert_described(const struct pagescan_condition *c)
{
	uint64_t depends = 0, some = 0, all = N_ROWS - 1, required, excluded;

	for (uint64_t row = 0; row < N_ROWS; row++) {
		for (uint64_t bit = 1; bit < N_ROWS; bit <<= 1) {
			if (pagescan_condition_matches(c, row) !=
			    pagescan_condition_matches(c, row ^ bit))
				depends |= bit;
		}
		if (pagescan_condition_matches(c, row)) {
			some |= row;
			all &= row;
		}
	}
	assert_int_equal(pagescan_condition_depends(c), depends);
	pagescan_condition_essentials(c, &required, &excluded);
	assert_int_equal(required, all);
	assert_int_equal(excluded, ~some & (N_ROWS - 1));
}

static void test_description(void **state)
{
	uint64_t random = test_seed();
	struct pagescan_condition c;

	for (int round = 0; round < 300; round++) {
		random_condition(&c, &random);
		assert_described(&c);
	}
	pagescan_condition_set(&c, true);
	assert_described(&c);
	assert_false(pagescan_condition_is_never(&c));
	pagescan_condition_set(&c, false);
	assert_described(&c);
	assert_true(pagescan_condition_is_never(&c));
}

static void test_fix(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 500; round++) {
		uint64_t known = test_random(&random) & test_random(&random) & (N_ROWS - 1);
		uint64_t ones = test_random(&random) & known, zeros = known & ~ones;
		struct pagescan_condition before, after;

		random_condition(&before, &random);
		after = before;
		pagescan_condition_fix(&after, ones, zeros);
		assert_int_equal(pagescan_condition_depends(&after) & known, 0);
		for (uint64_t row = 0; row < N_ROWS; row++)
			assert_int_equal(
				pagescan_condition_matches(&after, row),
				pagescan_condition_matches(&before, (row | ones) & ~zeros));
	}
}

static void test_relations(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 500; round++) {
		struct pagescan_condition a, b;
		bool implies = true, equals = true;

		random_condition(&a, &random);
		random_condition(&b, &random);
		for (uint64_t row = 0; row < N_ROWS; row++) {
			bool in_a = pagescan_condition_matches(&a, row);
			bool in_b = pagescan_condition_matches(&b, row);

			implies &= !in_a || in_b;
			equals &= in_a == in_b;
		}
		assert_int_equal(pagescan_condition_implies(&a, &b), implies);
		assert_int_equal(pagescan_condition_equals(&a, &b), equals);
		assert_true(pagescan_condition_implies(&a, &a));
		assert_true(pagescan_condition_equals(&a, &a));
	}
}

/* R5.1 */
static bool kernel_matches(const struct pagescan_plan *plan, uint64_t row)
{
	uint64_t x = row ^ plan->inverted;

	return (x & plan->mask) == plan->mask && (!plan->anyof || (x & plan->anyof));
}

/*
 * A page with the categories @row, by way of the kernel's masks and then of what
 * the scan makes of it. Returns whether it is delivered.
 */
static bool deliver(const struct pagescan_plan *plan, const struct pagescan_condition *c,
		    uint64_t row, uint64_t *ret_categories)
{
	uint64_t categories = (row & plan->returned) | plan->implied;

	if (plan->is_never || !kernel_matches(plan, row))
		return false;
	*ret_categories = categories & plan->reported;
	if (plan->is_plain)
		assert_int_equal(row & plan->returned, *ret_categories);
	return plan->is_exact || pagescan_condition_matches(c, categories);
}

static void assert_plan(const struct pagescan_condition *c, uint64_t report, uint64_t ones,
			uint64_t zeros, bool may_be_fast)
{
	struct pagescan_plan plan;

	pagescan_plan_make(&plan, c, report, ones, zeros, may_be_fast);
	assert_int_equal((plan.mask | plan.anyof | plan.returned | plan.inverted) & (ones | zeros),
			 0);
	assert_int_equal(plan.inverted & ~(plan.mask | plan.anyof), 0);
	if (plan.is_fast)
		assert_true(may_be_fast);
	assert_int_equal(plan.is_fast, plan.mask == PAGESCAN_IS_WRITTEN &&
					       plan.returned == PAGESCAN_IS_WRITTEN &&
					       !plan.anyof && !plan.inverted);
	for (uint64_t row = 0; row < N_ROWS; row++) {
		uint64_t categories = 0;
		bool wanted = pagescan_condition_matches(c, row);

		if ((row & ones) != ones || (row & zeros))
			continue;
		assert_int_equal(deliver(&plan, c, row, &categories), wanted);
		if (wanted)
			assert_int_equal(categories, row & report);
	}
}

static void test_plans(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 3000; round++) {
		uint64_t known = test_random(&random) % 2 ? test_random(&random) : 0;
		uint64_t report = test_random(&random) & (N_ROWS - 1), ones, zeros;
		struct pagescan_condition c;

		known &= test_random(&random) & test_random(&random) & (N_ROWS - 1);
		ones = test_random(&random) & known;
		zeros = known & ~ones;
		random_condition(&c, &random);
		if (round % 10 == 0) {
			for (unsigned i = 0; i < PAGESCAN_CONDITION_WORDS; i++)
				c.words[i] = test_random(&random);
		}
		assert_plan(&c, report, ones, zeros, round % 3 != 0);
	}
}

/* Whatever the kernel can tell is asked of it exactly. */
static void test_plans_of_masks(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 3000; round++) {
		uint64_t masks[4];
		struct pagescan_condition c;
		struct pagescan_plan asked = {0}, plan;

		for (int i = 0; i < 4; i++)
			masks[i] = test_random(&random) & test_random(&random) &
				   test_random(&random) & (N_ROWS - 1);
		asked.mask = masks[0];
		asked.anyof = round % 2 ? masks[1] | masks[3] : 0;
		asked.inverted = masks[2] & (asked.mask | asked.anyof);
		pagescan_condition_set(&c, false);
		for (uint64_t row = 0; row < N_ROWS; row++) {
			if (kernel_matches(&asked, row))
				c.words[row / 64] |= UINT64_C(1) << row % 64;
		}
		pagescan_plan_make(&plan, &c, 0, 0, 0, true);
		assert_true(plan.is_exact || plan.is_never);
		for (uint64_t row = 0; row < N_ROWS; row++)
			assert_int_equal(!plan.is_never && kernel_matches(&plan, row),
					 kernel_matches(&asked, row));
	}
}

static struct pagescan_plan plan_masks(uint64_t required, uint64_t excluded, uint64_t report,
				       uint64_t ones, uint64_t zeros)
{
	struct pagescan_condition c;
	struct pagescan_plan plan;

	pagescan_condition_set_cube(&c, required, excluded);
	pagescan_plan_make(&plan, &c, report, ones, zeros, true);
	return plan;
}

/* The cases whose speed is promised. */
static void test_cheap_plans(void **state)
{
	const uint64_t written = PAGESCAN_IS_WRITTEN, file = PAGESCAN_IS_FILE;
	struct pagescan_plan plan = plan_masks(written, 0, written, 0, 0);

	assert_true(plan.is_fast && plan.is_plain);
	/* What is known need not be asked. */
	plan = plan_masks(written, file, written | PAGESCAN_IS_WPALLOWED, PAGESCAN_IS_WPALLOWED,
			  file);
	assert_true(plan.is_fast && !plan.is_plain);
	plan = plan_masks(written, 0, 0, 0, 0);
	assert_true(plan.is_fast);
	plan = plan_masks(written, 0, file, 0, 0);
	assert_false(plan.is_fast);
	/* Regions are not touched again where that is not needed. */
	plan = plan_masks(PAGESCAN_IS_PRESENT, PAGESCAN_IS_HUGE,
			  PAGESCAN_IS_PRESENT | PAGESCAN_IS_HUGE, 0, 0);
	assert_true(plan.is_plain);
	/* Only anonymous memory: of another's, nothing. */
	plan = plan_masks(file, 0, 0, 0, file);
	assert_true(plan.is_never);
}

/* A superset leaves out pages of which nothing is set, if the condition does. */
static void test_supersets_without_holes(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 1000; round++) {
		struct pagescan_condition c;
		struct pagescan_plan plan;

		random_condition(&c, &random);
		pagescan_plan_make(&plan, &c, 0, 0, 0, true);
		if (!plan.is_never && !pagescan_condition_matches(&c, 0))
			assert_false(kernel_matches(&plan, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_cube),
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_fix),
		cmocka_unit_test(test_relations),
		cmocka_unit_test(test_plans),
		cmocka_unit_test(test_plans_of_masks),
		cmocka_unit_test(test_cheap_plans),
		cmocka_unit_test(test_supersets_without_holes),
	};

	return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
