/* SPDX-License-Identifier: MIT */
/* Reading and writing a model's memory: what a page fault puts into the page table. */
#include "scan/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The kernel's default: a read fault maps neighbours of a file that are in memory, too. */
#define FAULT_AROUND (UINT64_C(64) << 10)

static struct pagescan_model_file *find_file(struct pagescan_model *model, uint32_t file)
{
	struct pagescan_model_file *more;

	for (size_t i = 0; i < model->n_files; i++) {
		if (model->files[i].file == file)
			return &model->files[i];
	}
	more = realloc(model->files, (model->n_files + 1) * sizeof(*more));
	if (!more)
		return NULL;
	model->files = more;
	more[model->n_files] = (struct pagescan_model_file){.file = file};
	return &more[model->n_files++];
}

bool *pagescan_model_cached(struct pagescan_model *model,
			    const struct pagescan_model_mapping *mapping, uint64_t address)
{
	struct pagescan_model_file *file = find_file(model, mapping->file);
	uint64_t page = (mapping->offset + (address - mapping->start)) / model->page_size;
	bool *more;

	if (!file)
		return NULL;
	if (page >= file->n_pages) {
		more = realloc(file->is_cached, (page + 1) * 2 * sizeof(bool));
		if (!more)
			return NULL;
		memset(more + file->n_pages, 0, ((page + 1) * 2 - file->n_pages) * sizeof(bool));
		file->is_cached = more;
		file->n_pages = (page + 1) * 2;
	}
	return &file->is_cached[page];
}

static bool is_anon(const struct pagescan_model_mapping *m)
{
	return m->memory == PAGESCAN_MODEL_ANON;
}

/* What a page that appears is made of. */
static uint8_t new_page(const struct pagescan_model_mapping *m)
{
	bool is_shared =
		m->memory == PAGESCAN_MODEL_SHARED || m->memory == PAGESCAN_MODEL_HUGETLB_SHARED;

	return is_shared ? MODEL_PRESENT | MODEL_FILE : MODEL_PRESENT;
}

/* R10.3: not where writes are tracked. */
static int fault_around(struct pagescan_model *model, const struct pagescan_model_mapping *m,
			uint64_t address)
{
	uint64_t from = address / FAULT_AROUND * FAULT_AROUND, to;
	uint64_t block = model_block(model, address);

	if (model_is_wp(m))
		return 0;
	if (from < m->start)
		from = m->start;
	to = from + FAULT_AROUND;
	if (to > block + model->huge_size)
		to = block + model->huge_size;
	if (to > m->end)
		to = m->end;
	for (uint64_t at = from; at < to; at += model->page_size) {
		uint8_t *entry = pagescan_model_find_entry(model, at);
		bool *is_cached = pagescan_model_cached(model, m, at);

		if (!is_cached)
			return -ENOMEM;
		if (!*entry && *is_cached)
			*entry = MODEL_PRESENT | MODEL_FILE;
	}
	return 0;
}

static int fill_from_file(struct pagescan_model *model, const struct pagescan_model_mapping *m,
			  uint64_t address)
{
	bool *is_cached = pagescan_model_cached(model, m, address);

	if (!is_cached)
		return -ENOMEM;
	*is_cached = true;
	return 0;
}

/*
 * Where registration was lost to a move (model-move.c), bits and markers are still
 * there. A fault takes such a marker away, but never the bit of a page that it keeps.
 */
static void drop_stale_marker(const struct pagescan_model_mapping *m, uint8_t *entry)
{
	if (!model_is_wp(m) && (*entry & MODEL_MARKER))
		*entry = 0;
}

static uint8_t stale_bit(const struct pagescan_model_mapping *m, uint8_t entry)
{
	bool is_kept = (entry & MODEL_PRESENT) && !(entry & MODEL_ZERO) &&
		       (!(entry & MODEL_FILE) || m->memory == PAGESCAN_MODEL_SHARED);

	return is_kept && !model_is_wp(m) ? entry & MODEL_ARMED : 0;
}

static int read_entry(struct pagescan_model *model, struct pagescan_model_mapping *m,
		      uint64_t address, uint8_t *entry)
{
	uint8_t armed;
	int r;

	drop_stale_marker(m, entry);
	armed = *entry & MODEL_ARMED;
	if (*entry & MODEL_GUARD)
		return -EFAULT;
	if (*entry & MODEL_PRESENT)
		return 0;
	if (*entry & MODEL_SWAP) {
		*entry = MODEL_PRESENT | armed;
		return 0;
	}
	if (is_anon(m)) {
		*entry = MODEL_PRESENT | MODEL_ZERO | armed;
		return 0;
	}
	r = fault_around(model, m, address);
	if (r == 0)
		r = fill_from_file(model, m, address);
	if (r == 0)
		*entry = MODEL_PRESENT | MODEL_FILE | armed;
	return r;
}

static int write_entry(struct pagescan_model *model, struct pagescan_model_mapping *m,
		       uint64_t address, uint8_t *entry)
{
	if (*entry & MODEL_GUARD)
		return -EFAULT;
	if ((*entry & MODEL_ARMED) && m->mode == PAGESCAN_MODEL_WP_SYNC)
		return -EAGAIN;
	if (!is_anon(m) && fill_from_file(model, m, address) < 0)
		return -ENOMEM;
	drop_stale_marker(m, entry);
	*entry = new_page(m) | stale_bit(m, *entry);
	if (!(*entry & MODEL_FILE))
		pagescan_model_make_anon(model, m);
	return 0;
}

