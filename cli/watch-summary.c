/* SPDX-License-Identifier: MIT */
/* What watch prints at the end: how much and where, what was not seen, and what it cost. */
#include "format.h"
#include "watch.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { MAX_WARNINGS = 12 };

struct warnings {
	char *texts[MAX_WARNINGS];
	size_t n;
};

static void warn(struct warnings *warnings, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(struct warnings *warnings, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (warnings->n < MAX_WARNINGS &&
	    vasprintf(&warnings->texts[warnings->n], format, list) >= 0)
		warnings->n++;
	va_end(list);
}

static void warn_of_pins(struct warnings *warnings, const struct blind *blind)
{
	const struct pagescan_pins *pins = &blind->pins;
	char text[FORMAT_SIZE];

	if (blind->pins_error)
		warn(warnings, "could not look for memory that devices write to: %s",
		     strerror(-blind->pins_error));
	if (pins->pinned)
		warn(warnings, "%s pinned for devices: what they write there is not seen",
		     format_bytes(text, pins->pinned));
	if (pins->n_direct_files)
		warn(warnings,
		     "%" PRIu32 " file%s open with O_DIRECT: what direct reads write may be missed",
		     pins->n_direct_files, pins->n_direct_files == 1 ? "" : "s");
	if (pins->n_uring_buffers)
		warn(warnings,
		     "%" PRIu32 " fixed buffer%s of io_uring: what is read into it is not seen",
		     pins->n_uring_buffers, pins->n_uring_buffers == 1 ? "" : "s");
	if (pins->n_userfaultfds)
		warn(warnings,
		     "it uses userfaultfd itself: it cannot register memory that is watched");
}

static void gather_warnings(struct warnings *warnings, const struct watch *watch)
{
	char text[FORMAT_SIZE];

	if (watch->unseen_ns)
		warn(warnings,
		     "what it wrote in its last %s was not seen; a shorter --interval makes it "
		     "less",
		     format_ns(text, watch->unseen_ns));
	if (watch->n_skipped)
		warn(warnings,
		     "%" PRIu64 " interval%s skipped: the look before took longer than one",
		     watch->n_skipped, watch->n_skipped == 1 ? " was" : "s were");
	warn_of_pins(warnings, &watch->blind);
}

static const char *end_text(const struct watch *watch)
{
	switch (watch->end) {
	case WATCH_INTERRUPTED:
		return "interrupted";
	case WATCH_DURATION_OVER:
		return "duration over";
	case WATCH_EXITED:
		return "exited";
	default:
		return "failed";
	}
}

static char *say_exit(const struct target *target)
{
	char *text = NULL;
	int n = 0;

	if (target->has_status && WIFSIGNALED(target->status))
		n = asprintf(&text, "It was ended by signal %d (%s).", WTERMSIG(target->status),
			     strsignal(WTERMSIG(target->status)));
	else if (target->has_status)
		n = asprintf(&text, "It exited with status %d.", WEXITSTATUS(target->status));
	else if (target->is_child && target->is_running)
		n = asprintf(&text, "It runs on as process %d, not watched any more.",
			     (int)target->pid);
	else if (!target->is_running)
		n = asprintf(&text, "It has exited.");
	return n < 0 ? NULL : text;
}

/* ---- for a person ---- */

static void print_head(struct watch *watch)
{
	uint64_t length_ns = watch->end_ns - watch->start_ns;
	char time[FORMAT_SIZE], bytes[FORMAT_SIZE], pages[FORMAT_SIZE], more[FORMAT_SIZE];
	FILE *file = watch->out.file;
	double seconds = (double)(watch->collected_ns - watch->start_ns) / 1e9;
	uint64_t rate = 0;

	if (seconds > 0)
		rate = (uint64_t)((double)(watch->n_pages * watch->page_size) / seconds);
	fprintf(file, "\n%s (process %d) was watched for %s, %" PRIu64 " interval%s.",
		watch->target.name, (int)watch->target.pid, format_ns(time, length_ns),
		watch->n_intervals, watch->n_intervals == 1 ? "" : "s");
	fprintf(file, "\nWritten      %s, %s", format_pages(pages, watch->n_pages),
		format_bytes(bytes, watch->n_pages * watch->page_size));
	fprintf(file, ", %s/s", format_bytes(more, rate));
	fprintf(file, "\nDistinct     %s, %s\n", format_pages(pages, watch->n_distinct),
		format_bytes(bytes, watch->n_distinct * watch->page_size));
}

static void print_top(struct watch *watch)
{
	struct rows top = report_top(watch, TALLY_BY_PAGES, watch->n_pages);
	struct table *table;

	if (!top.n)
		return;
	fputc('\n', watch->out.file);
	table = table_new(&watch->out, top.columns, top.n_columns);
	if (!table)
		return;
	for (size_t i = 0; i < top.n; i++)
		table_add(table, top.cells + i * top.n_columns);
	table_flush(table);
	table_free(table);
}

static void print_blind(const struct watch *watch)
{
	const struct blind *blind = &watch->blind;
	char bytes[FORMAT_SIZE];

	for (size_t i = 0; i < blind->n_groups; i++) {
		const struct untracked_group *group = &blind->groups[i];

		fprintf(watch->out.file, "%s%s in %" PRIu64 " mapping%s (%s%s): %s\n",
			i ? "             " : "\nNot tracked  ", format_bytes(bytes, group->bytes),
			group->n_mappings, group->n_mappings == 1 ? "" : "s",
			group->names ? group->names : "",
			group->n_mappings > group->n_names ? ", ..." : "", group->reason);
	}
}

static void print_cost(const struct watch *watch)
{
	const struct pagescan_tracker_cost *cost = &watch->target.cost;
	char stopped[FORMAT_SIZE], hold[FORMAT_SIZE];
	FILE *file = watch->out.file;

	fprintf(file, "\nCost to it   ");
	/* A command of our own is not stopped: it has not begun when we attach. */
	if (cost->stopped_ns)
		fprintf(file, "stopped for %s to attach; ", format_ns(stopped, cost->stopped_ns));
	fprintf(file, "longest stall caused %s", format_ns(hold, cost->longest_hold_ns));
	fprintf(file, "\n             %" PRIu64 " write faults at most, about 1 us each",
		cost->n_faults);
	if (cost->n_huge_split)
		fprintf(file,
			"\n             %" PRIu64 " huge pages split, %" PRIu64 " of them put back",
			cost->n_huge_split, cost->n_huge_restored);
	fputc('\n', file);
}

static void print_summary(struct watch *watch, const struct warnings *warnings,
			  const char *exit_text)
{
	const char *begin = watch->out.has_colour ? "\033[33m" : "";
	const char *end = watch->out.has_colour ? "\033[0m" : "";

	print_head(watch);
	print_top(watch);
	print_blind(watch);
	print_cost(watch);
	for (size_t i = 0; i < warnings->n; i++)
		fprintf(watch->out.file, "%sWarning      %s%s%s\n", i ? "" : "\n", begin,
			warnings->texts[i], end);
	if (exit_text)
		fprintf(watch->out.file, "\n%s\n", exit_text);
}

/* ---- for a program ---- */

static json_t *top_to_json(struct watch *watch)
{
	struct rows top = report_top(watch, TALLY_BY_PAGES, watch->n_pages);
	json_t *array = json_array();

	for (size_t i = 0; i < top.n; i++)
		json_array_append_new(array, table_row_to_json(top.columns, top.n_columns,
							       top.cells + i * top.n_columns));
	return array;
}

static json_t *blind_to_json(const struct blind *blind)
{
	json_t *array = json_array();

	for (size_t i = 0; i < blind->n_groups; i++) {
		const struct untracked_group *group = &blind->groups[i];

		json_array_append_new(
			array, json_pack("{s:s, s:I, s:I, s:o}", "reason", group->reason,
					 "mappings", (json_int_t)group->n_mappings, "bytes",
					 (json_int_t)group->bytes, "examples",
					 table_text_to_json(group->names ? group->names : "")));
	}
	return array;
}

static json_t *cost_to_json(const struct pagescan_tracker_cost *cost)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "stopped_ns", (json_int_t)cost->stopped_ns,
			 "longest_stall_ns", (json_int_t)cost->longest_hold_ns,
			 "write_faults_at_most", (json_int_t)cost->n_faults, "huge_pages_split",
			 (json_int_t)cost->n_huge_split, "huge_pages_restored",
			 (json_int_t)cost->n_huge_restored);
}

