/* SPDX-License-Identifier: MIT */
/*
 * Scans over a simulated kernel: whatever its walk_end says and its calls fail
 * with, and whatever changes meanwhile, no page is lost, none is told twice, and
 * what is armed is told.
 */
#include "world.h"

static bool has_flag(const struct trial *t, uint32_t flag)
{
	return t->opts.flags & flag;
}

static bool is_registered(const struct trial *t, size_t page)
{
	struct pagescan_registration r;

	return pagescan_registry_find(&t->process.registry, address_of(page), &r) &&
	       r.start <= address_of(page);
}

/* Whether a page is part of the right answer, as things stand. */
static bool is_answer(const struct trial *t, size_t page)
{
	const struct simulated_mapping *mapping = mapping_of(t, page);

	if (!mapping || address_of(page) < t->opts.start || address_of(page) >= t->opts.end)
		return false;
	if (has_flag(t, PAGESCAN_SCAN_PROTECT) && !(mapping->is_tracked && is_registered(t, page)))
		return false;
	return question_matches(&t->question, categories_of(&t->sim, mapping, page, t->is_fast));
}

static void record(struct trial *t)
{
	for (size_t i = 0; i < N_PAGES; i++) {
		struct page_record *record = &t->records[i];
		bool is = t->sim.pages[i].is_mapped && is_answer(t, i);

		record->ever |= is;
		/* What is armed is no answer any more, by our own doing. */
		if (t->sim.pages[i].n_armings == 0)
			record->always &= is;
	}
}

/* The world goes on: pages are written, swapped and given back, mappings are replaced. */
static void go_on(struct simulation *sim)
{
	struct trial *t = current;

	for (uint64_t n = below(t, 20); n > 0; n--)
		change_page(t, below(t, N_PAGES));
	if (one_in(t, 40) && sim->n_mappings)
		sim->mappings[below(t, sim->n_mappings)].is_tracked = false;
	record(t);
}

/* The regions of one call: ascending, within the range, joined where they can be. */
static void take(struct trial *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct pagescan_region *region = &t->vec[i];

		assert_true(region->start < region->end);
		assert_true(region->start >= t->last_end);
		assert_true(region->start >= t->opts.start && region->end <= t->opts.end);
		/* What changes while the kernel leaves its walk may come apart. */
		if (!t->sim.meanwhile && i > 0 && region[-1].end == region->start)
			assert_int_not_equal(region[-1].categories, region->categories);
		for (uint64_t at = region->start; at < region->end; at += PAGE) {
			struct page_record *record = &t->records[page_at(at)];

			assert_int_equal(address_of(page_at(at)), at);
			record->n_told++;
			record->told = region->categories;
			t->n_told++;
		}
		t->last_end = region->end;
	}
	assert_true(pagescan_scan_get_position(&t->scan) >= t->last_end);
}

static bool cuts_hugetlb(const struct trial *t, uint64_t address)
{
	struct pagescan_registration r;

	return pagescan_registry_find(&t->process.registry, address, &r) && r.start < address &&
	       r.page_size == HUGE && address % HUGE;
}

static bool cuts_huge(const struct trial *t, uint64_t address)
{
	size_t page = page_at(address);

	return page % BLOCK && page < N_PAGES && mapping_of(t, page) &&
	       mapping_of(t, page) == mapping_of(t, page - 1);
}

/* @return Whether to go on after this error. */
static bool take_error(struct trial *t, ssize_t r)
{
	uint64_t position = pagescan_scan_get_position(&t->scan);
	const struct simulated_mapping *mapping = mapping_of(t, page_at(position));

	switch (r) {
	case -ENOMEM:
		return true;
	case -EPERM:
		assert_true(has_flag(t, PAGESCAN_SCAN_CHECK));
		assert_non_null(mapping);
		assert_true(!mapping->is_tracked || (has_flag(t, PAGESCAN_SCAN_PROTECT) &&
						     !is_registered(t, page_at(position))));
		return false;
	case -EMSGSIZE:
		assert_int_equal(t->n_told, 0);
		assert_true(t->opts.max_pages < BLOCK);
		assert_true(t->sim.pages[page_at(position)].categories & PAGESCAN_IS_HUGE);
		return false;
	case -EINVAL:
		assert_true(cuts_hugetlb(t, t->opts.start) || cuts_hugetlb(t, t->opts.end));
		return false;
	default:
		fail_msg("error %zd", r);
		return false;
	}
}

