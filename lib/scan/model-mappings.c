/* SPDX-License-Identifier: MIT */
/* The mappings of a model: mapped, unmapped, registered. */
#include "scan/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pagescan_model_check_range(const struct pagescan_model *model, uint64_t start, uint64_t length)
{
	if (!model || start % model->page_size || length % model->page_size || !length)
		return -EINVAL;
	if (start + length < start || start + length > model->engine.memory_end)
		return -EINVAL;
	return 0;
}

struct pagescan_model_mapping *pagescan_model_find_mapping(const struct pagescan_model *model,
							   uint64_t address)
{
	for (size_t i = 0; i < model->n_mappings; i++) {
		if (model->mappings[i].end > address)
			return &model->mappings[i];
	}
	return NULL;
}

/* A place for one more mapping, before the @i-th. */
static int insert(struct pagescan_model *model, size_t i, struct pagescan_model_mapping mapping)
{
	struct pagescan_model_mapping *more =
		realloc(model->mappings, (model->n_mappings + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	model->mappings = more;
	memmove(&more[i + 1], &more[i], (model->n_mappings++ - i) * sizeof(*more));
	more[i] = mapping;
	return 0;
}

static void erase(struct pagescan_model *model, size_t i)
{
	memmove(&model->mappings[i], &model->mappings[i + 1],
		(--model->n_mappings - i) * sizeof(*model->mappings));
}

int pagescan_model_cut(struct pagescan_model *model, uint64_t address)
{
	struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, address);
	struct pagescan_model_mapping head;
	int r;

	if (!m || m->start >= address)
		return 0;
	/* A mapping's edge cuts no huge page. */
	r = address % model->huge_size ? pagescan_model_split_at(model, address) : 0;
	if (r < 0)
		return r;
	head = *m;
	head.end = address;
	r = insert(model, (size_t)(m - model->mappings), head);
	if (r < 0)
		return r;
	m = pagescan_model_find_mapping(model, address);
	m->offset += address - m->start;
	m->start = address;
	return 0;
}

/* Whether private pages of both could be of one family. */
static bool are_alike(const struct pagescan_model_mapping *a,
		      const struct pagescan_model_mapping *b)
{
	return a->end == b->start && a->memory == b->memory && a->mode == b->mode &&
	       a->wants_huge == b->wants_huge && a->file == b->file &&
	       a->offset + (a->end - a->start) == b->offset;
}

static bool can_merge(const struct pagescan_model_mapping *a,
		      const struct pagescan_model_mapping *b)
{
	/* The kernel joins none of hugetlb, nor special ones. */
	if (model_is_hugetlb(a) || a->memory == PAGESCAN_MODEL_SPECIAL)
		return false;
	return are_alike(a, b) && (!a->anon || !b->anon || a->anon == b->anon);
}

void pagescan_model_make_anon(struct pagescan_model *model, struct pagescan_model_mapping *m)
{
	const struct pagescan_model_mapping *end = model->mappings + model->n_mappings;

	if (m->anon)
		return;
	if (m + 1 < end && are_alike(m, m + 1))
		m->anon = m[1].anon;
	if (!m->anon && m > model->mappings && are_alike(m - 1, m))
		m->anon = m[-1].anon;
	if (!m->anon)
		m->anon = ++model->n_anons;
}

void pagescan_model_merge(struct pagescan_model *model)
{
	for (size_t i = 0; i + 1 < model->n_mappings;) {
		struct pagescan_model_mapping *m = &model->mappings[i];

		if (can_merge(m, m + 1)) {
			m->end = m[1].end;
			if (!m->anon)
				m->anon = m[1].anon;
			erase(model, i + 1);
		} else {
			i++;
		}
	}
}

static void empty(struct pagescan_model *model, const struct pagescan_model_mapping *mapping,
		  uint64_t address, uint8_t *entry, bool is_huge)
{
	*entry = 0;
}

int pagescan_model_unmap(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	uint64_t end = start + length, floor = 0, ceiling;
	struct pagescan_model_mapping *m;
	int r = pagescan_model_check_range(model, start, length);

	if (r == 0)
		r = pagescan_model_cut(model, start);
	if (r == 0)
		r = pagescan_model_cut(model, end);
	while (r == 0 && (m = pagescan_model_find_mapping(model, start)) && m->start < end) {
		r = pagescan_model_for_each(model, m, m->start, m->end, empty);
		erase(model, (size_t)(m - model->mappings));
	}
	if (r < 0)
		return r;
	m = pagescan_model_find_mapping(model, start);
	ceiling = m ? m->start : model->engine.memory_end;
	if (!m)
		m = model->mappings + model->n_mappings;
	if (m > model->mappings)
		floor = m[-1].end;
	pagescan_model_free_tables(model, start, end, floor, ceiling);
	return 0;
}

int pagescan_model_place(struct pagescan_model *model, const struct pagescan_model_mapping *mapping)
{
	struct pagescan_model_mapping *next;
	int r = pagescan_model_unmap(model, mapping->start, mapping->end - mapping->start);

	if (r < 0)
		return r;
	next = pagescan_model_find_mapping(model, mapping->start);
	r = insert(model, next ? (size_t)(next - model->mappings) : model->n_mappings, *mapping);
	pagescan_model_merge(model);
	return r;
}

int pagescan_model_map(struct pagescan_model *model, uint64_t start, uint64_t length,
		       uint32_t memory, uint32_t file, uint64_t offset)
{
	struct pagescan_model_mapping mapping = {
		.start = start,
		.end = start + length,
		.memory = (enum pagescan_model_memory)(memory & ~PAGESCAN_MODEL_HUGEPAGE),
		.file = file,
		.offset = offset,
		.wants_huge = memory & PAGESCAN_MODEL_HUGEPAGE,
	};
	int r = pagescan_model_check_range(model, start, length);

	if (mapping.memory == PAGESCAN_MODEL_ANON) {
		mapping.offset = start;
		mapping.file = 0;
	}
	if (r == 0 && (mapping.memory > PAGESCAN_MODEL_SPECIAL || offset % model->page_size))
		r = -EINVAL;
	if (r == 0 && model_is_hugetlb(&mapping) &&
	    (start % model->huge_size || length % model->huge_size || offset % model->huge_size))
		r = -EINVAL;
	return r < 0 ? r : pagescan_model_place(model, &mapping);
}

/* Whether [start, end) can be registered in @mode, or unregistered if that is 0 (R10.2). */
static int check_registration(const struct pagescan_model *model, uint64_t start, uint64_t end,
			      enum pagescan_model_mode mode)
{
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, start);

	if (!m || m->start >= end)
		return -EINVAL;
	for (; m < model->mappings + model->n_mappings && m->start < end; m++) {
		if (m->memory == PAGESCAN_MODEL_SPECIAL)
			return -EINVAL;
		if (model_is_hugetlb(m) && ((start > m->start && start % model->huge_size) ||
					    (end < m->end && end % model->huge_size)))
			return -EINVAL;
		if (mode && m->mode && m->mode != mode)
			return -EBUSY;
	}
	return 0;
}

