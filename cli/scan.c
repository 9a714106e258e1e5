/* SPDX-License-Identifier: MIT */
/* pagescan scan: which pages of a process match. */
#include "scan.h"

#include "options.h"
#include "parse.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WHERE, RANGE, REPORT, MAX_PAGES, SUMMARY, JSON };

static const struct option options[] = {
	[WHERE] = {"where", "EXPR",
		   "only pages for which this is true (default: present | swapped)"},
	[RANGE] = {"range", "A-B",
		   "only from A up to B, in hex; or A+LENGTH, as in 7f0000000000+64M"},
	[REPORT] = {"report", "CATS", "what to tell of each page: names with commas, or all"},
	[MAX_PAGES] = {"max-pages", "N", "stop after N pages"},
	[SUMMARY] = {"summary", NULL, "one line a mapping, with pages by category, and totals"},
	[JSON] = {"json", NULL, "print JSON"},
	{0},
};

struct scan_request {
	pid_t pid;
	const char *where;
	uint64_t report;
	uint64_t start;
	uint64_t end;
	uint64_t max_pages;
	bool has_summary;
	bool is_json;
};

enum { START, END, PAGES, SIZE, CATEGORIES, MAPPING, N_COLUMNS };

static const struct column columns[N_COLUMNS] = {
	[START] = {"START", "start", COLUMN_ADDRESS, 12},
	[END] = {"END", "end", COLUMN_ADDRESS, 12},
	[PAGES] = {"PAGES", "pages", COLUMN_COUNT, 8},
	[SIZE] = {"SIZE", "bytes", COLUMN_BYTES, 10},
	[CATEGORIES] = {"CATEGORIES", "categories", COLUMN_CATEGORIES, 17},
	[MAPPING] = {"MAPPING", "mapping", COLUMN_NAME, 1},
};

/*
 * What is told without --report. The categories of tracking are left out: of
 * memory that nobody tracks, every page reads as written (R4.7).
 */
static uint64_t default_report(uint64_t known)
{
	return known & ~(PAGESCAN_IS_WPALLOWED | PAGESCAN_IS_WRITTEN | PAGESCAN_IS_SOFT_DIRTY |
			 PAGESCAN_IS_ACCESSED);
}

static int read_range(const char *text, struct scan_request *request)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!parse_range(text, &request->start, &request->end))
		return complain_usage(&command_scan,
				      "--range '%s' is not A-B or A+LENGTH, such as "
				      "7f0000000000-7f0000200000 or 7f0000000000+2M",
				      text);
	if (request->end <= request->start)
		return complain_usage(&command_scan, "--range %s ends before it begins", text);
	if (request->start % page_size)
		return complain_usage(&command_scan,
				      "--range begins at %" PRIx64 ", inside a page; "
				      "that page begins at %" PRIx64,
				      request->start, request->start - request->start % page_size);
	return EXIT_DONE;
}

/* Those that scans here accept. */
static int find_categories(uint64_t *ret)
{
	struct pagescan_description scans;
	struct pagescan_error error;

	if (pagescan_scan_describe(PAGESCAN_OPERATION_AUTO, &scans, &error))
		return complain_error(&error);
	*ret = scans.categories;
	return EXIT_DONE;
}

static int read_report(const char *text, struct scan_request *request)
{
	const char *bad;
	uint64_t known = 0;
	int code = find_categories(&known);

	if (code)
		return code;
	if (parse_categories(text, known, &request->report, &bad))
		return EXIT_DONE;
	return complain_usage(&command_scan,
			      "--report knows no category '%.*s'; 'pagescan version' lists them",
			      (int)strcspn(bad, ","), bad);
}

static int read_option(int option, const char *value, struct scan_request *request)
{
	switch (option) {
	case WHERE:
		request->where = value;
		break;
	case RANGE:
		return read_range(value, request);
	case REPORT:
		return read_report(value, request);
	case MAX_PAGES:
		if (!parse_count(value, UINT64_MAX, &request->max_pages))
			return complain_usage(&command_scan,
					      "--max-pages '%s' is not a number above 0", value);
		break;
	case SUMMARY:
		request->has_summary = true;
		break;
	case JSON:
		request->is_json = true;
		break;
	}
	return EXIT_DONE;
}

/* ARGS_END, or the exit code. */
static int read_request(char **argv, struct scan_request *request)
{
	struct args args = args_begin(&command_scan, argv);
	int option;

	while ((option = args_next(&args)) >= 0) {
		int code = read_option(option, args.value, request);

		if (code)
			return code;
	}
	if (option == ARGS_EXIT)
		return args.exit_code;
	if (!args.operand && args.rest)
		args.operand = *args.rest;
	if (!args.operand)
		return complain_usage(&command_scan, "which process? scan needs its number");
	if (!parse_pid(args.operand, &request->pid))
		return complain_usage(&command_scan, "'%s' is not the number of a process",
				      args.operand);
	return ARGS_END;
}

