/* SPDX-License-Identifier: MIT */
#include "pageset.h"

#include <errno.h>
#include <stdlib.h>

enum { WORDS = PAGESET_BLOCK_PAGES / 64 };

struct pageset_block {
	uint64_t key; /* number of the block + 1; 0 for a free slot */
	uint64_t bits[WORDS];
};

static struct pageset_block *find_slot(struct pageset_block *blocks, size_t capacity, uint64_t key)
{
	/* Fibonacci hashing: blocks in a row are common, and must not crowd together. */
	size_t at = (key * UINT64_C(0x9e3779b97f4a7c15) >> 16) & (capacity - 1);

	while (blocks[at].key && blocks[at].key != key)
		at = (at + 1) & (capacity - 1);
	return &blocks[at];
}

static int grow(struct pageset *set)
{
	size_t capacity = set->capacity ? 2 * set->capacity : 64;
	struct pageset_block *blocks = calloc(capacity, sizeof(*blocks));

	if (!blocks)
		return -ENOMEM;
	for (size_t i = 0; i < set->capacity; i++) {
		if (set->blocks[i].key)
			*find_slot(blocks, capacity, set->blocks[i].key) = set->blocks[i];
	}
	free(set->blocks);
	set->blocks = blocks;
	set->capacity = capacity;
	return 0;
}

static struct pageset_block *get_block(struct pageset *set, uint64_t number)
{
	struct pageset_block *block;

	/* Three quarters full is full enough for looking along. */
	if (4 * set->n >= 3 * set->capacity && grow(set))
		return NULL;
	block = find_slot(set->blocks, set->capacity, number + 1);
	if (!block->key) {
		block->key = number + 1;
		set->n++;
	}
	return block;
}

/* Bits [first, end) of a block, where both are at most 512. How many were not set. */
static unsigned set_bits(struct pageset_block *block, unsigned first, unsigned end)
{
	unsigned n_new = 0;

	while (first < end) {
		unsigned word = first / 64, shift = first % 64;
		unsigned n = end - first < 64 - shift ? end - first : 64 - shift;
		uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << shift;

		n_new += (unsigned)__builtin_popcountll(mask & ~block->bits[word]);
		block->bits[word] |= mask;
		first += n;
	}
	return n_new;
}

ssize_t pageset_add(struct pageset *set, uint64_t first, uint64_t end)
{
	ssize_t n_new = 0;

	while (first < end) {
		uint64_t number = first / PAGESET_BLOCK_PAGES;
		uint64_t base = number * PAGESET_BLOCK_PAGES;
		uint64_t stop = end - base < PAGESET_BLOCK_PAGES ? end - base : PAGESET_BLOCK_PAGES;
		struct pageset_block *block = get_block(set, number);

		if (!block)
			return -ENOMEM;
		n_new += set_bits(block, (unsigned)(first - base), (unsigned)stop);
		first = base + stop;
	}
	return n_new;
}

void pageset_clear(struct pageset *set)
{
	free(set->blocks);
	*set = (struct pageset){0};
}
