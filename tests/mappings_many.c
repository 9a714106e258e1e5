/* SPDX-License-Identifier: MIT */
/* The two ways to walk mappings, over very many, in any order, and while they change. */
#include "child.h"
#include "walk.h"

#include <sys/mman.h>

#define N_MANY 60000

static void live_in_many(int fd, void *arg)
{
	for (uint64_t i = 0; i < N_MANY; i++) {
		if (mmap((void *)(0x200000000000 + i * 8192), 4096, i % 2 ? PROT_READ : PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
			_exit(1);
	}
	child_say(fd, 'r');
	child_hear(fd);
}

static void assert_answer(const struct walk *walk, uint64_t address, int r,
			  const struct pagescan_mapping *answer)
{
	size_t low = 0, high = walk->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (walk->mappings[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	assert_int_equal(r, low < walk->n);
	if (r)
		assert_equal_mappings(answer, &walk->mappings[low]);
}

static uint64_t choose_address(const struct walk *walk, uint64_t *random)
{
	const struct pagescan_mapping *m = &walk->mappings[test_random(random) % walk->n];

	switch (test_random(random) % 6) {
	case 0:
		return m->start;
	case 1:
		return m->start - 1;
	case 2:
		return m->end;
	case 3:
		return m->end - 1;
	case 4:
		return test_random(random) % 64 ? m->start + 1 : UINT64_MAX;
	default:
		return test_random(random) % 64 ? m->start / 2 : 0;
	}
}

/* Walks of 60000 mappings, and any address in any order. */
static void test_many_in_any_order(void **state)
{
	const enum pagescan_maps_source sources[] = {PAGESCAN_MAPS_TEXT, PAGESCAN_MAPS_QUERY};
	struct child child = child_start(live_in_many, NULL);
	uint64_t random = test_seed();
	struct walk walks[2] = {{0}};

	child_hear(child.fd);
	for (int s = 0; s < 2; s++) {
		struct pagescan_maps_reader *reader = open_reader(child.pid, sources[s]);
		struct pagescan_mapping answer;
		uint64_t address = 0;

		if (!reader)
			continue;
		walks[s] = walk_all(reader);
		assert_true(walks[s].n > N_MANY);
		/* Each asked for twice and from within: rising, it is one reading. */
		for (size_t i = 0; i < walks[s].n; i++) {
			address = walks[s].mappings[i].start;
			assert_int_equal(pagescan_maps_reader_find(reader, address, &answer), 1);
			assert_equal_mappings(&answer, &walks[s].mappings[i]);
			address = answer.end - 1;
			assert_int_equal(pagescan_maps_reader_find(reader, address, &answer), 1);
			assert_equal_mappings(&answer, &walks[s].mappings[i]);
		}
		for (int i = 0; i < 50; i++) {
			address = choose_address(&walks[s], &random);
			assert_answer(&walks[s], address,
				      pagescan_maps_reader_find(reader, address, &answer), &answer);
		}
		pagescan_maps_reader_close(reader);
	}
	if (walks[1].n)
		assert_equal_walks(&walks[0], &walks[1]);
	walk_free(&walks[0]);
	walk_free(&walks[1]);
	child_end(&child);
}

/* It dies in the middle of a walk: that is not the end of its memory. */
static void test_death_during_a_walk(void **state)
{
	const enum pagescan_maps_source sources[] = {PAGESCAN_MAPS_TEXT, PAGESCAN_MAPS_QUERY};

	for (int s = 0; s < 2; s++) {
		struct child child = child_start(live_in_many, NULL);
		struct pagescan_maps_reader *reader = open_reader(child.pid, sources[s]);
		struct pagescan_mapping answer = {0};
		int r;

		child_hear(child.fd);
		for (int i = 0; reader && i < 1000; i++)
			assert_int_equal(pagescan_maps_reader_find(reader, answer.end, &answer), 1);
		child_end(&child);
		if (!reader)
			continue;
		do {
			r = pagescan_maps_reader_find(reader, answer.end, &answer);
		} while (r == 1);
		assert_int_equal(r, -ESRCH);
		assert_int_equal(pagescan_maps_reader_find(reader, 0, &answer), -ESRCH);
		pagescan_maps_reader_close(reader);
	}
}

static void map_and_unmap(int fd, void *arg)
{
	uint64_t random = 1;

	child_say(fd, 'r');
	for (;;) {
		char *at = (char *)0x200000000000 + test_random(&random) % 1000 * 8192;

		if (test_random(&random) % 2)
			mmap(at, 4096 * (1 + test_random(&random) % 4), PROT_READ,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		else
			munmap(at, 4096);
	}
}

static void test_memory_that_changes(void **state)
{
	const enum pagescan_maps_source sources[] = {PAGESCAN_MAPS_TEXT, PAGESCAN_MAPS_QUERY};
	struct child child = child_start(map_and_unmap, NULL);

	child_hear(child.fd);
	for (int s = 0; s < 2; s++) {
		struct pagescan_maps_reader *reader = open_reader(child.pid, sources[s]);

		for (int i = 0; reader && i < 50; i++) {
			struct walk walk = walk_all(reader);

			assert_true(walk.n > 5);
			walk_free(&walk);
		}
		pagescan_maps_reader_close(reader);
	}
	child_end(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_in_any_order),
		cmocka_unit_test(test_death_during_a_walk),
		cmocka_unit_test(test_memory_that_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
