/* SPDX-License-Identifier: MIT */
/* Cells as JSON: numbers as numbers, addresses as strings in hex. */
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pagescan/base.h>
#include <stdlib.h>
#include <string.h>

struct json_t *table_text_to_json(const char *text)
{
	json_t *json = json_string(text);
	char *escaped, *to;

	if (json)
		return json;
	/* File names are bytes; a string in JSON is not. */
	escaped = to = malloc(4 * strlen(text) + 1);
	if (!escaped)
		return NULL;
	for (; *text; text++) {
		if ((unsigned char)*text < 0x80)
			*to++ = *text;
		else
			to += sprintf(to, "\\x%02x", (unsigned char)*text);
	}
	*to = '\0';
	json = json_string(escaped);
	free(escaped);
	return json;
}

static json_t *categories_to_json(uint64_t categories)
{
	json_t *array = json_array();

	for (; categories; categories &= categories - 1)
		json_array_append_new(
			array, json_string(pagescan_category_name(categories & -categories)));
	return array;
}

static json_t *rows_to_json(const struct rows *rows)
{
	json_t *array = json_array();

	for (size_t i = 0; i < rows->n; i++)
		json_array_append_new(array, table_row_to_json(rows->columns, rows->n_columns,
							       rows->cells + i * rows->n_columns));
	return array;
}

static json_t *cell_to_json(enum column_kind kind, const union cell *cell)
{
	char address[24];

	switch (kind) {
	case COLUMN_ADDRESS:
		snprintf(address, sizeof(address), "0x%" PRIx64, cell->number);
		return json_string(address);
	case COLUMN_COUNT:
	case COLUMN_BYTES:
	case COLUMN_RATE:
		return json_integer((json_int_t)cell->number);
	case COLUMN_SECONDS:
		return json_real(cell->real);
	case COLUMN_SHARE:
		return json_real((double)(int)(cell->real * 10000 + 0.5) / 10000);
	case COLUMN_CATEGORIES:
		return categories_to_json(cell->number);
	case COLUMN_NAME:
		return table_text_to_json(cell->text);
	case COLUMN_ROWS:
		return rows_to_json(cell->rows);
	}
	return NULL;
}

struct json_t *table_row_to_json(const struct column *columns, size_t n_columns,
				 const union cell *cells)
{
	json_t *object = json_object();

	for (size_t i = 0; i < n_columns; i++) {
		if (is_number(columns[i].kind) && cells[i].number == CELL_NONE)
			continue;
		if (columns[i].key &&
		    json_object_set_new(object, columns[i].key,
					cell_to_json(columns[i].kind, &cells[i]))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static int write_json(const char *text, size_t size, void *file)
{
	return fwrite(text, 1, size, file) == size ? 0 : -1;
}

int table_dump_json(struct output *out, struct json_t *json)
{
	if (!json)
		return -ENOMEM;
	json_dump_callback(json, write_json, out->file, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(json);
	return 0;
}
