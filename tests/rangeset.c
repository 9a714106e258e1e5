/* SPDX-License-Identifier: MIT */
/* Sets of ranges, against a plain array with a tag for each address. */
#include "base/rangeset.h"
#include "support.h"

#include <errno.h>
#include <string.h>

#define N_ADDRESSES 200
#define N_MANY      60000

/* Linked in the place of realloc(), so that memory can run out when a test wants it. */
static bool memory_is_short;

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_realloc(void *old, size_t size)
{
	return memory_is_short ? NULL : __real_realloc(old, size);
}

/* Tag + 1 of each address; 0 where there is none. */
typedef unsigned char model_t[N_ADDRESSES];

static void assert_same(const struct pagescan_rangeset *set, const model_t model)
{
	const struct pagescan_range *range;
	size_t n = 0, address = 0;

	while (address < N_ADDRESSES) {
		size_t end = address + 1;

		while (end < N_ADDRESSES && model[end] == model[address])
			end++;
		range = pagescan_rangeset_find(set, address);
		if (model[address]) {
			assert_non_null(range);
			assert_int_equal(range->start, address);
			assert_int_equal(range->end, end);
			assert_int_equal(range->tag, model[address] - 1);
			assert_ptr_equal(pagescan_rangeset_find(set, end - 1), range);
			n++;
		} else if (range) {
			assert_int_equal(range->start, end);
		} else {
			assert_int_equal(end, N_ADDRESSES);
		}
		address = end;
	}
	assert_int_equal(set->n, n);
}

static void change_at_random(struct pagescan_rangeset *set, model_t model, uint64_t *random)
{
	size_t a = test_random(random) % (N_ADDRESSES + 1);
	size_t b = test_random(random) % (N_ADDRESSES + 1);
	size_t start = a < b ? a : b, end = a < b ? b : a;
	unsigned tag = test_random(random) % 3;
	model_t before;
	int r;

	/* Short ranges mostly, so that there are many. */
	if (test_random(random) % 8)
		end = start + (end - start) % 8;
	memory_is_short = test_random(random) % 4 == 0;
	memcpy(before, model, sizeof(before));
	if (test_random(random) % 2) {
		r = pagescan_rangeset_add(set, start, end, tag);
		memset(model + start, (int)tag + 1, end - start);
	} else {
		r = pagescan_rangeset_remove(set, start, end);
		memset(model + start, 0, end - start);
	}
	if (r < 0) {
		assert_int_equal(r, -ENOMEM);
		assert_true(memory_is_short);
		memcpy(model, before, sizeof(before));
	}
	memory_is_short = false;
}

static void test_random_changes(void **state)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 200; round++) {
		struct pagescan_rangeset set = {0};
		model_t model = {0};

		for (int i = 0; i < 150; i++) {
			change_at_random(&set, model, &random);
			assert_same(&set, model);
		}
		pagescan_rangeset_free(&set);
	}
}

static void test_edges(void **state)
{
	struct pagescan_rangeset set = {0};
	const struct pagescan_range *range;

	assert_null(pagescan_rangeset_find(&set, 0));
	assert_int_equal(pagescan_rangeset_remove(&set, 0, UINT64_MAX), 0);
	assert_int_equal(pagescan_rangeset_add(&set, 5, 5, 1), 0);
	assert_int_equal(pagescan_rangeset_add(&set, 6, 5, 1), 0);
	assert_null(pagescan_rangeset_find(&set, 0));

	assert_int_equal(pagescan_rangeset_add(&set, 0, UINT64_MAX, 1), 0);
	assert_int_equal(pagescan_rangeset_add(&set, 4096, 8192, UINT64_MAX), 0);
	range = pagescan_rangeset_find(&set, 4096);
	assert_int_equal(range->tag, UINT64_MAX);
	assert_null(pagescan_rangeset_find(&set, UINT64_MAX));
	pagescan_rangeset_free(&set);
	assert_null(pagescan_rangeset_find(&set, 0));
	pagescan_rangeset_free(&set);
}

/* It ends in a blink; with a move of all ranges for each change it would take seconds. */
static void test_many(void **state)
{
	struct pagescan_rangeset set = {0};

	for (uint64_t i = 0; i < N_MANY; i++)
		assert_int_equal(pagescan_rangeset_add(&set, i * 2, i * 2 + 1, 0), 0);
	assert_int_equal(set.n, N_MANY);
	for (uint64_t i = 0; i < N_MANY; i++)
		assert_int_equal(pagescan_rangeset_add(&set, i * 2, i * 2 + 1, 1), 0);
	for (uint64_t i = N_MANY; i > N_MANY / 2; i--)
		assert_int_equal(pagescan_rangeset_remove(&set, i * 2 - 2, i * 2 - 1), 0);
	for (uint64_t i = 0; i < N_MANY / 2; i++)
		assert_int_equal(pagescan_rangeset_remove(&set, i * 2, i * 2 + 1), 0);
	assert_int_equal(set.n, 0);
	pagescan_rangeset_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
