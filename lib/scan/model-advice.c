/* SPDX-License-Identifier: MIT */
/* What madvise() and reclaim take out of a model's page tables, and put there. */
#include "scan/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_anon(const struct pagescan_model_mapping *m)
{
	return m->memory == PAGESCAN_MODEL_ANON;
}

static bool is_ordinary(const struct pagescan_model_mapping *m)
{
	return m->memory != PAGESCAN_MODEL_SPECIAL;
}

/* For each mapping in the range, up to the first that is not fit for it. */
static int for_each_mapping(struct pagescan_model *model, uint64_t start, uint64_t length,
			    bool (*is_fit)(const struct pagescan_model_mapping *m),
			    pagescan_model_change change)
{
	uint64_t end = start + length;
	int r = pagescan_model_check_range(model, start, length);
	const struct pagescan_model_mapping *m;

	if (r < 0)
		return r;
	m = pagescan_model_find_mapping(model, start);
	for (; r == 0 && m && m < model->mappings + model->n_mappings && m->start < end; m++) {
		if (!is_fit(m))
			return -EINVAL;
		r = pagescan_model_for_each(model, m, m->start > start ? m->start : start,
					    m->end < end ? m->end : end, change);
	}
	return r;
}

/* R10.6: what is armed leaves a marker, but in private memory without a file. */
static void drop(const struct pagescan_model_mapping *m, uint8_t *entry, bool is_huge)
{
	if (is_anon(m) || is_huge || !(*entry & MODEL_ARMED))
		*entry = 0;
	else
		*entry = MODEL_MARKER | MODEL_ARMED;
}

static void dontneed_entry(struct pagescan_model *model, const struct pagescan_model_mapping *m,
			   uint64_t address, uint8_t *entry, bool is_huge)
{
	if (!(*entry & MODEL_GUARD))
		drop(m, entry, is_huge);
}

/* From 6.14 on, the kernel frees a page table that this empties (section 12, PT_RECLAIM). */
static void reclaim_tables(struct pagescan_model *model, uint64_t start, uint64_t end)
{
	for (uint64_t at = model_block(model, start + model->huge_size - 1);
	     at + model->huge_size <= end; at += model->huge_size) {
		struct pagescan_model_slot *slot = pagescan_model_find_slot(model, at);
		unsigned i = 0;

		while (slot && slot->table && i < model->fanout && !slot->table[i])
			i++;
		if (i == model->fanout) {
			free(slot->table);
			slot->table = NULL;
		}
	}
}

int pagescan_model_dontneed(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	uint64_t end = start + length;
	int r = for_each_mapping(model, start, length, is_ordinary, dontneed_entry);
	const struct pagescan_model_mapping *m;

	if (r < 0 || model->era == PAGESCAN_ERA_1)
		return r;
	m = pagescan_model_find_mapping(model, start);
	for (; m && m < model->mappings + model->n_mappings && m->start < end; m++)
		reclaim_tables(model, m->start > start ? m->start : start,
			       m->end < end ? m->end : end);
	return 0;
}

static void free_entry(struct pagescan_model *model, const struct pagescan_model_mapping *m,
		       uint64_t address, uint8_t *entry, bool is_huge)
{
	if ((*entry & MODEL_PRESENT) && !(*entry & MODEL_ZERO))
		*entry |= MODEL_LAZY;
	else if (*entry & MODEL_SWAP)
		*entry = 0;
}

/* The kernel stops at the first mapping with a file: what lies before it is done. */
int pagescan_model_free_lazily(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	return for_each_mapping(model, start, length, is_anon, free_entry);
}

/* R4.2, R4.5, R10.6 */
static void swap_entry(struct pagescan_model *model, const struct pagescan_model_mapping *m,
		       uint64_t address, uint8_t *entry, bool is_huge)
{
	bool *is_cached;

	if (model_is_hugetlb(m) || !(*entry & MODEL_PRESENT) || (*entry & MODEL_ZERO))
		return;
	if (*entry & MODEL_LAZY) {
		*entry = 0;
	} else if (*entry & MODEL_FILE) {
		drop(m, entry, is_huge);
		is_cached = pagescan_model_cached(model, m, address);
		if (is_cached)
			*is_cached = false;
	} else {
		*entry = MODEL_SWAP | (*entry & MODEL_ARMED);
	}
}

int pagescan_model_swap_out(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	int r = pagescan_model_check_range(model, start, length);

	for (uint64_t at = start; r == 0 && at < start + length; at += model->page_size) {
		struct pagescan_model_slot *slot = pagescan_model_find_slot(model, at);
		const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, at);

		if (m && m->start <= at && !model_is_hugetlb(m) && slot &&
		    !(slot->huge & MODEL_ZERO))
			r = pagescan_model_split_at(model, at);
	}
	return r < 0 ? r : for_each_mapping(model, start, length, is_ordinary, swap_entry);
}