/* Whether max_pages may have ended the scan: because a huge page did not fit. */
static bool may_have_stopped(const struct trial *t, uint64_t position)
{
	uint64_t left = t->opts.max_pages - t->n_told;

	if (!t->opts.max_pages || left == 0)
		return t->opts.max_pages;
	return has_flag(t, PAGESCAN_SCAN_PROTECT) && left < BLOCK && page_at(position) < N_PAGES &&
	       (t->sim.pages[page_at(position)].categories & PAGESCAN_IS_HUGE);
}

/* Where PAGESCAN_SCAN_CHECK has to stop. */
static uint64_t find_untracked(const struct trial *t)
{
	for (size_t i = 0; i < N_PAGES; i++) {
		const struct simulated_mapping *mapping = mapping_of(t, i);

		if (!mapping || address_of(i) < t->opts.start || address_of(i) >= t->opts.end)
			continue;
		if (!mapping->is_tracked ||
		    (has_flag(t, PAGESCAN_SCAN_PROTECT) && !is_registered(t, i)))
			return address_of(i);
	}
	return UINT64_MAX;
}

/* @return What the last call returned. */
static ssize_t run(struct trial *t)
{
	static const size_t sizes[] = {1, 2, 7, 64, 600, N_VEC};
	size_t size = sizes[below(t, 6)], n_empty = 0;
	ssize_t r;

	do {
		size_t n = one_in(t, 4) ? sizes[below(t, 6)] : size;

		memset(t->vec, 0x11, sizeof(t->vec));
		if (one_in(t, 30))
			t->sim.next_error = -ENOMEM;
		r = pagescan_scan_next(&t->scan, t->vec, n);
		assert_true(r <= (ssize_t)n);
		if (r > 0)
			take(t, (size_t)r);
		else if (r < 0)
			n_empty++;
		assert_true(n_empty < 1000);
		assert_ptr_equal(t->sim.foul, NULL);
	} while (r > 0 || (r < 0 && take_error(t, r)));
	if (r == 0 && !may_have_stopped(t, pagescan_scan_get_position(&t->scan)))
		assert_int_equal(pagescan_scan_get_position(&t->scan),
				 t->opts.start < t->opts.end ? t->opts.end : t->opts.start);
	return r;
}

/* Protecting a part of a huge page makes it something else before it is told (R7.4). */
static bool is_cut(const struct trial *t, size_t page)
{
	uint64_t block = address_of(page / BLOCK * BLOCK);

	return has_flag(t, PAGESCAN_SCAN_PROTECT) && t->records[page].was_huge &&
	       (t->opts.start > block || t->opts.end < block + HUGE);
}

static void assert_answer(const struct trial *t, bool is_static)
{
	uint64_t position = pagescan_scan_get_position(&t->scan);
	bool is_protecting = has_flag(t, PAGESCAN_SCAN_PROTECT);

	for (size_t i = 0; i < N_PAGES; i++) {
		const struct page_record *record = &t->records[i];

		if (record->always && address_of(i) < position && !is_cut(t, i))
			assert_int_equal(record->n_told, 1);
		if (!record->ever || address_of(i) >= position)
			assert_int_equal(record->n_told, 0);
		assert_true(record->n_told <= 1);
		/* In era 1, what the range may cut is told without being armed. */
		if (is_protecting && !t->sim.is_era_1)
			assert_int_equal(t->sim.pages[i].n_armings, record->n_told);
		assert_true(t->sim.pages[i].n_armings <= record->n_told);
		assert_int_equal(record->told & ~t->question.filter.report, 0);
		/* What was written and is not told stays to be told another time. */
		if (is_static && record->was_written && !record->n_told)
			assert_true(categories_of(&t->sim, mapping_of(t, i), i, t->is_fast) &
				    PAGESCAN_IS_WRITTEN);
		if (is_static && record->n_told && !is_cut(t, i))
			assert_int_equal(record->told, record->expected);
	}
	if (t->opts.max_pages)
		assert_true(t->n_told <= t->opts.max_pages);
	assert_int_equal(t->sim.n_withdrawn, 0);
	if (is_static && !cuts_huge(t, t->opts.start) && !cuts_huge(t, t->opts.end))
		assert_int_equal(t->sim.n_splits, 0);
}