/* R10.4: what is written of a private huge page that was armed stands alone; a shared one is
 * written as a whole. */
static int write_huge(struct pagescan_model *model, struct pagescan_model_mapping *m,
		      uint64_t address, uint8_t *huge)
{
	bool is_split;
	int r;

	if ((*huge & MODEL_ARMED) && m->mode == PAGESCAN_MODEL_WP_SYNC)
		return -EAGAIN;
	if (!(*huge & MODEL_FILE))
		pagescan_model_make_anon(model, m);
	/* Linux 6.12 splits the huge zero page, later ones put a huge page in its place. */
	is_split = (*huge & MODEL_ZERO) && model->era == PAGESCAN_ERA_1;
	is_split |= (*huge & MODEL_ARMED) && !(*huge & MODEL_FILE) && model_is_wp(m);
	if (!is_split) {
		*huge = MODEL_PRESENT | (*huge & MODEL_FILE) | stale_bit(m, *huge);
		return 0;
	}
	r = pagescan_model_split_at(model, address);
	return r < 0 ? r
		     : write_entry(model, m, address, pagescan_model_find_entry(model, address));
}

static int access_hugetlb(struct pagescan_model *model, struct pagescan_model_mapping *m,
			  uint64_t address, bool is_write)
{
	struct pagescan_model_slot *slot = pagescan_model_make_slot(model, address);

	if (!slot)
		return -ENOMEM;
	if (is_write && (slot->huge & MODEL_ARMED) && m->mode == PAGESCAN_MODEL_WP_SYNC)
		return -EAGAIN;
	if (m->memory == PAGESCAN_MODEL_HUGETLB)
		pagescan_model_make_anon(model, m);
	address = model_block(model, address);
	if (m->memory == PAGESCAN_MODEL_HUGETLB_SHARED && fill_from_file(model, m, address) < 0)
		return -ENOMEM;
	if (is_write)
		slot->huge = new_page(m);
	else
		slot->huge = new_page(m) | (slot->huge & MODEL_ARMED);
	return 0;
}

/* Whether what is to be put where nothing is may be huge. */
static bool may_be_huge(const struct pagescan_model *model, const struct pagescan_model_mapping *m,
			uint64_t address)
{
	uint64_t block = model_block(model, address);

	return is_anon(m) && m->wants_huge && block >= m->start &&
	       block + model->huge_size <= m->end;
}

static int access_memory(struct pagescan_model *model, struct pagescan_model_mapping *m,
			 uint64_t address, bool is_write)
{
	struct pagescan_model_slot *slot = pagescan_model_find_slot(model, address);
	uint8_t *entry;

	if (slot && slot->huge)
		return is_write ? write_huge(model, m, address, &slot->huge) : 0;
	if ((!slot || !slot->table) && may_be_huge(model, m, address)) {
		slot = pagescan_model_make_slot(model, address);
		if (!slot)
			return -ENOMEM;
		slot->huge = is_write ? MODEL_PRESENT : MODEL_PRESENT | MODEL_ZERO;
		pagescan_model_make_anon(model, m);
		return 0;
	}
	entry = pagescan_model_make_entry(model, address);
	if (!entry)
		return -ENOMEM;
	return is_write ? write_entry(model, m, address, entry)
			: read_entry(model, m, address, entry);
}

/* Whether the handler of missing pages would be asked for this one: 1, 0 or -ENOMEM. */
static int is_missing(struct pagescan_model *model, const struct pagescan_model_mapping *m,
		      uint64_t address)
{
	const struct pagescan_model_slot *slot = pagescan_model_find_slot(model, address);
	const uint8_t *entry = pagescan_model_find_entry(model, address);
	const bool *is_cached;

	if (m->mode != PAGESCAN_MODEL_MISSING || (slot && slot->huge) || (entry && *entry))
		return 0;
	if (is_anon(m) || m->memory == PAGESCAN_MODEL_HUGETLB)
		return 1;
	is_cached = pagescan_model_cached(model, m, address);
	return is_cached ? !*is_cached : -ENOMEM;
}

static int access_page(struct pagescan_model *model, uint64_t address, bool is_write)
{
	struct pagescan_model_mapping *m;
	int r;

	if (!model)
		return -EINVAL;
	address = address / model->page_size * model->page_size;
	m = pagescan_model_find_mapping(model, address);
	if (!m || m->start > address)
		return -EFAULT;
	if (m->memory == PAGESCAN_MODEL_SPECIAL)
		return 0;
	r = is_missing(model, m, address);
	if (r != 0)
		return r < 0 ? r : -EAGAIN;
	if (model_is_hugetlb(m))
		return access_hugetlb(model, m, address, is_write);
	return access_memory(model, m, address, is_write);
}

int pagescan_model_read(struct pagescan_model *model, uint64_t address)
{
	return access_page(model, address, false);
}

int pagescan_model_write(struct pagescan_model *model, uint64_t address)
{
	return access_page(model, address, true);
}
