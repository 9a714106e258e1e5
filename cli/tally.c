/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include "walk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* So many areas are kept apart. A program that maps ever new addresses must not fill our memory. */
enum { MAX_AREAS = 1 << 16 };

static int make_room(struct tally_list *list)
{
	size_t capacity = list->capacity ? 2 * list->capacity : 64;
	struct tally_area *areas;

	if (list->n < list->capacity)
		return 0;
	areas = realloc(list->areas, capacity * sizeof(*areas));
	if (!areas)
		return -ENOMEM;
	list->areas = areas;
	list->capacity = capacity;
	return 0;
}

static int compare_by_pages(const void *a, const void *b)
{
	uint64_t x = ((const struct tally_area *)a)->n_pages;
	uint64_t y = ((const struct tally_area *)b)->n_pages;

	return (x < y) - (x > y);
}

/* Make the least written half of what is past one entry. */
static int fold_past(struct tally_list *past)
{
	size_t keep = MAX_AREAS / 2;
	struct tally_area *rest = &past->areas[keep];
	char *name = strdup("(others, gone)");

	if (!name)
		return -ENOMEM;
	qsort(past->areas, past->n, sizeof(*past->areas), compare_by_pages);
	for (size_t i = keep; i < past->n; i++) {
		free(past->areas[i].name);
		if (i == keep)
			continue;
		rest->n_pages += past->areas[i].n_pages;
		rest->n_distinct += past->areas[i].n_distinct;
		rest->n_recent += past->areas[i].n_recent;
	}
	rest->start = rest->end = 0;
	rest->name = name;
	past->n = keep + 1;
	return 0;
}

static int move_to_past(struct tally *tally, const struct tally_area *area)
{
	int error = 0;

	if (tally->past.n >= MAX_AREAS)
		error = fold_past(&tally->past);
	if (!error)
		error = make_room(&tally->past);
	if (!error)
		tally->past.areas[tally->past.n++] = *area;
	return error;
}

int tally_archive(struct tally *tally)
{
	while (tally->now.n) {
		int error = move_to_past(tally, &tally->now.areas[tally->now.n - 1]);

		if (error)
			return error;
		tally->now.n--;
	}
	return 0;
}

/* Index of the first area that ends above @address. */
static size_t first_above(const struct tally_list *list, uint64_t address)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->areas[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void take_out(struct tally_list *list, size_t i)
{
	list->n--;
	memmove(&list->areas[i], &list->areas[i + 1], (list->n - i) * sizeof(*list->areas));
}

static void absorb(struct tally_area *into, struct tally_area *from)
{
	if (from->start < into->start)
		into->start = from->start;
	if (from->end > into->end)
		into->end = from->end;
	into->n_pages += from->n_pages;
	into->n_distinct += from->n_distinct;
	into->n_recent += from->n_recent;
	free(from->name);
}

/*
 * Put a new area at its place. Areas of the same name that overlap become a part
 * of it; of another name, they are past.
 */
static int insert(struct tally *tally, struct tally_area *area)
{
	struct tally_list *now = &tally->now;
	size_t i = first_above(now, area->start);
	int error = make_room(now);

	while (!error && i < now->n && now->areas[i].start < area->end) {
		struct tally_area *other = &now->areas[i];

		if (strcmp(other->name, area->name)) {
			error = move_to_past(tally, other);
			if (error)
				break;
		} else {
			absorb(area, other);
		}
		take_out(now, i);
	}
	if (error)
		return error;
	memmove(&now->areas[i + 1], &now->areas[i], (now->n - i) * sizeof(*now->areas));
	now->areas[i] = *area;
	now->n++;
	return 0;
}

static struct tally_area *find(struct tally *tally, const struct pagescan_mapping *mapping)
{
	size_t i = first_above(&tally->now, mapping->start);
	struct tally_area *area;

	if (i == tally->now.n)
		return NULL;
	area = &tally->now.areas[i];
	if (area->start > mapping->start || area->end < mapping->end ||
	    strcmp(area->name, mapping_label(mapping)))
		return NULL;
	return area;
}

int tally_add(struct tally *tally, const struct pagescan_mapping *mapping, uint64_t n_pages,
	      uint64_t n_distinct)
{
	struct tally_area area = {.start = mapping->start,
				  .end = mapping->end,
				  .n_pages = n_pages,
				  .n_distinct = n_distinct,
				  .n_recent = n_pages};
	struct tally_area *known = find(tally, mapping);
	int error = 0;

	if (known) {
		known->n_pages += n_pages;
		known->n_distinct += n_distinct;
		known->n_recent += n_pages;
		return 0;
	}
	if (tally->now.n >= MAX_AREAS)
		error = tally_archive(tally);
	if (error)
		return error;
	area.name = strdup(mapping_label(mapping));
	if (!area.name)
		return -ENOMEM;
	error = insert(tally, &area);
	if (error)
		free(area.name);
	return error;
}

void tally_begin_interval(struct tally *tally)
{
	for (size_t i = 0; i < tally->now.n; i++)
		tally->now.areas[i].n_recent = 0;
	for (size_t i = 0; i < tally->past.n; i++)
		tally->past.areas[i].n_recent = 0;
}

static uint64_t weight(const struct tally_area *area, enum tally_order order)
{
	return order == TALLY_BY_PAGES ? area->n_pages : area->n_recent;
}

static size_t pick(const struct tally_list *list, enum tally_order order,
		   const struct tally_area **top, size_t n, size_t n_top)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct tally_area *area = &list->areas[i];
		size_t at = n_top;

		if (!weight(area, order))
			continue;
		while (at && weight(top[at - 1], order) < weight(area, order))
			at--;
		if (at >= n)
			continue;
		n_top += n_top < n;
		memmove(&top[at + 1], &top[at], (n_top - at - 1) * sizeof(*top));
		top[at] = area;
	}
	return n_top;
}

size_t tally_top(const struct tally *tally, enum tally_order order, const struct tally_area **top,
		 size_t n)
{
	return pick(&tally->past, order, top, n, pick(&tally->now, order, top, n, 0));
}

void tally_free(struct tally *tally)
{
	struct tally_list *lists[] = {&tally->now, &tally->past};

	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < lists[i]->n; k++)
			free(lists[i]->areas[k].name);
		free(lists[i]->areas);
	}
	*tally = (struct tally){0};
}
