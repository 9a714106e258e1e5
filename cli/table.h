/* SPDX-License-Identifier: MIT */
/*
 * One description of columns serves text and JSON, so that they cannot disagree.
 * Rows go out in batches: a table needs no more memory for a million rows.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "output.h"

#include <stddef.h>
#include <stdint.h>

enum column_kind {
	COLUMN_ADDRESS,    /* number; a string in JSON, where numbers are doubles to many */
	COLUMN_COUNT,      /* number */
	COLUMN_BYTES,      /* number; "1.5 MiB" in text */
	COLUMN_RATE,       /* number, bytes a second; "1.5 MiB/s" in text */
	COLUMN_SECONDS,    /* real */
	COLUMN_SHARE,      /* real of 1; "62%" in text */
	COLUMN_CATEGORIES, /* number; names */
	COLUMN_NAME,       /* text, cut at the left where a terminal is too narrow */
	COLUMN_ROWS        /* rows; only a few words of each in text */
};

static inline bool is_number(enum column_kind kind)
{
	return kind <= COLUMN_RATE || kind == COLUMN_CATEGORIES;
}

struct column {
	const char *head; /* NULL: in JSON only */
	const char *key;
	enum column_kind kind;
	int width; /* in text, at least; the last column takes what is left */
};

/* An empty cell of a number; JSON leaves it out. */
#define CELL_NONE UINT64_MAX

union cell {
	uint64_t number;
	double real;
	const char *text;
	const struct rows *rows;
};

/* A table in a cell. */
struct rows {
	const struct column *columns;
	size_t n_columns;
	const union cell *cells; /* row after row */
	size_t n;
	const char *words; /* what text shows of it */
};

struct table;

/* @columns must live as long as the table. NULL if memory is out. */
struct table *table_new(struct output *out, const struct column *columns, size_t n_columns);

/* Add a row. In JSON they become elements of an array; its brackets are the caller's. Copied. */
int table_add(struct table *table, const union cell *cells);

/* Print what was added; at last it must be called once. 0, or a negative errno of the output. */
int table_flush(struct table *table);

void table_free(struct table *table);

/* One object from one row, for JSON that is no array of rows. NULL if memory is out. */
struct json_t *table_row_to_json(const struct column *columns, size_t n_columns,
				 const union cell *cells);

/* Print it compactly and drop it. 0, or -ENOMEM if it is NULL. */
int table_dump_json(struct output *out, struct json_t *json);

/* A JSON string of any bytes: what is no UTF-8 becomes \xNN. NULL if memory is out. */
struct json_t *table_text_to_json(const char *text);

#endif
