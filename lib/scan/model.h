/* SPDX-License-Identifier: MIT */
/* The inside of a model: mappings over page tables of three levels. */
#ifndef SCAN_MODEL_H
#define SCAN_MODEL_H

#include "scan/operation.h"
#include "scan/view.h"
#include <pagescan/model.h>
#include <stdbool.h>
#include <stddef.h>

/* What stands in a page table; 0: nothing. A huge entry is made of the same. */
#define MODEL_PRESENT 0x01u
#define MODEL_SWAP    0x02u /* contents in swap */
#define MODEL_MARKER  0x04u /* a userfaultfd marker: armed without contents */
#define MODEL_GUARD   0x08u
#define MODEL_ARMED   0x10u
#define MODEL_FILE    0x20u /* the file's page, not a private copy */
#define MODEL_ZERO    0x40u /* the zero page */
#define MODEL_LAZY    0x80u /* MADV_FREE, and not written since */

/* What a table of the second level holds for one huge page's range. */
struct pagescan_model_slot {
	uint8_t huge;   /* a huge entry, and then there is no table */
	uint8_t *table; /* as many entries as a page has room for, or NULL */
};

struct pagescan_model_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file; without one, from where it was first */
	uint32_t file;
	enum pagescan_model_memory memory;
	enum pagescan_model_mode mode; /* 0: not registered */
	bool wants_huge;
	uint32_t anon; /* which family of private pages it has; 0: never had any */
};

/* Pages of a file that are in memory: a fault may map several of them (fault-around). */
struct pagescan_model_file {
	uint32_t file;
	uint64_t n_pages; /* that there is room for */
	bool *is_cached;
};

struct pagescan_model {
	struct pagescan_view view;
	struct pagescan_operation_engine engine;
	enum pagescan_era era;
	uint64_t page_size;
	unsigned fanout; /* entries of a table */
	uint64_t huge_size;

	struct pagescan_model_mapping *mappings; /* in order, not overlapping */
	size_t n_mappings;
	uint32_t n_anons;
	const struct pagescan_model_mapping *walked; /* what the engine found last */

	struct pagescan_model_slot **directories; /* tables of the second level, or NULL */
	size_t n_directories;

	struct pagescan_model_file *files;
	size_t n_files;
};

static inline bool model_is_hugetlb(const struct pagescan_model_mapping *m)
{
	return m->memory == PAGESCAN_MODEL_HUGETLB || m->memory == PAGESCAN_MODEL_HUGETLB_SHARED;
}

static inline bool model_is_wp(const struct pagescan_model_mapping *m)
{
	return m->mode == PAGESCAN_MODEL_WP_ASYNC || m->mode == PAGESCAN_MODEL_WP_SYNC;
}

static inline uint64_t model_block(const struct pagescan_model *model, uint64_t address)
{
	return address / model->huge_size * model->huge_size;
}

/* model-tables.c: NULL where there is none; the make calls, where there is no memory. */
struct pagescan_model_slot *pagescan_model_find_slot(const struct pagescan_model *model,
						     uint64_t address);
struct pagescan_model_slot *pagescan_model_make_slot(struct pagescan_model *model,
						     uint64_t address);
uint8_t *pagescan_model_find_entry(const struct pagescan_model *model, uint64_t address);
uint8_t *pagescan_model_make_entry(struct pagescan_model *model, uint64_t address);

/* Free the tables that lie wholly in [floor, ceiling) and partly in [start, end). */
void pagescan_model_free_tables(struct pagescan_model *model, uint64_t start, uint64_t end,
				uint64_t floor, uint64_t ceiling);

/* Free one table of the second level with all below it. */
void pagescan_model_free_directory(struct pagescan_model *model, size_t i);

/* Make the huge page at @address small, if there is one that is not of hugetlb. */
int pagescan_model_split_at(struct pagescan_model *model, uint64_t address);

/*
 * Call @change for each entry of [start, end) that has a page table, and for each
 * huge entry of @mapping. One that is not of hugetlb is split first if only a part
 * of it is within; is_huge says that it is whole.
 */
typedef void (*pagescan_model_change)(struct pagescan_model *model,
				      const struct pagescan_model_mapping *mapping,
				      uint64_t address, uint8_t *entry, bool is_huge);
int pagescan_model_for_each(struct pagescan_model *model,
			    const struct pagescan_model_mapping *mapping, uint64_t start,
			    uint64_t end, pagescan_model_change change);

/* model-mappings.c */
int pagescan_model_check_range(const struct pagescan_model *model, uint64_t start, uint64_t length);

/* The first mapping that ends above @address, or NULL. */
struct pagescan_model_mapping *pagescan_model_find_mapping(const struct pagescan_model *model,
							   uint64_t address);

/* Cut the mappings at @address, so that none goes across it. */
int pagescan_model_cut(struct pagescan_model *model, uint64_t address);

/* Map it, in place of what was there. */
int pagescan_model_place(struct pagescan_model *model,
			 const struct pagescan_model_mapping *mapping);

/* Join neighbours that do not differ. */
void pagescan_model_merge(struct pagescan_model *model);

/*
 * @mapping is about to have private pages. From then on it joins only neighbours of
 * the same family, and fork() copies its page tables.
 */
void pagescan_model_make_anon(struct pagescan_model *model, struct pagescan_model_mapping *mapping);

/* model-protect.c: arm [start, end) of one mapping. As a scan does it, a shared huge page stays
 * mapped (R7.5). */
int pagescan_model_arm(struct pagescan_model *model, const struct pagescan_model_mapping *mapping,
		       uint64_t start, uint64_t end, bool is_scan);
int pagescan_model_disarm(struct pagescan_model *model,
			  const struct pagescan_model_mapping *mapping, uint64_t start,
			  uint64_t end);

/* model-faults.c: whether a page of a file is in memory; NULL: no memory to note it. */
bool *pagescan_model_cached(struct pagescan_model *model,
			    const struct pagescan_model_mapping *mapping, uint64_t address);

#endif
