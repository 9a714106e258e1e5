/* SPDX-License-Identifier: MIT */
#include "base/rangeset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct pagescan_range *at(const struct pagescan_rangeset *set, size_t i)
{
	return &set->ranges[i < set->gap ? i : i + set->capacity - set->n];
}

/* How many ranges end at or below @address. */
static size_t n_below(const struct pagescan_rangeset *set, uint64_t address)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (at(set, middle)->end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void move_gap(struct pagescan_rangeset *set, size_t to)
{
	size_t room = set->capacity - set->n;
	struct pagescan_range *ranges = set->ranges;

	if (to < set->gap)
		memmove(&ranges[to + room], &ranges[to], (set->gap - to) * sizeof(*ranges));
	else if (to > set->gap)
		memmove(&ranges[set->gap], &ranges[set->gap + room],
			(to - set->gap) * sizeof(*ranges));
	set->gap = to;
}

static int grow(struct pagescan_rangeset *set)
{
	size_t capacity = set->capacity ? set->capacity * 2 : 16;
	struct pagescan_range *ranges;

	move_gap(set, set->n);
	ranges = realloc(set->ranges, capacity * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	set->ranges = ranges;
	set->capacity = capacity;
	return 0;
}

/* Put @pieces in the place of the ranges [from, to). */
static int replace(struct pagescan_rangeset *set, size_t from, size_t to,
		   const struct pagescan_range *pieces, size_t n_pieces)
{
	/* Three pieces at most, and never less room than that after growing. */
	if (set->n - (to - from) + n_pieces > set->capacity) {
		int r = grow(set);

		if (r < 0)
			return r;
	}
	if (from == to && n_pieces == 0)
		return 0;
	move_gap(set, from);
	set->n -= to - from;
	if (n_pieces)
		memcpy(&set->ranges[from], pieces, n_pieces * sizeof(*pieces));
	set->n += n_pieces;
	set->gap += n_pieces;
	return 0;
}

int pagescan_rangeset_add(struct pagescan_rangeset *set, uint64_t start, uint64_t end, uint64_t tag)
{
	struct pagescan_range pieces[3], middle = {start, end, tag};
	size_t from, to, n = 0;

	if (start >= end)
		return 0;
	from = n_below(set, start);
	to = from;
	while (to < set->n && at(set, to)->start < end)
		to++;

	/* A neighbour that only touches becomes part of it, as one that overlaps would. */
	if (from > 0 && at(set, from - 1)->end == start && at(set, from - 1)->tag == tag)
		from--;
	if (to < set->n && at(set, to)->start == end && at(set, to)->tag == tag)
		to++;

	if (from < to) {
		struct pagescan_range first = *at(set, from), last = *at(set, to - 1);

		if (first.start < start && first.tag == tag)
			middle.start = first.start;
		else if (first.start < start)
			pieces[n++] = (struct pagescan_range){first.start, start, first.tag};
		if (last.end > end && last.tag == tag)
			middle.end = last.end;
		pieces[n++] = middle;
		if (last.end > end && last.tag != tag)
			pieces[n++] = (struct pagescan_range){end, last.end, last.tag};
	} else {
		pieces[n++] = middle;
	}
	return replace(set, from, to, pieces, n);
}

int pagescan_rangeset_remove(struct pagescan_rangeset *set, uint64_t start, uint64_t end)
{
	struct pagescan_range pieces[2];
	size_t from, to, n = 0;

	if (start >= end)
		return 0;
	from = n_below(set, start);
	to = from;
	while (to < set->n && at(set, to)->start < end)
		to++;
	if (from < to) {
		struct pagescan_range first = *at(set, from), last = *at(set, to - 1);

		if (first.start < start)
			pieces[n++] = (struct pagescan_range){first.start, start, first.tag};
		if (last.end > end)
			pieces[n++] = (struct pagescan_range){end, last.end, last.tag};
	}
	return replace(set, from, to, pieces, n);
}

const struct pagescan_range *pagescan_rangeset_find(const struct pagescan_rangeset *set,
						    uint64_t address)
{
	size_t i = n_below(set, address);

	return i < set->n ? at(set, i) : NULL;
}

void pagescan_rangeset_free(struct pagescan_rangeset *set)
{
	free(set->ranges);
	*set = (struct pagescan_rangeset){0};
}
