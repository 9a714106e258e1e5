/* SPDX-License-Identifier: MIT */
/* The page tables of a model. Whether there is one shows in a scan, so none is made in vain. */
#include "scan/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What one table of the second level maps. */
static uint64_t directory_size(const struct pagescan_model *model)
{
	return model->huge_size * model->fanout;
}

struct pagescan_model_slot *pagescan_model_find_slot(const struct pagescan_model *model,
						     uint64_t address)
{
	uint64_t i = address / directory_size(model);

	if (i >= model->n_directories || !model->directories[i])
		return NULL;
	return &model->directories[i][address / model->huge_size % model->fanout];
}

struct pagescan_model_slot *pagescan_model_make_slot(struct pagescan_model *model, uint64_t address)
{
	uint64_t i = address / directory_size(model);

	if (!model->directories[i])
		model->directories[i] = calloc(model->fanout, sizeof(struct pagescan_model_slot));
	return pagescan_model_find_slot(model, address);
}

uint8_t *pagescan_model_find_entry(const struct pagescan_model *model, uint64_t address)
{
	struct pagescan_model_slot *slot = pagescan_model_find_slot(model, address);

	if (!slot || !slot->table)
		return NULL;
	return &slot->table[address / model->page_size % model->fanout];
}

uint8_t *pagescan_model_make_entry(struct pagescan_model *model, uint64_t address)
{
	struct pagescan_model_slot *slot = pagescan_model_make_slot(model, address);

	if (slot && !slot->table)
		slot->table = calloc(model->fanout, 1);
	return pagescan_model_find_entry(model, address);
}

static void free_slot(struct pagescan_model_slot *slot)
{
	free(slot->table);
	*slot = (struct pagescan_model_slot){0};
}

void pagescan_model_free_directory(struct pagescan_model *model, size_t i)
{
	for (unsigned k = 0; model->directories[i] && k < model->fanout; k++)
		free_slot(&model->directories[i][k]);
	free(model->directories[i]);
	model->directories[i] = NULL;
}

/* Narrow [start, end) to the units that it touches and that lie in [floor, ceiling). */
static void narrow(uint64_t unit, uint64_t floor, uint64_t ceiling, uint64_t *start, uint64_t *end)
{
	*start = *start / unit * unit;
	if (*start < floor)
		*start += unit;
	*end = (*end + unit - 1) / unit * unit;
	if (*end > ceiling)
		*end -= unit;
}

void pagescan_model_free_tables(struct pagescan_model *model, uint64_t start, uint64_t end,
				uint64_t floor, uint64_t ceiling)
{
	uint64_t from = start, to = end;

	narrow(model->huge_size, floor, ceiling, &from, &to);
	for (uint64_t at = from; at < to; at += model->huge_size) {
		struct pagescan_model_slot *slot = pagescan_model_find_slot(model, at);

		if (slot)
			free_slot(slot);
	}
	narrow(directory_size(model), floor, ceiling, &start, &end);
	for (uint64_t at = start; at < end; at += directory_size(model))
		pagescan_model_free_directory(model, at / directory_size(model));
}

/*
 * R7.4: private pages stay as they are; shared ones leave the page table, and not
 * even an empty one is left (seen on 6.18: what R7.4 calls 512 empty entries is a hole).
 */
int pagescan_model_split_at(struct pagescan_model *model, uint64_t address)
{
	struct pagescan_model_slot *slot = pagescan_model_find_slot(model, address);
	uint8_t *table;

	if (!slot || !slot->huge)
		return 0;
	if (slot->huge & MODEL_FILE) {
		slot->huge = 0;
		return 0;
	}
	table = malloc(model->fanout);
	if (!table)
		return -ENOMEM;
	memset(table, slot->huge, model->fanout);
	*slot = (struct pagescan_model_slot){.table = table};
	return 0;
}

static int change_block(struct pagescan_model *model, const struct pagescan_model_mapping *mapping,
			uint64_t start, uint64_t end, pagescan_model_change change)
{
	struct pagescan_model_slot *slot = pagescan_model_find_slot(model, start);
	bool is_whole = end - start == model->huge_size;
	int r;

	if (slot && (model_is_hugetlb(mapping) || (slot->huge && is_whole))) {
		change(model, mapping, start, &slot->huge, !model_is_hugetlb(mapping));
		return 0;
	}
	r = pagescan_model_split_at(model, start);
	if (r < 0 || !slot || !slot->table)
		return r;
	for (uint64_t at = start; at < end; at += model->page_size)
		change(model, mapping, at, pagescan_model_find_entry(model, at), false);
	return 0;
}

int pagescan_model_for_each(struct pagescan_model *model,
			    const struct pagescan_model_mapping *mapping, uint64_t start,
			    uint64_t end, pagescan_model_change change)
{
	int r = 0;

	while (r == 0 && start < end) {
		uint64_t next = model_block(model, start) + model->huge_size;

		if (next > end)
			next = end;
		r = change_block(model, mapping, start, next, change);
		start = next;
	}
	return r;
}
