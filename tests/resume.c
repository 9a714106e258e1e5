/* SPDX-License-Identifier: MIT */
/*
 * Scans over a simulated kernel: whatever its walk_end says and its calls fail
 * with, and whatever changes meanwhile, no page is lost, none is told twice, and
 * what is armed is told.
 */
#include "scan/scan.h"
#include "simulated.h"

#define N_VEC 5000

/* What is known of a page during one scan. */
struct page_record {
	bool always, ever; /* it matched */
	unsigned n_told;
	uint64_t told, expected;
	bool was_huge, was_written;
};

struct trial {
	struct simulation sim;
	struct pagescan_process process;
	struct pagescan_filter filter;
	struct pagescan_scan_opts opts;
	struct pagescan_scan scan;
	bool is_fast; /* the question is for written pages alone */
	uint64_t random;
	uint64_t n_told, last_end;
	struct page_record records[N_PAGES];
	struct pagescan_region vec[N_VEC];
};

static struct trial *current;

int __wrap_pagescan_process_find_mapping(struct pagescan_process *process, uint64_t address,
					 struct pagescan_mapping *ret);
enum pagescan_process_state __wrap_pagescan_process_get_state(struct pagescan_process *process);

int __wrap_pagescan_process_find_mapping(struct pagescan_process *process, uint64_t address,
					 struct pagescan_mapping *ret)
{
	for (size_t i = 0; i < current->sim.n_mappings; i++) {
		const struct simulated_mapping *mapping = &current->sim.mappings[i];

		if (end_address(mapping->last) <= address)
			continue;
		*ret = (struct pagescan_mapping){
			.start = address_of(mapping->first),
			.end = end_address(mapping->last),
			.page_size = mapping->is_hugetlb ? HUGE : PAGE,
			.inode = mapping->kind == PAGESCAN_MEMORY_PRIVATE_FILE,
			.flags = mapping->kind == PAGESCAN_MEMORY_SHARED ? PAGESCAN_MAPPING_SHARED
									 : 0,
			.name = "",
		};
		return 1;
	}
	return 0;
}

enum pagescan_process_state __wrap_pagescan_process_get_state(struct pagescan_process *process)
{
	return PAGESCAN_PROCESS_RUNNING;
}

static uint64_t below(struct trial *t, uint64_t n)
{
	return test_random(&t->random) % n;
}

static bool one_in(struct trial *t, uint64_t n)
{
	return below(t, n) == 0;
}

static bool has_flag(const struct trial *t, uint32_t flag)
{
	return t->opts.flags & flag;
}

static void fill_pages(struct trial *t, const struct simulated_mapping *mapping, size_t first,
		       size_t last)
{
	static const uint64_t kinds[] = {
		0,
		PAGESCAN_IS_PRESENT,
		PAGESCAN_IS_PRESENT | PAGESCAN_IS_PFNZERO,
		PAGESCAN_IS_SWAPPED,
		PAGESCAN_IS_SWAPPED | PAGESCAN_IS_GUARD,
		PAGESCAN_IS_PRESENT | PAGESCAN_IS_FILE,
	};
	uint64_t categories = kinds[below(t, mapping->kind == PAGESCAN_MEMORY_ANON ? 5 : 6)];
	bool is_armed = mapping->is_tracked && categories && one_in(t, 2);

	if (last - first == BLOCK)
		categories = PAGESCAN_IS_HUGE |
			     (mapping->is_hugetlb && one_in(t, 4) ? 0 : PAGESCAN_IS_PRESENT) |
			     (mapping->kind == PAGESCAN_MEMORY_SHARED ? PAGESCAN_IS_FILE : 0);
	for (size_t i = first; i < last; i++)
		t->sim.pages[i] = (struct simulated_page){
			.categories = categories,
			.is_armed = is_armed,
			.is_mapped = true,
		};
}