/* What has that mode already is not cut, and its huge page there stays. */
static int cut_for_mode(struct pagescan_model *model, uint64_t address,
			enum pagescan_model_mode mode)
{
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, address);

	return m && m->mode != mode ? pagescan_model_cut(model, address) : 0;
}

static int set_mode(struct pagescan_model *model, uint64_t start, uint64_t end,
		    enum pagescan_model_mode mode)
{
	struct pagescan_model_mapping *m;
	int r = check_registration(model, start, end, mode);

	if (r == 0)
		r = cut_for_mode(model, start, mode);
	if (r == 0)
		r = cut_for_mode(model, end, mode);
	for (m = pagescan_model_find_mapping(model, start);
	     r == 0 && m && m < model->mappings + model->n_mappings && m->start < end; m++) {
		if (!mode && model_is_wp(m))
			r = pagescan_model_disarm(model, m, m->start, m->end);
		m->mode = mode;
	}
	pagescan_model_merge(model);
	return r;
}

int pagescan_model_register(struct pagescan_model *model, uint64_t start, uint64_t length,
			    enum pagescan_model_mode mode)
{
	int r = pagescan_model_check_range(model, start, length);

	if (r == 0 && (mode < PAGESCAN_MODEL_WP_ASYNC || mode > PAGESCAN_MODEL_MISSING))
		r = -EINVAL;
	return r < 0 ? r : set_mode(model, start, start + length, mode);
}

int pagescan_model_unregister(struct pagescan_model *model, uint64_t start, uint64_t length)
{
	int r = pagescan_model_check_range(model, start, length);

	return r < 0 ? r : set_mode(model, start, start + length, 0);
}