static bool can_guard(const struct pagescan_model *model, uint64_t start, uint64_t end)
{
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, start);

	for (; m && m < model->mappings + model->n_mappings && m->start < end; m++) {
		if (model_is_hugetlb(m) || m->memory == PAGESCAN_MODEL_SPECIAL)
			return false;
	}
	return true;
}

/* R10.11: whether an armed entry would outlive what is done to put guards there. */
static bool is_stuck(const struct pagescan_model *model, uint64_t address)
{
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, address);
	const uint8_t *entry = pagescan_model_find_entry(model, address);

	return m && m->start <= address && !is_anon(m) && entry && (*entry & MODEL_ARMED) &&
	       !(*entry & MODEL_GUARD);
}

static int guard_page(struct pagescan_model *model, uint64_t address)
{
	struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, address);
	uint8_t *entry;
	int r;

	if (!m || m->start > address)
		return 0;
	r = pagescan_model_split_at(model, address);
	entry = r == 0 ? pagescan_model_make_entry(model, address) : NULL;
	if (!entry)
		return -ENOMEM;
	if (!(*entry & MODEL_GUARD))
		*entry = MODEL_GUARD;
	pagescan_model_make_anon(model, m);
	return 0;
}

int pagescan_model_guard_install(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	uint64_t end = start + length;
	int r = pagescan_model_check_range(model, start, length);

	if (r == 0 && !can_guard(model, start, end))
		r = -EINVAL;
	for (uint64_t at = start; r == 0 && at < end; at += model->page_size)
		r = is_stuck(model, at) ? -EDEADLK : 0;
	for (uint64_t at = start; r == 0 && at < end; at += model->page_size)
		r = guard_page(model, at);
	return r;
}

int pagescan_model_guard_remove(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	int r = pagescan_model_check_range(model, start, length);

	if (r == 0 && !can_guard(model, start, start + length))
		r = -EINVAL;
	for (uint64_t at = start; r == 0 && at < start + length; at += model->page_size) {
		uint8_t *entry = pagescan_model_find_entry(model, at);

		if (entry && (*entry & MODEL_GUARD))
			*entry = 0;
	}
	return r;
}

/* R10.9: nothing in it may be armed. There must be a page table, be it an empty one. */
static int check_private(const struct pagescan_model *model, const struct pagescan_model_mapping *m,
			 const uint8_t *table)
{
	if (!table || !m->anon)
		return -EINVAL;
	for (unsigned i = 0; i < model->fanout; i++) {
		if (table[i] & (MODEL_ARMED | MODEL_GUARD))
			return -EINVAL;
	}
	return 0;
}

/* Of shared memory it is the file that is collapsed: something of it must be in memory. */
static int collapse_file(struct pagescan_model *model, const struct pagescan_model_mapping *m,
			 uint64_t start)
{
	bool *is_cached = pagescan_model_cached(model, m, start + model->huge_size - 1),
	     any = false;

	if (!is_cached)
		return -ENOMEM;
	is_cached -= model->fanout - 1;
	if (model_is_wp(m) || (m->offset + (start - m->start)) % model->huge_size)
		return -EINVAL;
	for (unsigned i = 0; i < model->fanout; i++)
		any |= is_cached[i];
	if (any)
		memset(is_cached, true, model->fanout * sizeof(bool));
	return any ? 0 : -EINVAL;
}

int pagescan_model_collapse(struct pagescan_model *model, uint64_t start)
{
	struct pagescan_model_mapping *m;
	struct pagescan_model_slot *slot;
	int r = pagescan_model_check_range(model, start, model ? model->huge_size : 0);

	if (r < 0 || start % model->huge_size)
		return -EINVAL;
	m = pagescan_model_find_mapping(model, start);
	if (!m || m->start > start || m->end < start + model->huge_size ||
	    (is_anon(m) ? !m->wants_huge : m->memory != PAGESCAN_MODEL_SHARED))
		return -EINVAL;
	slot = pagescan_model_make_slot(model, start);
	if (!slot)
		return -ENOMEM;
	if (slot->huge)
		return 0;
	r = is_anon(m) ? check_private(model, m, slot->table) : collapse_file(model, m, start);
	if (r < 0)
		return r;
	free(slot->table);
	slot->table = NULL;
	slot->huge = is_anon(m) ? MODEL_PRESENT : MODEL_PRESENT | MODEL_FILE;
	if (is_anon(m))
		pagescan_model_make_anon(model, m);
	return 0;
}

int pagescan_model_split(struct pagescan_model *model, uint64_t address)
{
	const struct pagescan_model_mapping *m;

	if (!model)
		return -EINVAL;
	m = pagescan_model_find_mapping(model, address);
	if (!m || m->start > address || model_is_hugetlb(m))
		return 0;
	return pagescan_model_split_at(model, address);
}
