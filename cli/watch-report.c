/* SPDX-License-Identifier: MIT */
/* What watch prints while it goes on. */
#include "format.h"
#include "watch.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TIME, LENGTH, PAGES, WRITTEN, RATE, DISTINCT, SKIPPED, TOP, N_COLUMNS };

static const struct column columns[N_COLUMNS] = {
	[TIME] = {"TIME", "seconds", COLUMN_SECONDS, 8},
	[LENGTH] = {NULL, "interval_seconds", COLUMN_SECONDS, 0},
	[PAGES] = {"PAGES", "pages", COLUMN_COUNT, 8},
	[WRITTEN] = {"WRITTEN", "bytes", COLUMN_BYTES, 10},
	[RATE] = {"RATE", "bytes_per_second", COLUMN_RATE, 12},
	[DISTINCT] = {"DISTINCT", "distinct_pages", COLUMN_COUNT, 8},
	[SKIPPED] = {NULL, "skipped_intervals", COLUMN_COUNT, 0},
	[TOP] = {"MOSTLY IN", "top", COLUMN_ROWS, 1},
};

enum { AREA_PAGES, AREA_BYTES, AREA_SHARE, AREA_DISTINCT, AREA_START, AREA_END, AREA_NAME, N_AREA };

static const struct column area_columns[N_AREA] = {
	[AREA_PAGES] = {"PAGES", "pages", COLUMN_COUNT, 10},
	[AREA_BYTES] = {"WRITTEN", "bytes", COLUMN_BYTES, 10},
	[AREA_SHARE] = {"SHARE", "share", COLUMN_SHARE, 6},
	[AREA_DISTINCT] = {"DISTINCT", "distinct_pages", COLUMN_COUNT, 8},
	[AREA_START] = {"START", "start", COLUMN_ADDRESS, 12},
	[AREA_END] = {NULL, "end", COLUMN_ADDRESS, 0},
	[AREA_NAME] = {"MAPPING", "mapping", COLUMN_NAME, 1},
};

double seconds_of(uint64_t ns)
{
	return (double)(ns / 1000000) / 1e3;
}

int report_begin(struct watch *watch)
{
	size_t n_top = (size_t)watch->request.n_top;

	watch->top = calloc(n_top, sizeof(*watch->top));
	watch->top_cells = calloc(n_top * N_AREA, sizeof(*watch->top_cells));
	watch->table = table_new(&watch->out, columns, N_COLUMNS);
	return watch->top && watch->top_cells && watch->table ? 0 : -ENOMEM;
}

void report_done(struct watch *watch)
{
	table_free(watch->table);
	free(watch->top_cells);
	free(watch->top);
}

void report_json(struct watch *watch, json_t *object)
{
	if (table_dump_json(&watch->out, object))
		return;
	fputc('\n', watch->out.file);
	output_flush(&watch->out);
}

void report_start(struct watch *watch)
{
	const struct watch_request *request = &watch->request;
	const struct target *target = &watch->target;

	if (!watch->out.is_json) {
		fprintf(watch->out.file,
			"Watching %s (process %d) every %s%s%s%s; Ctrl-C ends it.\n", target->name,
			(int)target->pid, request->interval_text,
			request->duration_text ? " for " : "",
			request->duration_text ? request->duration_text : "",
			target->is_child ? " from its start" : "");
		output_flush(&watch->out);
		return;
	}
	report_json(watch,
		    json_pack("{s:s, s:i, s:o, s:f, s:I, s:s}", "type", "start", "pid",
			      (int)target->pid, "command", table_text_to_json(target->name),
			      "interval_seconds", seconds_of(request->interval_ns), "page_size",
			      (json_int_t)watch->page_size, "version", pagescan_version()));
}

struct rows report_top(struct watch *watch, enum tally_order order, uint64_t n_pages)
{
	size_t n = tally_top(&watch->tally, order, watch->top, (size_t)watch->request.n_top);

