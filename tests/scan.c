/* SPDX-License-Identifier: MIT */
/* Scans of real memory, against what the pagemap entries and the layout tell of it. */
#include "zoo.h"

#define N_VEC 4096

/* What a scan told, page by page. */
struct told {
	bool is_told[ZOO_N_PAGES];
	uint64_t categories[ZOO_N_PAGES];
	size_t n;
	uint64_t position;
};

/* The regions of one call: ascending, joined, of the zoo. */
static void take(struct told *told, const struct pagescan_region *vec, size_t n, uint64_t *last)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(vec[i].start < vec[i].end && vec[i].start >= *last);
		if (i > 0 && vec[i - 1].end == vec[i].start)
			assert_int_not_equal(vec[i - 1].categories, vec[i].categories);
		*last = vec[i].end;
		for (uint64_t at = vec[i].start; at < vec[i].end; at += ZOO_PAGE) {
			size_t page = zoo_page_at(at);

			assert_true(page < ZOO_N_PAGES);
			told->is_told[page] = true;
			told->categories[page] = vec[i].categories;
			told->n++;
		}
	}
}

/* Scan to the end. Returns what the last call did. */
static ssize_t scan_all(struct zoo *zoo, const struct question *q, struct pagescan_scan_opts opts,
			size_t n_vec, struct told *told)
{
	static struct pagescan_region vec[N_VEC];
	struct pagescan_error error = {0};
	struct pagescan_scan *scan;
	uint64_t last = 0;
	ssize_t n;

	memset(told, 0, sizeof(*told));
	opts.size = sizeof(opts);
	opts.flags = q->flags;
	opts.operation = zoo->operation;
	if (pagescan_scan_new(zoo->process, &q->filter, &opts, &scan, &error) < 0)
		fail_msg("%s", error.text);
	while ((n = pagescan_scan_next(scan, vec, n_vec)) > 0)
		take(told, vec, (size_t)n, &last);
	told->position = pagescan_scan_get_position(scan);
	pagescan_scan_free(scan);
	return n;
}

static const struct pagescan_scan_opts whole_zoo = {.start = ZOO_BASE, .end = ZOO_END};

/* 1 if the page must be told, 0 if it must not, -1 if that cannot be known. */
static int verdict(const struct question *q, const struct zoo_page *p)
{
	bool may = false, may_not = false;

	/* With each set of what is unknown. */
	for (uint64_t set = p->unknown;; set = (set - 1) & p->unknown) {
		if (question_matches(q, p->categories | set))
			may = true;
		else
			may_not = true;
		if (!set)
			break;
	}
	return may && may_not ? -1 : may;
}

static void assert_told(const struct zoo *zoo, const struct question *q, const struct told *told,
			const struct pagescan_scan_opts *opts)
{
	for (size_t i = 0; i < ZOO_N_PAGES; i++) {
		const struct zoo_page *p = &zoo->pages[i];
		int must = verdict(q, p);

		if (zoo_address(i) < opts->start || zoo_address(i) >= opts->end ||
		    ((q->flags & PAGESCAN_SCAN_PROTECT) && !zoo_is_tracked(i)))
			must = 0;
		if (must >= 0 && told->is_told[i] != must)
			fail_msg("page %zu of cage %zu, 0x%llx: told %d, must %d", i % ZOO_CAGE,
				 i / ZOO_CAGE, (unsigned long long)p->categories, told->is_told[i],
				 must);
		if (told->is_told[i])
			assert_int_equal((told->categories[i] ^ p->categories) & q->filter.report &
						 ~p->unknown,
					 0);
		if (told->is_told[i])
			assert_int_equal(told->categories[i] & ~q->filter.report, 0);
	}
}

static size_t random_size(uint64_t *random)
{
	static const size_t sizes[] = {1, 3, 32, 600, N_VEC};

	return sizes[test_random(random) % 5];
}

static void look(bool is_own, enum pagescan_operation operation, unsigned n_rounds)
{
	uint64_t random = test_seed();
	struct zoo *zoo = zoo_open(is_own, operation, &random);
	struct question everything = {.filter = {.report = zoo->available}, .is_own = is_own};
	struct told *told = malloc(sizeof(*told));

	zoo_read(zoo, false);
	assert_int_equal(scan_all(zoo, &everything, whole_zoo, N_VEC, told), 0);
	assert_told(zoo, &everything, told, &whole_zoo);
	assert_int_equal(told->position, ZOO_END);
	assert_int_equal(told->n, ZOO_N_PAGES);
	for (unsigned round = 0; round < n_rounds; round++) {
		struct question q = question_ask(&random, zoo->available, 0, is_own);
		struct pagescan_scan_opts opts = whole_zoo;

		if (round % 2) {
			opts.start = zoo_address(test_random(&random) % ZOO_N_PAGES);
			opts.end = zoo_address(test_random(&random) % ZOO_N_PAGES);
			if (opts.end < opts.start)
				opts.end = ZOO_END;
		}
		if (zoo->era == PAGESCAN_ERA_1)
			zoo_read(zoo, question_is_for_written(&q));
		assert_int_equal(scan_all(zoo, &q, opts, random_size(&random), told), 0);
		assert_told(zoo, &q, told, &opts);
		assert_int_equal(told->position, opts.end);
		question_forget(&q);
	}
	free(told);
	zoo_close(zoo);
}