static void fill_mapping(struct trial *t, const struct simulated_mapping *mapping)
{
	size_t page = mapping->first, longest = one_in(t, 2) ? 4 : 300;

	while (page < mapping->last) {
		size_t last = page + 1 + below(t, longest);

		if (page % BLOCK == 0 && page + BLOCK <= mapping->last &&
		    (mapping->is_hugetlb || one_in(t, 2)))
			last = page + BLOCK;
		if (last > mapping->last)
			last = mapping->last;
		fill_pages(t, mapping, page, last);
		page = last;
	}
}

static void add_mapping(struct trial *t, size_t first, size_t last)
{
	struct simulated_mapping mapping = {
		.first = first,
		.last = last,
		.is_tracked = !one_in(t, 3),
		.is_hugetlb = first % BLOCK == 0 && last % BLOCK == 0 && one_in(t, 3),
		.kind = (enum pagescan_memory_kind)below(t, 3),
	};
	uint64_t page_size = mapping.is_hugetlb ? HUGE : PAGE;

	fill_mapping(t, &mapping);
	/* Some of what is tracked is another's, and some of ours was replaced. */
	if (mapping.is_tracked && !one_in(t, 6))
		assert_int_equal(pagescan_rangeset_add(&t->process.registry.ranges,
						       address_of(first), end_address(last),
						       page_size | mapping.kind),
				 0);
	if (mapping.is_tracked && one_in(t, 10))
		mapping.is_tracked = false;
	t->sim.mappings[t->sim.n_mappings++] = mapping;
}

static void make_world(struct trial *t)
{
	static const size_t bounces[] = {1, 2, 3, 16, 512};

	t->sim.handle.scan = simulated_scan;
	t->sim.bounce = bounces[below(t, 5)];
	t->sim.is_era_1 = one_in(t, 3);
	t->sim.registry = &t->process.registry;
	t->sim.random = &t->random;
	for (size_t segment = 0; segment < N_SEGMENTS; segment++) {
		size_t page = segment * SEGMENT_PAGES, end = page + SEGMENT_PAGES;

		while (page < end && t->sim.n_mappings < 50) {
			size_t last = page + 1 + below(t, SEGMENT_PAGES);

			if (one_in(t, 2))
				last = (last + BLOCK - 1) / BLOCK * BLOCK;
			if (last > end)
				last = end;
			if (!one_in(t, 6))
				add_mapping(t, page, last);
			page = last;
		}
	}
}

static struct pagescan_expr *random_expr(struct trial *t)
{
	static const char *const texts[] = {
		"present | swapped",
		"(present & !file) | (huge & written)",
		"!(written & huge) & (file | swapped | pfnzero)",
		"(written & present) | guard",
		"written & (present | !swapped & huge) & !(file & pfnzero)",
		"(file | huge) & (present | swapped)",
		"!file & !huge",
		"all",
	};
	struct pagescan_expr *expr;

	assert_int_equal(pagescan_expr_parse(texts[below(t, 8)], &expr, NULL), 0);
	return expr;
}

static bool filter_matches(const struct trial *t, uint64_t categories)
{
	const struct pagescan_filter *f = &t->filter;

	if (has_flag(t, PAGESCAN_SCAN_PROTECT) && !t->process.is_own &&
	    !(categories & (PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED)))
		return false;
	return (categories & f->required) == f->required && !(categories & f->excluded) &&
	       (!f->any || (categories & f->any)) &&
	       (!f->where || pagescan_expr_matches(f->where, categories));
}

static bool is_for_written_alone(const struct trial *t)
{
	uint64_t tracked = t->opts.flags ? PAGESCAN_IS_WPALLOWED : 0;

	if (t->filter.report & ~(PAGESCAN_IS_WRITTEN | tracked))
		return false;
	for (uint64_t row = 0; row < 1024; row++) {
		if (filter_matches(t, row | tracked) != ((row & PAGESCAN_IS_WRITTEN) != 0))
			return false;
	}
	return true;
}

