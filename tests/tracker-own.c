/* SPDX-License-Identifier: MIT */
/* The tracker's contract on own memory: ranges, arming, collecting, visiting, closing. */
#include "tracked.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

static void test_unpopulated_memory_is_tracked(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(2048);
	struct pageset want = pageset_new(p, 2048);

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 2048 * page_bytes()), 0);
	/* Nothing is armed yet, so everything counts as written. */
	pageset_add(&want, 0, 2048);
	expect_written(t, &want);
	expect_nothing(t, p, 2048);

	p[0] = 1;
	p[700 * page_bytes() + 5] = 1;
	p[2047 * page_bytes()] = 1;
	pageset_clear(&want);
	want.has[0] = want.has[700] = want.has[2047] = 1;
	expect_written(t, &want);
	expect_nothing(t, p, 2048);

	/* Reading is no write, of empty pages neither. */
	for (size_t i = 0; i < 2048; i++)
		(void)*(volatile unsigned char *)(p + i * page_bytes());
	expect_nothing(t, p, 2048);
	pagescan_tracker_close(t);
	pageset_free(&want);
	munmap(p, 2048 * page_bytes());
}

static void test_arm_forgets(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(1024);
	struct pageset want = pageset_new(p, 1024);

	memset(p, 1, 512 * page_bytes());
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 1024 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	expect_nothing(t, p, 1024);
	p[3 * page_bytes()] = 2;
	assert_int_equal(pagescan_tracker_arm(t), 0);
	expect_nothing(t, p, 1024);
	/* A hole that was armed and then written is one page, whatever lies beside it. */
	p[600 * page_bytes()] = 2;
	want.has[600] = 1;
	expect_written(t, &want);
	pagescan_tracker_close(t);
	pageset_free(&want);
	munmap(p, 1024 * page_bytes());
}

static void test_collect_without_rearm_keeps(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(64);
	struct pageset want = pageset_new(p, 64), got = pageset_new(p, 64);

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 64 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	p[7 * page_bytes()] = p[9 * page_bytes()] = 1;
	want.has[7] = want.has[9] = 1;
	for (int i = 0; i < 3; i++) {
		collect_into(t, &got, 512, 0);
		assert_int_equal(pageset_compare(&got, &want), 0);
	}
	expect_written(t, &want);
	expect_nothing(t, p, 64);
	pagescan_tracker_close(t);
	pageset_free(&want);
	pageset_free(&got);
	munmap(p, 64 * page_bytes());
}

static void test_tiny_arrays_resume(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(4096);
	struct pageset want = pageset_new(p, 4096), got = pageset_new(p, 4096);
	const size_t sizes[] = {1, 2, 3, 511, 512, 513, 5000};

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 4096 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (size_t i = s; i < 4096; i += 2)
			p[i * page_bytes()] = 1;
		pageset_clear(&want);
		for (size_t i = s; i < 4096; i += 2)
			want.has[i] = 1;
		collect_into(t, &got, sizes[s], PAGESCAN_COLLECT_REARM);
		assert_int_equal(pageset_compare(&got, &want), 0);
		expect_nothing(t, p, 4096);
	}
	pagescan_tracker_close(t);
	pageset_free(&want);
	pageset_free(&got);
	munmap(p, 4096 * page_bytes());
}