static void choose_range(struct trial *t)
{
	size_t a = below(t, N_PAGES), b = below(t, N_PAGES + 1);

	if (one_in(t, 2)) {
		a = 0;
		b = N_PAGES;
	} else if (one_in(t, 2)) {
		a = a / BLOCK * BLOCK;
		b = b / BLOCK * BLOCK;
	}
	t->opts.start = address_of(a < b ? a : b);
	t->opts.end = address_of(a < b ? b : a);
	/* Where an edge may do harm. */
	while (one_in(t, 2) && t->opts.end > t->opts.start) {
		size_t page = below(t, N_PAGES);

		if (address_of(page) > t->opts.start &&
		    (t->sim.pages[page].categories & PAGESCAN_IS_HUGE))
			t->opts.end = address_of(page);
	}
}

static void begin(struct trial *t, uint32_t flags, bool is_own)
{
	uint64_t random = t->random;

	memset(t, 0, sizeof(*t));
	t->random = random;
	t->process.is_own = is_own;
	t->opts = (struct pagescan_scan_opts){.size = sizeof(t->opts), .flags = flags};
	t->sim.handle.scan = simulated_scan;
	t->sim.bounce = 512;
	t->sim.registry = &t->process.registry;
	t->sim.random = &t->random;
	current = t;
}

static void note_before(struct trial *t)
{
	for (size_t i = 0; i < N_PAGES; i++) {
		struct page_record *record = &t->records[i];
		uint64_t categories;

		record->always = true;
		record->was_huge = t->sim.pages[i].categories & PAGESCAN_IS_HUGE;
		if (!mapping_of(t, i))
			continue;
		categories = categories_of(&t->sim, mapping_of(t, i), i, t->is_fast);
		record->was_written = categories & PAGESCAN_IS_WRITTEN;
		record->expected = categories & t->question.filter.report;
	}
	record(t);
}

/* Scan, and judge what came. */
static void finish(struct trial *t, bool is_static)
{
	struct pagescan_probed can = {{PAGESCAN_ERA_2, 0x1ff, true, true}, UINT64_C(1) << 47};
	uint64_t untracked;
	ssize_t r;

	if (t->sim.is_era_1)
		can.capabilities.era = PAGESCAN_ERA_1;
	t->is_fast = question_is_for_written(&t->question);
	note_before(t);
	if (!is_static)
		t->sim.meanwhile = go_on;
	assert_int_equal(pagescan_scan_init_on(&t->scan, &t->process, &t->question.filter, &t->opts,
					       &t->sim.handle, &can, NULL),
			 0);
	untracked = has_flag(t, PAGESCAN_SCAN_CHECK) ? find_untracked(t) : UINT64_MAX;
	r = run(t);
	assert_answer(t, is_static);
	if (is_static && !t->opts.max_pages && r != -EINVAL) {
		assert_int_equal(r, untracked == UINT64_MAX ? 0 : -EPERM);
		if (r < 0)
			assert_int_equal(pagescan_scan_get_position(&t->scan), untracked);
	}
	question_forget(&t->question);
	pagescan_rangeset_free(&t->process.registry.ranges);
}

static void run_trial(struct trial *t, uint32_t flags, bool is_own, bool is_static)
{
	begin(t, flags, is_own);
	make_world(t);
	choose_range(t);
	if (one_in(t, 3))
		t->opts.max_pages = 1 + below(t, one_in(t, 2) ? 20 : 3000);
	t->question = question_ask(&t->random, 0x1ff, flags, is_own);
	finish(t, is_static);
}

