/* SPDX-License-Identifier: MIT */
/* What the command counts with: sets of pages, and tallies of mappings. */
#include "../cli/format.h"
#include "../cli/pageset.h"
#include "../cli/parse.h"
#include "../cli/tally.h"
#include "support.h"

#include <stdbool.h>
#include <string.h>

enum { N_PAGES = 5000 };

/* Against an array with a flag for each page, at three places of the address space. */
static void test_pageset(void **state)
{
	static const uint64_t bases[] = {0, UINT64_C(0x7f0000000) - 700, UINT64_C(1) << 51};
	static bool model[3][N_PAGES];
	uint64_t random = test_seed();
	struct pageset set = {0};

	memset(model, 0, sizeof(model));
	for (int round = 0; round < 3000; round++) {
		size_t place = test_random(&random) % 3;
		size_t first = test_random(&random) % N_PAGES;
		size_t length = test_random(&random) % (round % 50 ? 9 : N_PAGES);
		size_t end = first + length < N_PAGES ? first + length : N_PAGES;
		ssize_t expected = 0;

		for (size_t i = first; i < end; i++) {
			expected += !model[place][i];
			model[place][i] = true;
		}
		assert_int_equal(pageset_add(&set, bases[place] + first, bases[place] + end),
				 expected);
	}
	for (size_t i = 0; i < N_PAGES; i++)
		assert_int_equal(pageset_add(&set, bases[1] + i, bases[1] + i + 1), !model[1][i]);
	pageset_clear(&set);
	assert_int_equal(pageset_add(&set, 5, 7), 2);
	pageset_clear(&set);
}

static void test_pageset_is_compact(void **state)
{
	struct pageset set = {0};

	/* 16 GiB in a row: 2 bits a page and a bit more. */
	assert_int_equal(pageset_add(&set, 1 << 20, (1 << 20) + (1 << 22)), 1 << 22);
	assert_true(set.capacity * 72 < (1 << 22) / 2);
	pageset_clear(&set);
}

/* Pages are never lost, and what is there now is disjoint and in order. */
static void assert_sound(const struct tally *tally, uint64_t n_pages, uint64_t n_distinct)
{
	const struct tally_list *lists[] = {&tally->now, &tally->past};

	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < lists[i]->n; k++) {
			n_pages -= lists[i]->areas[k].n_pages;
			n_distinct -= lists[i]->areas[k].n_distinct;
		}
	}
	assert_int_equal(n_pages, 0);
	assert_int_equal(n_distinct, 0);
	for (size_t k = 1; k < tally->now.n; k++)
		assert_true(tally->now.areas[k - 1].end <= tally->now.areas[k].start);
}

static void test_tally_at_random(void **state)
{
	static const char *const names[] = {"", "[heap]", "/lib/libc.so.6"};
	uint64_t random = test_seed(), n_pages = 0, n_distinct = 0;
	struct tally tally = {0};

	for (int round = 0; round < 3000; round++) {
		uint64_t start = test_random(&random) % 1000, n = test_random(&random) % 100;
		struct pagescan_mapping mapping = {.start = start,
						   .end = start + 1 + test_random(&random) % 50,
						   .name = names[test_random(&random) % 3]};

		assert_int_equal(tally_add(&tally, &mapping, n, n / 2), 0);
		n_pages += n;
		n_distinct += n / 2;
		if (round % 500 == 499)
			assert_int_equal(tally_archive(&tally), 0);
		assert_sound(&tally, n_pages, n_distinct);
	}
	tally_free(&tally);
}

static void add(struct tally *tally, uint64_t start, uint64_t end, const char *name, uint64_t n)
{
	struct pagescan_mapping mapping = {.start = start, .end = end, .name = name};

	assert_int_equal(tally_add(tally, &mapping, n, 0), 0);
}

static void test_tally_follows_mappings(void **state)
{
	const struct tally_area *top[2];
	struct tally tally = {0};

	add(&tally, 100, 200, "[heap]", 5);
	add(&tally, 100, 300, "[heap]", 1); /* grows */
	add(&tally, 100, 150, "[heap]", 1); /* splits */
	add(&tally, 400, 500, "", 4);
	assert_int_equal(tally_top(&tally, TALLY_BY_PAGES, top, 2), 2);
	assert_string_equal(top[0]->name, "[heap]");
	assert_int_equal(top[0]->n_pages, 7);
	assert_int_equal(top[0]->end, 300);
	add(&tally, 100, 200, "/lib/new", 20); /* is replaced */
	assert_int_equal(tally_top(&tally, TALLY_BY_PAGES, top, 2), 2);
	assert_string_equal(top[0]->name, "/lib/new");
	assert_int_equal(top[1]->n_pages, 7);
	tally_begin_interval(&tally);
	add(&tally, 400, 500, "", 1);
	assert_int_equal(tally_top(&tally, TALLY_BY_RECENT, top, 2), 1);
	assert_string_equal(top[0]->name, "[anon]");
	assert_int_equal(top[0]->n_recent, 1);
	tally_free(&tally);
}

/* A program that maps ever new addresses does not fill our memory. */
static void test_tally_is_bounded(void **state)
{
	struct tally tally = {0};
	uint64_t n_pages = 0;

	for (uint64_t i = 0; i < 400000; i++) {
		add(&tally, 10 * i, 10 * i + 5, "", i % 7);
		n_pages += i % 7;
	}
	assert_true(tally.now.n + tally.past.n <= 3 << 16);
	assert_sound(&tally, n_pages, 0);
	tally_free(&tally);
}

static void test_bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {{0, "0 B"},
		     {1023, "1023 B"},
		     {1024, "1.0 KiB"},
		     {4096, "4.0 KiB"},
		     {1536 << 10, "1.5 MiB"},
		     {(1 << 20) - 1, "1.0 MiB"},
		     {UINT64_C(5) << 40, "5.0 TiB"},
		     {UINT64_MAX, "16.0 EiB"}};
	char text[FORMAT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(format_bytes(text, cases[i].bytes), cases[i].text);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {{"500ms", 500000000},
		     {"1.5s", 1500000000},
		     {"0.001s", 1000000},
		     {"2m", UINT64_C(120000000000)},
		     {"0.5h", UINT64_C(1800000000000)},
		     {"007s", UINT64_C(7000000000)}};
	uint64_t ns;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(parse_duration(cases[i].text, &ns));
		assert_int_equal(ns, cases[i].ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pageset),
		cmocka_unit_test(test_pageset_is_compact),
		cmocka_unit_test(test_tally_at_random),
		cmocka_unit_test(test_tally_follows_mappings),
		cmocka_unit_test(test_tally_is_bounded),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