static void test_several_ranges_and_a_part_removed(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(100);
	struct pageset want = pageset_new(p, 100);

	/* Out of order, and one that joins two. */
	assert_int_equal(
		pagescan_tracker_add(t, (uintptr_t)p + 60 * page_bytes(), 10 * page_bytes()), 0);
	assert_int_equal(
		pagescan_tracker_add(t, (uintptr_t)p + 10 * page_bytes(), 10 * page_bytes()), 0);
	assert_int_equal(
		pagescan_tracker_add(t, (uintptr_t)p + 15 * page_bytes(), 50 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	memset(p, 1, 100 * page_bytes());
	pageset_add(&want, 10, 70);
	expect_written(t, &want);

	assert_int_equal(
		pagescan_tracker_remove(t, (uintptr_t)p + 20 * page_bytes(), 5 * page_bytes()), 0);
	memset(p, 2, 100 * page_bytes());
	memset(&want.has[20], 0, 5);
	expect_written(t, &want);
	/* What was not tracked is passed over. */
	assert_int_equal(pagescan_tracker_remove(t, (uintptr_t)p, 100 * page_bytes()), 0);
	memset(p, 3, 100 * page_bytes());
	expect_nothing(t, p, 100);
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 100 * page_bytes()), 0);
	pageset_add(&want, 0, 100);
	expect_written(t, &want);
	pagescan_tracker_close(t);
	pageset_free(&want);
	munmap(p, 100 * page_bytes());
}

static int count_regions(const struct pagescan_region *region, void *arg)
{
	size_t *left = arg;

	return --*left == 0 ? 42 : 0;
}

static int add_to_set(const struct pagescan_region *region, void *arg)
{
	return pageset_add_region(arg, region) ? 0 : -1;
}

static void test_visitor_ends_early_and_nothing_is_lost(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(4096);
	struct pageset want = pageset_new(p, 4096), got = pageset_new(p, 4096);
	struct pagescan_region vec[100];
	uint64_t cursor = 0;
	size_t left = 100;

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 4096 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (size_t i = 0; i < 4096; i += 2)
		p[i * page_bytes()] = want.has[i] = 1;
	memset(want.has, 0, 200);
	assert_int_equal(pagescan_tracker_visit(t, PAGESCAN_COLLECT_REARM, count_regions, &left),
			 42);
	/* One that forgets nothing must not drop them either. */
	left = 1;
	assert_int_equal(pagescan_tracker_visit(t, 0, count_regions, &left), 42);
	want.has[200] = 0;
	assert_int_equal(pagescan_tracker_collect(t, &cursor, vec, 100, PAGESCAN_COLLECT_REARM),
			 100);
	assert_int_equal(cursor, 0);
	for (int i = 0; i < 100; i++)
		assert_true(pageset_add_region(&got, &vec[i]));
	assert_int_equal(pagescan_tracker_visit(t, PAGESCAN_COLLECT_REARM, add_to_set, &got), 0);
	assert_int_equal(pageset_compare(&got, &want), 0);
	expect_nothing(t, p, 4096);

	/* Without re-arming, what was not shown is found again, once. */
	p[page_bytes()] = 1;
	left = 1;
	assert_int_equal(pagescan_tracker_visit(t, 0, count_regions, &left), 42);
	pageset_clear(&want);
	want.has[1] = 1;
	expect_written(t, &want);

	/* Arming forgets what was not shown. */
	p[page_bytes()] = p[9 * page_bytes()] = 1;
	left = 1;
	assert_int_equal(pagescan_tracker_visit(t, PAGESCAN_COLLECT_REARM, count_regions, &left),
			 42);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	expect_nothing(t, p, 4096);
	pagescan_tracker_close(t);
	pageset_free(&want);
	pageset_free(&got);
	munmap(p, 4096 * page_bytes());
}

#define N_WRITERS 3
#define N_RACED   512

struct race {
	unsigned char *p;
	unsigned char *written; /* by anybody, ever */
	unsigned long seed;
	int stop;
};

