/* SPDX-License-Identifier: MIT */
#include "table.h"

#include "format.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { BATCH = 512 };

struct table {
	struct output *out;
	const struct column *columns;
	size_t n_columns;
	struct libscols_table *text;
	size_t n_waiting;
	uint64_t n_rows;
	int error; /* -ENOMEM, kept until the next flush */
};

static bool is_left_aligned(enum column_kind kind)
{
	return kind == COLUMN_CATEGORIES || kind == COLUMN_NAME || kind == COLUMN_ROWS;
}

/* The library holds to a width only if it is more than that of the head. */
static int width_of(const struct column *column)
{
	int head = (int)strlen(column->head) + 1;

	return column->width > head ? column->width : head;
}

static int add_column(struct table *table, const struct column *column, bool is_last)
{
	int flags = is_left_aligned(column->kind) ? 0 : SCOLS_FL_RIGHT;
	struct libscols_column *made;

	/*
	 * Fixed widths: batches are laid out one by one, and must look like one table. A bit
	 * wider than the widest value is better than a jump in the middle.
	 */
	flags |= is_last ? SCOLS_FL_TRUNC : SCOLS_FL_STRICTWIDTH;
	made = scols_table_new_column(table->text, column->head, width_of(column), flags);
	if (!made)
		return -ENOMEM;
	if (table->out->has_colour)
		return scols_cell_set_color(scols_column_get_header(made), "bold");
	return 0;
}

static int set_up_text(struct table *table)
{
	struct output *out = table->out;
	size_t last = 0;
	int error = 0;

	table->text = scols_new_table();
	if (!table->text)
		return -ENOMEM;
	scols_table_set_stream(table->text, out->file);
	scols_table_enable_colors(table->text, out->has_colour);
	/* The library would look at standard output, which need not be ours. */
	scols_table_set_termforce(table->text, out->is_terminal ? SCOLS_TERMFORCE_ALWAYS
								: SCOLS_TERMFORCE_NEVER);
	if (out->is_terminal)
		scols_table_set_termwidth(table->text, (size_t)out->width);
	for (size_t i = 0; i < table->n_columns; i++)
		last = table->columns[i].head ? i : last;
	for (size_t i = 0; i < table->n_columns && !error; i++) {
		if (table->columns[i].head)
			error = add_column(table, &table->columns[i], i == last);
	}
	return error;
}

struct table *table_new(struct output *out, const struct column *columns, size_t n_columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->out = out;
	table->columns = columns;
	table->n_columns = n_columns;
	if (!out->is_json && set_up_text(table)) {
		table_free(table);
		return NULL;
	}
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	scols_unref_table(table->text);
	free(table);
}

/* What is left for the last column. */
static int last_width(const struct table *table)
{
	int width = table->out->width, last = 0;

	for (size_t i = 0; i < table->n_columns; i++) {
		if (!table->columns[i].head)
			continue;
		last = width_of(&table->columns[i]) + 1;
		width -= last;
	}
	return width + last;
}

/* The last @width cells of a text: the end of a path says more than its beginning. */
static const char *cut_left(const char *text, int width)
{
	mbstate_t state = {0};
	size_t length = strlen(text);
	size_t n = mbsrtowcs(NULL, &(const char *){text}, 0, &state);

	if (width < 1)
		return text;
	if (n == (size_t)-1 || n == length)
		return length > (size_t)width ? text + length - (size_t)width : text;
	for (; n > (size_t)width; n--) {
		size_t step = mbrlen(text, MB_CUR_MAX, NULL);

		text += step && step <= MB_CUR_MAX ? step : 1;
	}
	return text;
}

static char *shorten(const char *text, int width)
{
	const char *rest = cut_left(text, width);
	char *copy = NULL;

	if (rest != text && width > 8)
		rest = cut_left(text, width - 3);
	if (asprintf(&copy, "%s%s", rest != text && width > 8 ? "..." : "", rest) < 0)
		return NULL;
	return copy;
}

static char *cell_to_text(const struct table *table, enum column_kind kind, const union cell *cell)
{
	char text[FORMAT_SIZE] = "";

	if (is_number(kind) && cell->number == CELL_NONE)
		return strdup("");
	switch (kind) {
	case COLUMN_ADDRESS:
		snprintf(text, sizeof(text), "%" PRIx64, cell->number);
		break;
	case COLUMN_COUNT:
		snprintf(text, sizeof(text), "%" PRIu64, cell->number);
		break;
	case COLUMN_BYTES:
		format_bytes(text, cell->number);
		break;
	case COLUMN_RATE:
		format_bytes(text, cell->number);
		strcat(text, "/s");
		break;
	case COLUMN_SECONDS:
		snprintf(text, sizeof(text), "%.2f s", cell->real);
		break;
	case COLUMN_SHARE:
		format_share(text, cell->real);
		break;
	case COLUMN_CATEGORIES:
		format_categories(text, cell->number);
		break;
	case COLUMN_NAME:
		return table->out->is_terminal ? shorten(cell->text, last_width(table))
					       : strdup(cell->text);
	case COLUMN_ROWS:
		return strdup(cell->rows->words);
	}
	return strdup(text);
}

static int add_text(struct table *table, const union cell *cells)
{
	struct libscols_line *line = scols_table_new_line(table->text, NULL);
	size_t at = 0;
	int error = line ? 0 : -ENOMEM;

	for (size_t i = 0; i < table->n_columns && !error; i++) {
		char *text;

		if (!table->columns[i].head)
			continue;
		text = cell_to_text(table, table->columns[i].kind, &cells[i]);
		/* Takes the text over. */
		error = text ? scols_line_refer_data(line, at++, text) : -ENOMEM;
	}
	return error;
}

static int add_json(struct table *table, const union cell *cells)
{
	fputs(table->n_rows ? ",\n" : "\n", table->out->file);
	return table_dump_json(table->out,
			       table_row_to_json(table->columns, table->n_columns, cells));
}

int table_add(struct table *table, const union cell *cells)
{
	int error = table->out->is_json ? add_json(table, cells) : add_text(table, cells);

	if (error)
		table->error = error;
	table->n_rows++;
	return ++table->n_waiting == BATCH || error ? table_flush(table) : 0;
}

int table_flush(struct table *table)
{
	if (table->error)
		return table->error;
	if (table->n_waiting && !table->out->is_json) {
		if (scols_print_table(table->text))
			return table->error = -ENOMEM;
		scols_table_remove_lines(table->text);
		scols_table_enable_noheadings(table->text, 1);
	}
	table->n_waiting = 0;
	return output_flush(table->out);
}
