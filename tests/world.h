/* SPDX-License-Identifier: MIT */
/* A process with random simulated memory, what is asked of it, and what is known of each page. */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include "question.h"
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
	struct question question;
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

static inline uint64_t below(struct trial *t, uint64_t n)
{
	return test_random(&t->random) % n;
}

static inline bool one_in(struct trial *t, uint64_t n)
{
	return below(t, n) == 0;
}

static inline void fill_pages(struct trial *t, const struct simulated_mapping *mapping,
			      size_t first, size_t last)
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

static inline void fill_mapping(struct trial *t, const struct simulated_mapping *mapping)
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

static inline void register_mapping(struct trial *t, const struct simulated_mapping *mapping)
{
	uint64_t page_size = mapping->is_hugetlb ? HUGE : PAGE;

	assert_int_equal(
		pagescan_rangeset_add(&t->process.registry.ranges, address_of(mapping->first),
				      end_address(mapping->last), page_size | mapping->kind),
		0);
}

static inline void add_mapping(struct trial *t, size_t first, size_t last)
{
	struct simulated_mapping mapping = {
		.first = first,
		.last = last,
		.is_tracked = !one_in(t, 3),
		.is_hugetlb = first % BLOCK == 0 && last % BLOCK == 0 && one_in(t, 3),
		.kind = (enum pagescan_memory_kind)below(t, 3),
	};

	fill_mapping(t, &mapping);
	/* Some of what is tracked is another's, and some of ours was replaced. */
	if (mapping.is_tracked && !one_in(t, 6))
		register_mapping(t, &mapping);
	if (mapping.is_tracked && one_in(t, 10))
		mapping.is_tracked = false;
	t->sim.mappings[t->sim.n_mappings++] = mapping;
}

static inline void make_world(struct trial *t)
{
	static const size_t bounces[] = {1, 2, 3, 16, 512};

	t->sim.bounce = bounces[below(t, 5)];
	t->sim.is_era_1 = one_in(t, 3);
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

static inline const struct simulated_mapping *mapping_of(const struct trial *t, size_t page)
{
	for (size_t i = 0; i < t->sim.n_mappings; i++) {
		if (page >= t->sim.mappings[i].first && page < t->sim.mappings[i].last)
			return &t->sim.mappings[i];
	}
	return NULL;
}

static inline void change_page(struct trial *t, size_t i)
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

#endif
