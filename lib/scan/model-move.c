/* SPDX-License-Identifier: MIT */
/* A model's page tables that go elsewhere: mremap() and fork(). */
#include "scan/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* R10.7, R10.8: without its userfaultfd, nothing is armed. */
static uint8_t disarmed(uint8_t entry)
{
	return entry & (uint8_t) ~(MODEL_ARMED | MODEL_MARKER);
}

/* Move what lies in the ranges of one table at both places. */
static int move_part(struct pagescan_model *model, uint64_t from, uint64_t to, uint64_t length,
		     bool is_registered)
{
	struct pagescan_model_slot *slot = pagescan_model_find_slot(model, from), *target;
	bool is_whole = length == model->huge_size;
	int r = 0;

	if (!slot || (!slot->huge && !slot->table))
		return 0;
	target = pagescan_model_make_slot(model, to);
	if (!target)
		return -ENOMEM;
	if (is_whole && slot->huge) {
		target->huge = disarmed(slot->huge);
		slot->huge = 0;
		return 0;
	}
	r = pagescan_model_split_at(model, from);
	for (uint64_t at = 0; r == 0 && at < length; at += model->page_size) {
		uint8_t *entry = pagescan_model_make_entry(model, to + at);
		uint8_t *old = pagescan_model_find_entry(model, from + at);

		if (!entry)
			return -ENOMEM;
		*entry = is_registered ? disarmed(*old) : *old;
		*old = 0;
	}
	return r;
}

static int move_tables(struct pagescan_model *model, uint64_t from, uint64_t to, uint64_t length,
		       bool is_registered)
{
	uint64_t done = 0;
	int r = 0;

	while (r == 0 && done < length) {
		uint64_t left = model->huge_size - (from + done) % model->huge_size;
		uint64_t left_there = model->huge_size - (to + done) % model->huge_size;

		if (left > left_there)
			left = left_there;
		if (left > length - done)
			left = length - done;
		r = move_part(model, from + done, to + done, left, is_registered);
		done += left;
	}
	return r;
}

int pagescan_model_move(struct pagescan_model *model, uint64_t from, uint64_t length, uint64_t to)
{
	struct pagescan_model_mapping *m, moved;
	bool is_registered;
	int r = pagescan_model_check_range(model, from, length);

	if (r == 0)
		r = pagescan_model_check_range(model, to, length);
	if (r < 0 || (from < to + length && to < from + length))
		return -EINVAL;
	m = pagescan_model_find_mapping(model, from);
	if (!m || m->start > from || m->end < from + length || m->memory == PAGESCAN_MODEL_SPECIAL)
		return -EFAULT;
	if (model_is_hugetlb(m))
		return -EINVAL;
	moved = *m;
	is_registered = m->mode != 0;
	moved.start = to;
	moved.end = to + length;
	/* Private memory that has pages keeps its place in their family. */
	moved.offset += from - m->start;
	if (moved.memory == PAGESCAN_MODEL_ANON && !moved.anon)
		moved.offset = to;
	r = pagescan_model_place(model, &moved);
	if (r == 0)
		r = move_tables(model, from, to, length, is_registered);
	if (r < 0)
		return r;
	/*
	 * The new place is no longer registered, and neither is what it joined before
	 * that was found: there, bits and markers stay behind (seen on 6.18).
	 */
	pagescan_model_find_mapping(model, to)->mode = 0;
	pagescan_model_merge(model);
	return pagescan_model_unmap(model, from, length);
}

/* What fork() does not copy is filled in by faults later. */
static bool is_copied(const struct pagescan_model_mapping *m)
{
	return m->anon && m->memory != PAGESCAN_MODEL_SPECIAL;
}

static int copy_block(struct pagescan_model *child, const struct pagescan_model_slot *slot,
		      uint64_t start, uint64_t end)
{
	struct pagescan_model_slot *copy = pagescan_model_make_slot(child, start);

	if (!copy)
		return -ENOMEM;
	if (!(slot->huge & MODEL_FILE))
		copy->huge = disarmed(slot->huge);
	for (uint64_t at = start; slot->table && at < end; at += child->page_size) {
		uint8_t *entry = pagescan_model_make_entry(child, at);

		if (!entry)
			return -ENOMEM;
		*entry = disarmed(slot->table[at / child->page_size % child->fanout]);
	}
	return 0;
}

static int copy_tables(const struct pagescan_model *model, struct pagescan_model *child,
		       const struct pagescan_model_mapping *m)
{
	int r = 0;

	for (uint64_t at = m->start, next; r == 0 && at < m->end; at = next) {
		const struct pagescan_model_slot *slot = pagescan_model_find_slot(model, at);

		next = model_block(model, at) + model->huge_size;
		if (next > m->end)
			next = m->end;
		/* The second level is made even if nothing is in it. */
		if (slot)
			r = copy_block(child, slot, at, next);
	}
	return r;
}

static int copy_files(const struct pagescan_model *model, struct pagescan_model *child)
{
	child->files = calloc(model->n_files + 1, sizeof(*child->files));
	if (!child->files)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_files; i++) {
		child->files[i] = model->files[i];
		child->files[i].is_cached = calloc(model->files[i].n_pages + 1, sizeof(bool));
		child->n_files++;
		if (!child->files[i].is_cached)
			return -ENOMEM;
		memcpy(child->files[i].is_cached, model->files[i].is_cached,
		       model->files[i].n_pages * sizeof(bool));
	}
	return 0;
}

static int copy_mappings(const struct pagescan_model *model, struct pagescan_model *child)
{
	struct pagescan_model_mapping *mappings;
	int r = 0;

	child->n_anons = model->n_anons;
	mappings = realloc(child->mappings, (model->n_mappings + 1) * sizeof(*mappings));
	if (!mappings)
		return -ENOMEM;
	child->mappings = mappings;
	for (size_t i = 0; r == 0 && i < model->n_mappings; i++) {
		child->mappings[child->n_mappings] = model->mappings[i];
		child->mappings[child->n_mappings++].mode = 0;
		if (is_copied(&model->mappings[i]))
			r = copy_tables(model, child, &model->mappings[i]);
	}
	pagescan_model_merge(child);
	return r;
}

int pagescan_model_fork(struct pagescan_model *model, struct pagescan_model **ret)
{
	struct pagescan_model_opts opts = {.size = sizeof(opts)};
	struct pagescan_model *child;
	int r;

	if (!model || !ret)
		return -EINVAL;
	opts.era = model->era;
	opts.categories = model->engine.categories;
	r = pagescan_model_new(&opts, &child);
	if (r < 0)
		return r;
	r = copy_files(model, child);
	if (r == 0)
		r = copy_mappings(model, child);
	if (r < 0)
		pagescan_model_free(child);
	else
		*ret = child;
	return r;
}
