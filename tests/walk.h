/* SPDX-License-Identifier: MIT */
/* Walks over all mappings that a reader tells, and their comparison. */
#ifndef TESTS_WALK_H
#define TESTS_WALK_H

#include "process/mapping.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct walk {
	struct pagescan_mapping *mappings;
	size_t n;
	size_t capacity;
};

static inline void walk_add(struct walk *walk, const struct pagescan_mapping *mapping)
{
	if (walk->n == walk->capacity) {
		walk->capacity = walk->capacity ? 2 * walk->capacity : 64;
		walk->mappings = reallocarray(walk->mappings, walk->capacity, sizeof(*mapping));
		assert_non_null(walk->mappings);
	}
	walk->mappings[walk->n] = *mapping;
	walk->mappings[walk->n++].name = strdup(mapping->name);
}

static inline void walk_free(struct walk *walk)
{
	for (size_t i = 0; i < walk->n; i++)
		free((char *)walk->mappings[i].name);
	free(walk->mappings);
}

static inline struct walk walk_all(struct pagescan_maps_reader *reader)
{
	struct pagescan_mapping mapping;
	struct walk walk = {0};
	uint64_t address = 0;
	int r;

	while ((r = pagescan_maps_reader_find(reader, address, &mapping)) == 1) {
		assert_true(mapping.end > address);
		assert_true(mapping.start < mapping.end);
		walk_add(&walk, &mapping);
		address = mapping.end;
	}
	assert_int_equal(r, 0);
	return walk;
}

static inline void assert_equal_mappings(const struct pagescan_mapping *a,
					 const struct pagescan_mapping *b)
{
	assert_int_equal(a->start, b->start);
	assert_int_equal(a->end, b->end);
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->inode, b->inode);
	assert_int_equal(a->page_size, b->page_size);
	assert_int_equal(a->dev_major, b->dev_major);
	assert_int_equal(a->dev_minor, b->dev_minor);
	assert_int_equal(a->flags, b->flags);
}

static inline void assert_equal_walks(const struct walk *a, const struct walk *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		assert_equal_mappings(&a->mappings[i], &b->mappings[i]);
	assert_int_equal(a->n, b->n);
}

/* A reader that cannot be had here is NULL. */
static inline struct pagescan_maps_reader *open_reader(pid_t pid, enum pagescan_maps_source source)
{
	struct pagescan_maps_reader *reader;
	char path[32];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY);
	assert_true(fd >= 0);
	r = pagescan_maps_reader_open(fd, source, &reader);
	/* The text reader needs it later, for the size of huge pages. */
	if (source != PAGESCAN_MAPS_TEXT)
		close(fd);
	if (r < 0) {
		assert_int_equal(r, -EOPNOTSUPP);
		assert_int_equal(source, PAGESCAN_MAPS_QUERY);
		return NULL;
	}
	return reader;
}

#endif
