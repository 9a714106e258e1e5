/* SPDX-License-Identifier: MIT */
/* Arming a model's pages, and taking that off. */
#include "scan/model.h"

#include <errno.h>

/* R7.3; what is empty gets a marker. Of a guard, only a scan sets the bit. */
static void arm_entry(uint8_t *entry, bool is_scan)
{
	if ((*entry & MODEL_GUARD) && !is_scan)
		return;
	*entry |= *entry ? MODEL_ARMED : MODEL_MARKER | MODEL_ARMED;
}

/* [start, end) of one huge page's range. */
static int arm_block(struct pagescan_model *model, const struct pagescan_model_mapping *mapping,
		     uint64_t start, uint64_t end, bool is_scan)
{
	struct pagescan_model_slot *slot = pagescan_model_make_slot(model, start);
	bool is_whole = end - start == model->huge_size;
	int r;

	if (!slot)
		return -ENOMEM;
	/* R7.6: a whole huge page, even if only a part of it was asked for. */
	if (model_is_hugetlb(mapping) ||
	    (slot->huge && is_whole && (is_scan || !(slot->huge & MODEL_FILE)))) {
		arm_entry(&slot->huge, is_scan);
		return 0;
	}
	r = pagescan_model_split_at(model, start);
	for (uint64_t at = start; r == 0 && at < end; at += model->page_size) {
		uint8_t *entry = pagescan_model_make_entry(model, at);

		if (!entry)
			return -ENOMEM;
		arm_entry(entry, is_scan);
	}
	return r;
}

int pagescan_model_arm(struct pagescan_model *model, const struct pagescan_model_mapping *mapping,
		       uint64_t start, uint64_t end, bool is_scan)
{
	int r = 0;

	while (r == 0 && start < end) {
		uint64_t next = model_block(model, start) + model->huge_size;

		if (next > end)
			next = end;
		r = arm_block(model, mapping, start, next, is_scan);
		start = next;
	}
	return r;
}

/* Nothing takes it off a guard (seen on 6.18): it stays, even where nothing is registered. */
static void disarm_entry(struct pagescan_model *model, const struct pagescan_model_mapping *mapping,
			 uint64_t address, uint8_t *entry, bool is_huge)
{
	if (!(*entry & MODEL_GUARD))
		*entry &= (uint8_t) ~(MODEL_ARMED | MODEL_MARKER);
}

int pagescan_model_disarm(struct pagescan_model *model,
			  const struct pagescan_model_mapping *mapping, uint64_t start,
			  uint64_t end)
{
	return pagescan_model_for_each(model, mapping, start, end, disarm_entry);
}

static int check_wp(const struct pagescan_model *model, uint64_t start, uint64_t end)
{
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, start);

	for (; start < end; start = m++->end) {
		if (m >= model->mappings + model->n_mappings || !m || m->start > start ||
		    !model_is_wp(m))
			return -ENOENT;
		if (model_is_hugetlb(m) && ((start > m->start && start % model->huge_size) ||
					    (end < m->end && end % model->huge_size)))
			return -EINVAL;
	}
	return 0;
}

int pagescan_model_write_protect(struct pagescan_model *model, uint64_t start, uint64_t length,
				 int on)
{
	uint64_t end = start + length;
	int r = pagescan_model_check_range(model, start, length);

	if (r == 0)
		r = check_wp(model, start, end);
	while (r == 0 && start < end) {
		const struct pagescan_model_mapping *m = pagescan_model_find_mapping(model, start);
		uint64_t next = m->end < end ? m->end : end;

		r = on ? pagescan_model_arm(model, m, start, next, false)
		       : pagescan_model_disarm(model, m, start, next);
		start = next;
	}
	return r;
}