static void *write_at_random(void *arg)
{
	struct race *race = arg;
	uint64_t random = __atomic_add_fetch(&race->seed, 1, __ATOMIC_RELAXED);

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		size_t i = test_random(&random) % N_RACED;

		if (i % 8 == 0)
			continue;
		__atomic_store_n(&race->p[i * page_bytes()], (unsigned char)random,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&race->written[i], 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Contents are the truth: a page that differs from its copy must be reported. */
static void test_threads_write_while_collecting(void **state)
{
	struct pagescan_tracker *t = open_own();
	struct race race = {.p = map_anon(N_RACED), .seed = test_seed()};
	struct pageset got = pageset_new(race.p, N_RACED);
	unsigned char *copy = map_anon(N_RACED);
	pthread_t threads[N_WRITERS];
	size_t n_lost = 0;

	race.written = calloc(1, N_RACED);
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)race.p, N_RACED * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (int i = 0; i < N_WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_at_random, &race), 0);
	for (int round = 0; round < 500; round++) {
		if (round == 499) {
			__atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
			for (int i = 0; i < N_WRITERS; i++)
				pthread_join(threads[i], NULL);
		}
		collect_into(t, &got, 64, PAGESCAN_COLLECT_REARM);
		for (size_t i = 0; i < N_RACED; i++) {
			if (got.has[i])
				memcpy(&copy[i * page_bytes()], &race.p[i * page_bytes()],
				       page_bytes());
			if (got.has[i] && !__atomic_load_n(&race.written[i], __ATOMIC_ACQUIRE))
				/* Written a moment ago, or never. */
				assert_true(i % 8 != 0);
		}
	}
	for (size_t i = 0; i < N_RACED; i++)
		n_lost += memcmp(&copy[i * page_bytes()], &race.p[i * page_bytes()],
				 page_bytes()) != 0;
	assert_int_equal(n_lost, 0);
	pagescan_tracker_close(t);
	pageset_free(&got);
	free(race.written);
	munmap(race.p, N_RACED * page_bytes());
	munmap(copy, N_RACED * page_bytes());
}

static void test_child_of_fork_lets_go_only(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(16);
	struct pageset want = pageset_new(p, 16);
	struct pagescan_region vec[16];
	uint64_t cursor = 0;
	int status;
	pid_t pid;

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 16 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	p[3 * page_bytes()] = 1;
	pid = fork();
	if (pid == 0) {
		int is_right = pagescan_tracker_arm(t) == -ECHILD &&
			       pagescan_tracker_collect(t, &cursor, vec, 16,
							PAGESCAN_COLLECT_REARM) == -ECHILD &&
			       pagescan_tracker_add(t, (uintptr_t)p, page_bytes()) == -ECHILD &&
			       pagescan_tracker_remove(t, (uintptr_t)p, page_bytes()) == -ECHILD &&
			       pagescan_tracker_visit(t, 0, add_to_set, NULL) == -ECHILD;

		p[5 * page_bytes()] = 1;
		pagescan_tracker_close(t);
		_exit(is_right ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	p[7 * page_bytes()] = 1;
	want.has[3] = want.has[7] = 1;
	expect_written(t, &want);
	pagescan_tracker_close(t);
	pageset_free(&want);
	munmap(p, 16 * page_bytes());
}

static void test_cost_and_finish(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(64);
	struct pagescan_tracker_cost cost;

	memset(p, 1, 64 * page_bytes());
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 64 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	pagescan_tracker_get_cost(t, &cost);
	assert_int_equal(cost.n_faults, 0);
	memset(p, 1, 10 * page_bytes());
	assert_int_equal(pagescan_tracker_arm(t), 0);
	pagescan_tracker_get_cost(t, &cost);
	assert_int_equal(cost.n_faults, 10);
	pagescan_tracker_finish(t);
	pagescan_tracker_finish(t);
	pagescan_tracker_get_cost(t, &cost);
	assert_int_equal(cost.n_faults, 10);
	assert_int_equal(pagescan_tracker_arm(t), -EINVAL);
	pagescan_tracker_close(t);
	pagescan_tracker_close(NULL);
	munmap(p, 64 * page_bytes());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unpopulated_memory_is_tracked),
		cmocka_unit_test(test_arm_forgets),
		cmocka_unit_test(test_collect_without_rearm_keeps),
		cmocka_unit_test(test_tiny_arrays_resume),
		cmocka_unit_test(test_several_ranges_and_a_part_removed),
		cmocka_unit_test(test_visitor_ends_early_and_nothing_is_lost),
		cmocka_unit_test(test_threads_write_while_collecting),
		cmocka_unit_test(test_child_of_fork_lets_go_only),
		cmocka_unit_test(test_cost_and_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