int scan_for_each(struct scan_job *job, scan_visitor visit, void *arg)
{
	static struct pagescan_region regions[4096];
	const size_t room = sizeof(regions) / sizeof(regions[0]);
	ssize_t n;

	while ((n = pagescan_scan_next(job->scan, regions, room)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			struct pagescan_region piece = regions[i];

			for (; piece.start < regions[i].end; piece.start = piece.end) {
				int error = walk_to(&job->walk, piece.start);

				if (error)
					return error;
				piece.end = regions[i].end;
				if (piece.end > job->walk.mapping.end)
					piece.end = job->walk.mapping.end;
				error = visit(job, &piece, arg);
				if (error)
					return error;
			}
		}
	}
	return (int)n;
}

struct listing {
	struct table *table;
	uint64_t n_regions;
	uint64_t n_pages;
};

static int list_piece(struct scan_job *job, const struct pagescan_region *piece, void *arg)
{
	struct listing *listing = arg;
	uint64_t bytes = piece->end - piece->start;
	const union cell cells[N_COLUMNS] = {
		[START].number = piece->start,
		[END].number = piece->end,
		[PAGES].number = bytes / job->page_size,
		[SIZE].number = bytes,
		[CATEGORIES].number = piece->categories,
		[MAPPING].text = mapping_label(&job->walk.mapping),
	};

	listing->n_regions++;
	listing->n_pages += cells[PAGES].number;
	return table_add(listing->table, cells);
}

static int scan_list(struct scan_job *job)
{
	struct listing listing = {.table = table_new(&job->out, columns, N_COLUMNS)};
	int error, flush_error;

	if (!listing.table)
		return -ENOMEM;
	if (job->out.is_json)
		fprintf(job->out.file, "{\"pid\":%d,\"page_size\":%" PRIu64 ",\"regions\":[",
			(int)pagescan_process_get_pid(job->process), job->page_size);
	error = scan_for_each(job, list_piece, &listing);
	flush_error = table_flush(listing.table);
	table_free(listing.table);
	if (!error && !listing.n_regions && job->out.is_terminal && !job->out.is_json)
		fputs("No page matches.\n", job->out.file);
	/* JSON that ends early still ends well; only it is said to be incomplete. */
	if (job->out.is_json)
		fprintf(job->out.file,
			"\n],\"total\":{\"regions\":%" PRIu64 ",\"pages\":%" PRIu64
			",\"bytes\":%" PRIu64 "},\"complete\":%s}\n",
			listing.n_regions, listing.n_pages, listing.n_pages * job->page_size,
			error ? "false" : "true");
	return error ? error : flush_error;
}

static int complain_scan(struct scan_job *job, int error)
{
	int pid = (int)pagescan_process_get_pid(job->process);

	if (job->out.error)
		return EXIT_REFUSED; /* output_close() tells */
	if (error == -ESRCH)
		return complain(EXIT_REFUSED,
				"process %d ended or was replaced by another program"
				" while it was scanned",
				pid);
	return complain(EXIT_REFUSED, "cannot scan process %d: %s", pid, strerror(-error));
}

/* The expression is kept no longer than the scan needs it to be made. */
static int prepare(struct scan_job *job, const struct scan_request *request)
{
	struct pagescan_filter filter = {0};
	struct pagescan_scan_opts opts = {.size = sizeof(opts),
					  .start = request->start,
					  .end = request->end,
					  .max_pages = request->max_pages};
	struct pagescan_expr *expr = NULL;
	struct pagescan_error error;
	uint64_t known = 0;
	int code;

	if (request->where && pagescan_expr_parse(request->where, &expr, &error))
		return complain_usage(&command_scan, "--where: %s", error.text);
	code = find_categories(&known);
	if (code) {
		pagescan_expr_free(expr);
		return code;
	}
	filter.where = expr;
	if (expr)
		filter.report = pagescan_expr_get_categories(expr);
	else
		filter.any = PAGESCAN_IS_PRESENT | PAGESCAN_IS_SWAPPED;
	filter.report |= default_report(known);
	if (request->report)
		filter.report = request->report;
	if (pagescan_process_open(request->pid, &job->process, &error) ||
	    pagescan_scan_new(job->process, &filter, &opts, &job->scan, &error))
		code = complain_error(&error);
	pagescan_expr_free(expr);
	job->report = filter.report;
	job->walk.process = job->process;
	return code;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct scan_request request = {0};
	struct scan_job job = {.page_size = (uint64_t)sysconf(_SC_PAGESIZE)};
	int code = read_request(argv, &request);

	if (code != ARGS_END)
		return code;
	job.start = request.start;
	job.end = request.end;
	code = prepare(&job, &request);
	if (!code)
		code = output_open(&job.out, NULL, STDOUT_FILENO, request.is_json);
	if (!code) {
		int error = request.has_summary ? scan_summarize(&job) : scan_list(&job);

		if (error)
			code = complain_scan(&job, error);
	}
	code = output_close(&job.out, code);
	pagescan_scan_free(job.scan);
	walk_done(&job.walk);
	pagescan_process_close(job.process);
	return code;
}

const struct command command_scan = {
	.name = "scan",
	.about = "Tell which pages of a process match a condition.",
	.usage = "pagescan scan PID [OPTION...]",
	.options = options,
	.examples = "  pagescan scan 4711 --summary\n"
		    "  pagescan scan 4711 --where 'file & !swapped & (present | huge)'\n"
		    "  pagescan scan 4711 --where pfnzero --range 7f0000000000+1G --json\n",
	.run = run,
};