static json_t *summary_to_json(struct watch *watch, const struct warnings *warnings)
{
	const struct target *target = &watch->target;
	json_t *texts = json_array(), *object;

	for (size_t i = 0; i < warnings->n; i++)
		json_array_append_new(texts, table_text_to_json(warnings->texts[i]));
	object = json_pack("{s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:b}",
			   "type", "summary", "ended_by", end_text(watch), "seconds",
			   seconds_of(watch->end_ns - watch->start_ns), "intervals",
			   (json_int_t)watch->n_intervals, "skipped_intervals",
			   (json_int_t)watch->n_skipped, "pages", (json_int_t)watch->n_pages,
			   "bytes", (json_int_t)(watch->n_pages * watch->page_size),
			   "distinct_pages", (json_int_t)watch->n_distinct, "top",
			   top_to_json(watch), "not_tracked", blind_to_json(&watch->blind), "cost",
			   cost_to_json(&target->cost), "warnings", texts, "running",
			   target->is_running);
	if (object && target->has_status && WIFSIGNALED(target->status))
		json_object_set_new(object, "exit_signal", json_integer(WTERMSIG(target->status)));
	else if (object && target->has_status)
		json_object_set_new(object, "exit_status",
				    json_integer(WEXITSTATUS(target->status)));
	return object;
}

void report_summary(struct watch *watch)
{
	struct warnings warnings = {0};
	char *exit_text = say_exit(&watch->target);

	gather_warnings(&warnings, watch);
	if (watch->out.is_json)
		report_json(watch, summary_to_json(watch, &warnings));
	else
		print_summary(watch, &warnings, exit_text);
	output_flush(&watch->out);
	for (size_t i = 0; i < warnings.n; i++)
		free(warnings.texts[i]);
	free(exit_text);
}