	for (size_t i = 0; i < n; i++) {
		const struct tally_area *area = watch->top[i];
		union cell *cells = &watch->top_cells[i * N_AREA];
		uint64_t n_area = order == TALLY_BY_PAGES ? area->n_pages : area->n_recent;

		cells[AREA_PAGES].number = n_area;
		cells[AREA_BYTES].number = n_area * watch->page_size;
		cells[AREA_SHARE].real = (double)n_area / (double)n_pages;
		cells[AREA_DISTINCT].number = area->n_distinct;
		cells[AREA_START].number = area->start;
		cells[AREA_END].number = area->end;
		cells[AREA_NAME].text = area->name;
	}
	return (struct rows){area_columns, N_AREA, watch->top_cells, n, NULL};
}

/*
 * "[heap] 62%, libc.so.6 38%". A nameless mapping is told by its address, and what
 * is hardly written is not told.
 */
static char *say_top(const struct rows *rows)
{
	size_t size;
	char *words = NULL;
	FILE *stream = open_memstream(&words, &size);

	if (!stream)
		return NULL;
	for (size_t i = 0; i < rows->n; i++) {
		const union cell *cells = &rows->cells[i * N_AREA];
		const char *name = cells[AREA_NAME].text;
		const char *slash = name[0] == '/' ? strrchr(name, '/') : NULL;
		char share[FORMAT_SIZE];

		if (i && cells[AREA_SHARE].real < 0.01)
			break;
		fprintf(stream, "%s", i ? ", " : "");
		if (!strcmp(name, "[anon]"))
			fprintf(stream, "anon@%llx", (unsigned long long)cells[AREA_START].number);
		else
			fprintf(stream, "%s", slash ? slash + 1 : name);
		fprintf(stream, " %s", format_share(share, cells[AREA_SHARE].real));
	}
	fclose(stream);
	return words;
}

static void report_interval_json(struct watch *watch, const union cell *cells)
{
	json_t *object = json_pack("{s:s}", "type", "interval");
	json_t *row = table_row_to_json(columns, N_COLUMNS, cells);

	if (object && row)
		json_object_update(object, row);
	json_decref(row);
	report_json(watch, object);
}

void report_interval(struct watch *watch, uint64_t now, uint64_t n_pages, uint64_t n_skipped)
{
	uint64_t length_ns = now - watch->collected_ns;
	uint64_t bytes = n_pages * watch->page_size;
	struct rows top = report_top(watch, TALLY_BY_RECENT, n_pages);
	char *words = say_top(&top);
	const union cell cells[N_COLUMNS] = {
		[TIME].real = seconds_of(now - watch->start_ns),
		[LENGTH].real = seconds_of(length_ns),
		[PAGES].number = n_pages,
		[WRITTEN].number = bytes,
		[RATE].number = length_ns ? (uint64_t)((double)bytes * 1e9 / (double)length_ns) : 0,
		[DISTINCT].number = watch->n_distinct,
		[SKIPPED].number = n_skipped,
		[TOP].rows = &top,
	};

	top.words = words ? words : "";
	if (watch->out.is_json) {
		report_interval_json(watch, cells);
	} else {
		table_add(watch->table, cells);
		table_flush(watch->table);
	}
	free(words);
}

void report_event(struct watch *watch, const char *event, const char *format, ...)
{
	double seconds = seconds_of(now_ns() - watch->start_ns);
	char *text = NULL;
	va_list list;
	int n;

	va_start(list, format);
	n = vasprintf(&text, format, list);
	va_end(list);
	if (n < 0)
		return;
	if (watch->out.is_json) {
		report_json(watch,
			    json_pack("{s:s, s:f, s:s, s:o}", "type", "event", "seconds", seconds,
				      "event", event, "text", table_text_to_json(text)));
	} else {
		fprintf(watch->out.file, "%6.2f s  %s\n", seconds, text);
		output_flush(&watch->out);
	}
	free(text);
}