/*
 * In era 1 a shared huge page that the range cuts must not be protected in part,
 * also if other memory that is tracked comes before it.
 */
static void test_cut_in_era_1(void **state)
{
	struct trial *t = calloc(1, sizeof(*t));

	begin(t, PAGESCAN_SCAN_PROTECT, true);
	t->sim.is_era_1 = true;
	for (size_t i = 0; i < 2; i++) {
		t->sim.mappings[t->sim.n_mappings++] = (struct simulated_mapping){
			.first = i * BLOCK,
			.last = (i + 1) * BLOCK,
			.is_tracked = true,
			.kind = i ? PAGESCAN_MEMORY_SHARED : PAGESCAN_MEMORY_ANON,
		};
		register_mapping(t, &t->sim.mappings[i]);
	}
	for (size_t i = 0; i < 2 * BLOCK; i++)
		t->sim.pages[i] = (struct simulated_page){
			.categories = PAGESCAN_IS_PRESENT | (i < BLOCK ? 0 : PAGESCAN_IS_HUGE),
			.is_mapped = true,
		};
	t->opts.start = address_of(0);
	t->opts.end = address_of(BLOCK + 100);
	t->question = (struct question){
		.filter = {.required = PAGESCAN_IS_WRITTEN | PAGESCAN_IS_PRESENT},
		.flags = t->opts.flags,
		.is_own = true,
	};
	finish(t, true);
	assert_int_equal(t->sim.n_splits, 0);
	assert_int_equal(t->n_told, BLOCK + 100);
	free(t);
}

static void run_trials(unsigned n, uint32_t flags, bool is_own, bool is_static)
{
	struct trial *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->random = test_seed();
	for (unsigned i = 0; i < n; i++) {
		uint64_t seed = t->random;

		run_trial(t, flags, is_own, is_static);
		/* What the trial drew from it is not to be drawn again. */
		t->random = seed;
		test_random(&t->random);
	}
	free(t);
}

/* Each test: flags, whose memory, and whether it stands still. */
#define TRIALS(name, flags, is_own, is_static)                                                     \
	static void name(void **state)                                                             \
	{                                                                                          \
		run_trials((is_static) ? 400 : 80, flags, is_own, is_static);                      \
	}

TRIALS(test_look, 0, true, true)
TRIALS(test_look_changing, 0, true, false)
TRIALS(test_look_other, 0, false, true)
TRIALS(test_look_other_changing, 0, false, false)
TRIALS(test_look_check, PAGESCAN_SCAN_CHECK, true, true)
TRIALS(test_look_check_changing, PAGESCAN_SCAN_CHECK, false, false)
TRIALS(test_protect, PAGESCAN_SCAN_PROTECT, true, true)
TRIALS(test_protect_changing, PAGESCAN_SCAN_PROTECT, true, false)
TRIALS(test_protect_other, PAGESCAN_SCAN_PROTECT, false, true)
TRIALS(test_protect_other_changing, PAGESCAN_SCAN_PROTECT, false, false)
TRIALS(test_protect_check, PAGESCAN_SCAN_PROTECT | PAGESCAN_SCAN_CHECK, true, true)
TRIALS(test_protect_check_changing, PAGESCAN_SCAN_PROTECT | PAGESCAN_SCAN_CHECK, false, false)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look),          cmocka_unit_test(test_look_changing),
		cmocka_unit_test(test_look_other),    cmocka_unit_test(test_look_other_changing),
		cmocka_unit_test(test_look_check),    cmocka_unit_test(test_look_check_changing),
		cmocka_unit_test(test_protect),       cmocka_unit_test(test_protect_changing),
		cmocka_unit_test(test_protect_other), cmocka_unit_test(test_protect_other_changing),
		cmocka_unit_test(test_protect_check), cmocka_unit_test(test_protect_check_changing),
		cmocka_unit_test(test_cut_in_era_1),
	};

	return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