static void test_look_own(void **state)
{
	look(true, *(const enum pagescan_operation *)*state, 400);
}

static void test_look_other(void **state)
{
	look(false, *(const enum pagescan_operation *)*state, 200);
}

/* As many pages as wanted, the first ones, and the rest by going on from the position. */
static void max_pages(enum pagescan_operation operation)
{
	uint64_t random = test_seed();
	struct zoo *zoo = zoo_open(true, operation, &random);
	struct told *all = malloc(sizeof(*all)), *some = malloc(sizeof(*some));

	for (int round = 0; round < 60; round++) {
		struct question q = question_ask(&random, zoo->available, 0, true);
		struct pagescan_scan_opts opts = whole_zoo;
		size_t n_vec = random_size(&random), n = 0;

		opts.max_pages = 0;
		assert_int_equal(scan_all(zoo, &q, opts, N_VEC, all), 0);
		while (opts.start < ZOO_END) {
			opts.max_pages = 1 + test_random(&random) % 3000;
			assert_int_equal(scan_all(zoo, &q, opts, n_vec, some), 0);
			assert_true(some->n <= opts.max_pages);
			assert_true(some->n == opts.max_pages || some->position == ZOO_END);
			for (size_t i = 0; i < ZOO_N_PAGES; i++) {
				uint64_t address = zoo_address(i);

				assert_int_equal(some->is_told[i],
						 all->is_told[i] && address >= opts.start &&
							 address < some->position);
			}
			n += some->n;
			opts.start = some->position;
		}
		assert_int_equal(n, all->n);
		question_forget(&q);
	}
	free(all);
	free(some);
	zoo_close(zoo);
}

static void test_max_pages(void **state)
{
	max_pages(*(const enum pagescan_operation *)*state);
}

/* What is told is armed, what is not told is as it was, and no huge page is split. */
static void protect(bool is_own, enum pagescan_operation operation, unsigned n_rounds)
{
	uint64_t random = test_seed();
	struct zoo *zoo = zoo_open(is_own, operation, &random);
	struct told *told = malloc(sizeof(*told));
	bool *was_armed = malloc(ZOO_N_PAGES);

	if (!zoo->is_tracking) {
		free(told);
		free(was_armed);
		zoo_close(zoo);
		skip_because("async write-protection is missing or not permitted");
	}
	for (unsigned round = 0; round < n_rounds; round++) {
		struct question q =
			question_ask(&random, zoo->available, PAGESCAN_SCAN_PROTECT, is_own);
		struct pagescan_scan_opts opts = whole_zoo;

		if (round % 4 == 3)
			opts.max_pages = ZOO_BLOCK / ZOO_PAGE + test_random(&random) % 3000;
		for (size_t i = 0; i < 200; i++) {
			size_t page = ZOO_TRACKED * ZOO_CAGE +
				      test_random(&random) % (ZOO_N_PAGES - ZOO_TRACKED * ZOO_CAGE);

			/* A write would split it, and that would be our own doing. */
			if (!zoo_is_made_huge(page / ZOO_CAGE))
				zoo_write(zoo, page);
		}
		zoo_read(zoo, question_is_for_written(&q));
		for (size_t i = 0; i < ZOO_N_PAGES; i++)
			was_armed[i] = zoo->entries[i] & UAPI_PAGEMAP_UFFD_WP;
		assert_int_equal(scan_all(zoo, &q, opts, random_size(&random), told), 0);
		if (opts.max_pages)
			assert_true(told->n <= opts.max_pages);
		opts.end = told->position;
		assert_told(zoo, &q, told, &opts);
		zoo_read_entries(zoo);
		for (size_t i = 0; i < ZOO_N_PAGES; i++)
			assert_int_equal(!!(zoo->entries[i] & UAPI_PAGEMAP_UFFD_WP),
					 was_armed[i] || told->is_told[i]);
		for (enum zoo_cage cage = 0; cage < ZOO_N_CAGES; cage++) {
			if (zoo->is_huge[cage])
				assert_true(zoo_is_huge(zoo, cage));
		}
		if (round % 8 == 7)
			zoo_arm_some(zoo, &random);
		question_forget(&q);
	}
	free(told);
	free(was_armed);
	zoo_close(zoo);
}

static void test_protect_own(void **state)
{
	protect(true, *(const enum pagescan_operation *)*state, 100);
}

static void test_protect_other(void **state)
{
	protect(false, *(const enum pagescan_operation *)*state, 60);
}

/* Each over either operation. */
#define over(test, operation)                                                                      \
	{                                                                                          \
#test "_by_" #operation, test, NULL, NULL, &by_##operation                         \
	}

int main(void)
{
	static enum pagescan_operation by_kernel = PAGESCAN_OPERATION_KERNEL;
	static enum pagescan_operation by_engine = PAGESCAN_OPERATION_ENGINE;
	const struct CMUnitTest tests[] = {
		over(test_look_own, kernel),      over(test_look_own, engine),
		over(test_look_other, kernel),    over(test_look_other, engine),
		over(test_max_pages, kernel),     over(test_max_pages, engine),
		over(test_protect_own, kernel),   over(test_protect_own, engine),
		over(test_protect_other, kernel), over(test_protect_other, engine),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
