/* SPDX-License-Identifier: MIT */
/* pagescan scan --summary: one row a mapping, kept until the end, when empty columns are known. */
#include "scan.h"
#include "table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { START, END, SIZE, PAGES, FIXED_COLUMNS, MAX_CATEGORIES = 16 };

struct summary_row {
	uint64_t start;
	uint64_t end;
	char *name;
	uint64_t n_pages;
	uint64_t n_by_category[MAX_CATEGORIES];
};

struct summary {
	struct summary_row *rows;
	size_t n;
	size_t capacity;
	uint64_t reached; /* all mappings that begin below have their row */
	struct summary_row total;
};

static struct summary_row *add_row(struct summary *summary, const struct pagescan_mapping *mapping)
{
	struct summary_row row = {.start = mapping->start, .end = mapping->end};

	if (summary->n == summary->capacity) {
		size_t capacity = summary->capacity ? 2 * summary->capacity : 256;
		struct summary_row *rows = realloc(summary->rows, capacity * sizeof(*rows));

		if (!rows)
			return NULL;
		summary->rows = rows;
		summary->capacity = capacity;
	}
	row.name = strdup(mapping_label(mapping));
	if (!row.name)
		return NULL;
	summary->rows[summary->n] = row;
	summary->reached = mapping->end;
	return &summary->rows[summary->n++];
}

/* Rows for mappings without a match. */
static int add_mappings_below(struct scan_job *job, struct summary *summary, uint64_t end)
{
	struct pagescan_mapping mapping;

	while (summary->reached < end) {
		int n = pagescan_process_find_mapping(job->process, summary->reached, &mapping);

		if (n <= 0)
			return n;
		if (mapping.start >= end)
			break;
		if (!add_row(summary, &mapping))
			return -ENOMEM;
	}
	return 0;
}

static void count(struct summary_row *row, uint64_t categories, uint64_t n_pages)
{
	row->n_pages += n_pages;
	for (size_t i = 0; i < MAX_CATEGORIES; i++) {
		if (categories >> i & 1)
			row->n_by_category[i] += n_pages;
	}
}

static int summarize_piece(struct scan_job *job, const struct pagescan_region *piece, void *arg)
{
	struct summary *summary = arg;
	uint64_t n_pages = (piece->end - piece->start) / job->page_size;

	if (piece->start >= summary->reached) {
		int error = add_mappings_below(job, summary, job->walk.mapping.start);

		if (error)
			return error;
		if (!add_row(summary, &job->walk.mapping))
			return -ENOMEM;
	}
	count(&summary->rows[summary->n - 1], piece->categories, n_pages);
	count(&summary->total, piece->categories, n_pages);
	return 0;
}

/* Name and size of the mapping stand in front, one column for each category behind. */
struct layout {
	struct column columns[FIXED_COLUMNS + MAX_CATEGORIES + 1];
	char heads[MAX_CATEGORIES][24];
	unsigned bits[MAX_CATEGORIES];
	size_t n_categories;
};

static void lay_out(struct layout *layout, uint64_t report, const struct summary *summary)
{
	static const struct column fixed[FIXED_COLUMNS] = {
		[START] = {"START", "start", COLUMN_ADDRESS, 12},
		[END] = {NULL, "end", COLUMN_ADDRESS, 0},
		[SIZE] = {"SIZE", "bytes", COLUMN_BYTES, 10},
		[PAGES] = {"PAGES", "pages", COLUMN_COUNT, 8},
	};

	memcpy(layout->columns, fixed, sizeof(fixed));
	for (unsigned bit = 0; bit < MAX_CATEGORIES; bit++) {
		size_t i = layout->n_categories;
		const char *name = pagescan_category_name(UINT64_C(1) << bit);

		if (!(report >> bit & 1) || !name)
			continue;
		for (size_t k = 0; name[k] && k < sizeof(layout->heads[i]) - 1; k++)
			layout->heads[i][k] = (char)toupper((unsigned char)name[k]);
		/* A person does without a column of zeros. */
		layout->columns[FIXED_COLUMNS + i] =
			(struct column){summary->total.n_by_category[bit] ? layout->heads[i] : NULL,
					name, COLUMN_COUNT, 7};
		layout->bits[i] = bit;
		layout->n_categories++;
	}
	layout->columns[FIXED_COLUMNS + layout->n_categories] =
		(struct column){"MAPPING", "mapping", COLUMN_NAME, 1};
}

static size_t fill(const struct layout *layout, const struct summary_row *row, union cell *cells)
{
	size_t n = FIXED_COLUMNS;

	cells[START].number = row->start;
	cells[END].number = row->end;
	cells[SIZE].number = row->end - row->start;
	cells[PAGES].number = row->n_pages;
	for (size_t i = 0; i < layout->n_categories; i++)
		cells[n++].number = row->n_by_category[layout->bits[i]];
	cells[n++].text = row->name;
	return n;
}

static int print_summary(struct scan_job *job, struct summary *summary)
{
	union cell cells[FIXED_COLUMNS + MAX_CATEGORIES + 1];
	struct layout layout = {0};
	struct table *table;
	uint64_t bytes = 0;
	int error = 0;

	lay_out(&layout, job->report, summary);
	table = table_new(&job->out, layout.columns, FIXED_COLUMNS + layout.n_categories + 1);
	if (!table)
		return -ENOMEM;
	if (job->out.is_json)
		fprintf(job->out.file, "{\"pid\":%d,\"page_size\":%" PRIu64 ",\"mappings\":[",
			(int)pagescan_process_get_pid(job->process), job->page_size);
	for (size_t i = 0; i < summary->n && !error; i++) {
		fill(&layout, &summary->rows[i], cells);
		bytes += cells[SIZE].number;
		error = table_add(table, cells);
	}
	summary->total.name = "total";
	fill(&layout, &summary->total, cells);
	cells[START].number = cells[END].number = CELL_NONE;
	cells[SIZE].number = bytes;
	if (job->out.is_json) {
		fputs("\n],\"total\":", job->out.file);
		/* Without its name. */
		table_dump_json(&job->out,
				table_row_to_json(layout.columns,
						  FIXED_COLUMNS + layout.n_categories, cells));
		fputs("}\n", job->out.file);
	} else if (!error) {
		error = table_add(table, cells);
	}
	if (!error)
		error = table_flush(table);
	table_free(table);
	return error;
}

int scan_summarize(struct scan_job *job)
{
	struct summary summary = {.reached = job->start};
	uint64_t end = job->end ? job->end : UINT64_MAX;
	int error = scan_for_each(job, summarize_piece, &summary);

	/* --max-pages may have ended it earlier. */
	if (!error && pagescan_scan_get_position(job->scan) < end)
		end = pagescan_scan_get_position(job->scan);
	if (!error)
		error = add_mappings_below(job, &summary, end);
	if (!error)
		error = print_summary(job, &summary);
	for (size_t i = 0; i < summary.n; i++)
		free(summary.rows[i].name);
	free(summary.rows);
	return error;
}
