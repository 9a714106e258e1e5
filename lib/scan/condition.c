/* SPDX-License-Identifier: MIT */
#include "scan/condition.h"

#include <string.h>

#define N_WORDS PAGESCAN_CONDITION_WORDS

/* The first six categories are told apart within a word, the others by the number of the word. */
#define N_IN_WORD 6

/* Which bits of a word are rows that have category n; and which words are, for n beyond. */
static const uint64_t in_word[N_IN_WORD] = {
	UINT64_C(0xaaaaaaaaaaaaaaaa), UINT64_C(0xcccccccccccccccc), UINT64_C(0xf0f0f0f0f0f0f0f0),
	UINT64_C(0xff00ff00ff00ff00), UINT64_C(0xffff0000ffff0000), UINT64_C(0xffffffff00000000),
};

/* The rows that have category @n, as far as they stand in word @word. */
static uint64_t rows_with(unsigned n, unsigned word)
{
	if (n < N_IN_WORD)
		return in_word[n];
	return word >> (n - N_IN_WORD) & 1 ? UINT64_MAX : 0;
}

/* Word @word of the table in which each row has changed places with that of the opposite @n. */
static uint64_t opposite_rows(const struct pagescan_condition *c, unsigned n, unsigned word)
{
	uint64_t with = rows_with(n, word), rows = c->words[word];
	unsigned distance;

	if (n >= N_IN_WORD)
		return c->words[word ^ 1u << (n - N_IN_WORD)];
	distance = 1u << n;
	return (rows & with) >> distance | (rows & ~with) << distance;
}

void pagescan_condition_set(struct pagescan_condition *c, bool value)
{
	memset(c->words, value ? 0xff : 0, sizeof(c->words));
}

static void keep_rows(struct pagescan_condition *c, unsigned n, bool with)
{
	for (unsigned i = 0; i < N_WORDS; i++)
		c->words[i] &= with ? rows_with(n, i) : ~rows_with(n, i);
}

void pagescan_condition_set_cube(struct pagescan_condition *c, uint64_t required, uint64_t excluded)
{
	pagescan_condition_set(c, true);
	for (unsigned n = 0; n < PAGESCAN_N_CATEGORIES; n++) {
		if (required >> n & 1)
			keep_rows(c, n, true);
		if (excluded >> n & 1)
			keep_rows(c, n, false);
	}
}

void pagescan_condition_set_category(struct pagescan_condition *c, uint64_t category)
{
	pagescan_condition_set_cube(c, category, 0);
}

void pagescan_condition_not(struct pagescan_condition *c)
{
	for (unsigned i = 0; i < N_WORDS; i++)
		c->words[i] = ~c->words[i];
}

void pagescan_condition_and(struct pagescan_condition *c, const struct pagescan_condition *other)
{
	for (unsigned i = 0; i < N_WORDS; i++)
		c->words[i] &= other->words[i];
}

void pagescan_condition_or(struct pagescan_condition *c, const struct pagescan_condition *other)
{
	for (unsigned i = 0; i < N_WORDS; i++)
		c->words[i] |= other->words[i];
}

void pagescan_condition_fix(struct pagescan_condition *c, uint64_t ones, uint64_t zeros)
{
	for (unsigned n = 0; n < PAGESCAN_N_CATEGORIES; n++) {
		struct pagescan_condition known;

		if (!((ones | zeros) >> n & 1))
			continue;
		keep_rows(c, n, ones >> n & 1);
		known = *c;
		for (unsigned i = 0; i < N_WORDS; i++)
			c->words[i] |= opposite_rows(&known, n, i);
	}
}

bool pagescan_condition_matches(const struct pagescan_condition *c, uint64_t categories)
{
	categories &= PAGESCAN_ALL_CATEGORIES;
	return c->words[categories / 64] >> (categories % 64) & 1;
}

bool pagescan_condition_is_never(const struct pagescan_condition *c)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < N_WORDS; i++)
		any |= c->words[i];
	return any == 0;
}

bool pagescan_condition_equals(const struct pagescan_condition *a,
			       const struct pagescan_condition *b)
{
	return memcmp(a->words, b->words, sizeof(a->words)) == 0;
}

bool pagescan_condition_implies(const struct pagescan_condition *a,
				const struct pagescan_condition *b)
{
	uint64_t beyond = 0;

	for (unsigned i = 0; i < N_WORDS; i++)
		beyond |= a->words[i] & ~b->words[i];
	return beyond == 0;
}

uint64_t pagescan_condition_depends(const struct pagescan_condition *c)
{
	uint64_t categories = 0;

	for (unsigned n = 0; n < PAGESCAN_N_CATEGORIES; n++) {
		uint64_t differing = 0;

		for (unsigned i = 0; i < N_WORDS; i++)
			differing |= c->words[i] ^ opposite_rows(c, n, i);
		if (differing)
			categories |= UINT64_C(1) << n;
	}
	return categories;
}

void pagescan_condition_essentials(const struct pagescan_condition *c, uint64_t *ret_required,
				   uint64_t *ret_excluded)
{
	uint64_t some = 0, words = 0;

	/* Whether any page has a category shows in what all words have, or in which have anything.
	 */
	for (unsigned i = 0; i < N_WORDS; i++) {
		some |= c->words[i];
		words |= (uint64_t)(c->words[i] != 0) << i;
	}
	*ret_required = *ret_excluded = 0;
	for (unsigned n = 0; n < PAGESCAN_N_CATEGORIES; n++) {
		uint64_t with = in_word[n % N_IN_WORD], pages = n < N_IN_WORD ? some : words;

		if (!(pages & ~with))
			*ret_required |= UINT64_C(1) << n;
		if (!(pages & with))
			*ret_excluded |= UINT64_C(1) << n;
	}
}
