/* SPDX-License-Identifier: MIT */
/* The view of a simulated address space, which makes a model scannable. */
#include "scan/model.h"

#include "base/error.h"
#include "base/system.h"
#include "scan/condition.h"

#include <errno.h>
#include <stdlib.h>

/* As x86-64 with four levels of page tables has it (R2.7). */
#define MEMORY_PAGES (UINT64_C(0x7ffffffff000) / 4096)

static struct pagescan_model *model_of(struct pagescan_view *view)
{
	return (struct pagescan_model *)view;
}

static int view_find_mapping(struct pagescan_view *view, uint64_t address,
			     struct pagescan_view_mapping *ret)
{
	struct pagescan_model *model = model_of(view);
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, address);

	if (!m)
		return 0;
	model->walked = m;
	*ret = (struct pagescan_view_mapping){
		.start = m->start,
		.end = m->end,
		.page_size = model_is_hugetlb(m) ? model->huge_size : model->page_size,
		.is_pfnmap = m->memory == PAGESCAN_MODEL_SPECIAL,
		.is_uffd_wp = model_is_wp(m),
		.is_wp_allowed = m->mode == PAGESCAN_MODEL_WP_ASYNC,
	};
	return 1;
}

static enum pagescan_entry_kind kind_of(uint8_t entry)
{
	if (entry & MODEL_PRESENT)
		return PAGESCAN_ENTRY_PRESENT;
	return entry ? PAGESCAN_ENTRY_SWAPPED : PAGESCAN_ENTRY_EMPTY;
}

static uint64_t categories_of(uint8_t entry)
{
	uint64_t categories = 0;

	if (entry & MODEL_FILE)
		categories |= PAGESCAN_IS_FILE;
	if (entry & MODEL_ZERO)
		categories |= PAGESCAN_IS_PFNZERO;
	if (entry & MODEL_GUARD)
		categories |= PAGESCAN_IS_GUARD;
	return categories;
}

static void describe(const struct pagescan_model *model, uint8_t entry, struct pagescan_entry *ret)
{
	ret->kind = kind_of(entry);
	/* A kernel that does not know guard pages by name still has them (section 4). */
	ret->categories = categories_of(entry) & model->engine.categories;
	ret->is_armed = entry & MODEL_ARMED;
}

static int view_find_entry(struct pagescan_view *view, uint64_t start, uint64_t end,
			   uint64_t interest, struct pagescan_entry *ret)
{
	struct pagescan_model *model = model_of(view);
	const struct pagescan_model_slot *slot = pagescan_model_find_slot(model, start);
	uint64_t block_end = model_block(model, start) + model->huge_size;
	bool is_hugetlb = model_is_hugetlb(model->walked);
	const uint8_t *first;

	*ret = (struct pagescan_entry){
		.start = start, .end = block_end < end ? block_end : end, .size = model->page_size};
	if (is_hugetlb || (slot && slot->huge))
		ret->size = model->huge_size;
	if (slot && (is_hugetlb || slot->huge)) {
		describe(model, slot->huge, ret);
		return 0;
	}
	/* Neither has a page table: a hole. */
	if (!slot || !slot->table)
		return 0;
	first = pagescan_model_find_entry(model, start);
	describe(model, *first, ret);
	end = ret->end;
	for (ret->end = start;
	     ret->end < end && *first == *pagescan_model_find_entry(model, ret->end);)
		ret->end += model->page_size;
	return 0;
}

static int view_protect(struct pagescan_view *view, uint64_t start, uint64_t end)
{
	struct pagescan_model *model = model_of(view);

	return pagescan_model_arm(model, model->walked, start, end, true);
}

static int view_split(struct pagescan_view *view, uint64_t address)
{
	return pagescan_model_split_at(model_of(view), address);
}

/* What each era's kernels know (section 0). */
static uint64_t categories_of_era(enum pagescan_era era)
{
	switch (era) {
	case PAGESCAN_ERA_1:
		return PAGESCAN_IS_GUARD - 1;
	case PAGESCAN_ERA_2:
		return PAGESCAN_IS_ACCESSED - 1;
	default:
		return PAGESCAN_ALL_CATEGORIES;
	}
}

static int check_opts(struct pagescan_model_opts *opts)
{
	if (!opts->era)
		opts->era = PAGESCAN_ERA_2;
	if (opts->era > PAGESCAN_ERA_3 || opts->reserved)
		return -EINVAL;
	if (!opts->categories)
		opts->categories = categories_of_era(opts->era);
	return opts->categories & ~PAGESCAN_ALL_CATEGORIES ? -EINVAL : 0;
}

int pagescan_model_new(const struct pagescan_model_opts *opts, struct pagescan_model **ret)
{
	struct pagescan_model_opts ours;
	struct pagescan_model *model;
	int r = pagescan_opts_copy(&ours, sizeof(ours), opts, sizeof(ours.size));

	if (r == 0)
		r = ret ? check_opts(&ours) : -EINVAL;
	if (r < 0)
		return r;
	model = calloc(1, sizeof(*model));
	if (!model)
		return -ENOMEM;
	model->era = ours.era;
	model->page_size = pagescan_page_size();
	model->fanout = (unsigned)(model->page_size / 8);
	model->huge_size = model->page_size * model->fanout;
	model->view = (struct pagescan_view){
		.find_mapping = view_find_mapping,
		.find_entry = view_find_entry,
		.protect = view_protect,
		.split = view_split,
	};
	pagescan_operation_engine_init(&model->engine, &model->view, ours.era, ours.categories,
				       MEMORY_PAGES * model->page_size);
	model->n_directories = model->engine.memory_end / (model->huge_size * model->fanout) + 1;
	model->directories = calloc(model->n_directories, sizeof(struct pagescan_model_slot *));
	model->mappings = calloc(1, sizeof(*model->mappings));
	if (!model->directories || !model->mappings) {
		free(model->mappings);
		free(model->directories);
		free(model);
		return -ENOMEM;
	}
	*ret = model;
	return 0;
}

void pagescan_model_free(struct pagescan_model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->n_directories; i++)
		pagescan_model_free_directory(model, i);
	for (size_t i = 0; i < model->n_files; i++)
		free(model->files[i].is_cached);
	free(model->files);
	free(model->directories);
	free(model->mappings);
	free(model);
}

int pagescan_model_scan(struct pagescan_model *model, void *arg)
{
	return model ? model->engine.handle.scan(&model->engine.handle, arg) : -EINVAL;
}