static uint64_t random_mask(struct trial *t)
{
	return test_random(&t->random) & test_random(&t->random) & test_random(&t->random) & 0x1ff;
}

static void ask(struct trial *t)
{
	if (!one_in(t, 3)) {
		t->filter.required = random_mask(t) & ~PAGESCAN_IS_SOFT_DIRTY;
		t->filter.excluded = random_mask(t) & ~t->filter.required;
		t->filter.any = one_in(t, 2) ? random_mask(t) : 0;
		t->filter.where = one_in(t, 3) ? NULL : random_expr(t);
	}
	t->filter.report = one_in(t, 2) ? test_random(&t->random) & 0x1ff : PAGESCAN_IS_WRITTEN;
	if (has_flag(t, PAGESCAN_SCAN_PROTECT)) {
		t->filter.required |= PAGESCAN_IS_WRITTEN;
		t->filter.excluded &= ~PAGESCAN_IS_WRITTEN;
	}
	t->is_fast = is_for_written_alone(t);
}

static const struct simulated_mapping *mapping_of(const struct trial *t, size_t page)
{
	for (size_t i = 0; i < t->sim.n_mappings; i++) {
		if (page >= t->sim.mappings[i].first && page < t->sim.mappings[i].last)
			return &t->sim.mappings[i];
	}
	return NULL;
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
	return filter_matches(t, categories_of(&t->sim, mapping, page, t->is_fast));
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

static void change_page(struct trial *t, size_t i)
{
	struct simulated_page *page = &t->sim.pages[i];
	size_t block = i / BLOCK * BLOCK;

	if (!page->is_mapped || mapping_of(t, i)->is_hugetlb)
		return;
	for (size_t k = block; k < block + BLOCK && (page->categories & PAGESCAN_IS_HUGE); k++) {
		if (k != i)
			t->sim.pages[k].categories &= ~PAGESCAN_IS_HUGE;
	}
	page->categories &= ~PAGESCAN_IS_HUGE;
	switch (below(t, 4)) {
	case 0:
		page->categories = PAGESCAN_IS_SWAPPED;
		break;
	case 1:
		page->categories = 0;
		page->is_armed = false;
		break;
	default:
		page->categories = PAGESCAN_IS_PRESENT;
		page->is_armed = false;
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
		assert_int_equal(record->told & ~t->filter.report, 0);
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
}

static void run_trial(struct trial *t, uint32_t flags, bool is_own, bool is_static)
{
	struct pagescan_probed can = {{PAGESCAN_ERA_2, 0x1ff, true, true}, UINT64_C(1) << 47};
	uint64_t random = t->random, untracked, categories;
	ssize_t r;

	memset(t, 0, sizeof(*t));
	t->random = random;
	t->process.is_own = is_own;
	current = t;
	make_world(t);
	if (t->sim.is_era_1)
		can.capabilities.era = PAGESCAN_ERA_1;
	t->opts = (struct pagescan_scan_opts){.size = sizeof(t->opts), .flags = flags};
	choose_range(t);
	if (one_in(t, 3))
		t->opts.max_pages = 1 + below(t, one_in(t, 2) ? 20 : 3000);
	ask(t);
	for (size_t i = 0; i < N_PAGES; i++) {
		t->records[i].always = true;
		t->records[i].was_huge = t->sim.pages[i].categories & PAGESCAN_IS_HUGE;
		if (!mapping_of(t, i))
			continue;
		categories = categories_of(&t->sim, mapping_of(t, i), i, t->is_fast);
		t->records[i].was_written = categories & PAGESCAN_IS_WRITTEN;
		t->records[i].expected = categories & t->filter.report;
	}
	record(t);
	if (!is_static)
		t->sim.meanwhile = go_on;
	assert_int_equal(pagescan_scan_init_on(&t->scan, &t->process, &t->filter, &t->opts,
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
	pagescan_expr_free((struct pagescan_expr *)t->filter.where);
	pagescan_rangeset_free(&t->process.registry.ranges);
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
	};

	return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
