/* SPDX-License-Identifier: MIT */
/* pagescan watch: what its parts share. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli.h"
#include "output.h"
#include "pageset.h"
#include "table.h"
#include "tally.h"
#include "walk.h"

#include <sys/types.h>

struct watch_request {
	pid_t pid;
	char **argv; /* a command to start instead, or NULL */
	const char *interval_text;
	const char *duration_text; /* NULL: until it ends */
	const char *output;
	uint64_t interval_ns;
	uint64_t duration_ns;
	uint64_t n_top;
	bool has_keep_split;
	bool is_json;
};

enum watch_end {
	WATCH_GOES_ON,
	WATCH_INTERRUPTED,
	WATCH_DURATION_OVER,
	WATCH_EXITED,
	WATCH_OUTPUT_FAILED,
	WATCH_FAILED
};

/* The process, and our hold on it. */
struct target {
	pid_t pid;
	int pidfd;
	bool is_child;
	bool is_held; /* a child that must not run */
	bool has_status;
	bool is_running; /* after the end */
	int status;      /* as waitpid() has it */
	char name[64];
	uint32_t tracker_flags;
	struct pagescan_process *process;
	struct pagescan_tracker *tracker;
	struct pagescan_tracker_cost cost; /* of trackers that are closed */
};

/* Mappings that are not tracked, or not fully, for one reason. */
struct untracked_group {
	char *reason;
	uint64_t n_mappings;
	uint64_t bytes;
	char *names; /* the first few, with commas */
	unsigned n_names;
};

enum { MAX_GROUPS = 8 };

/* What the numbers do not contain. */
struct blind {
	struct untracked_group groups[MAX_GROUPS];
	size_t n_groups;
	struct pagescan_pins pins; /* the most that was seen of each */
	int pins_error;
};

struct watch {
	struct watch_request request;
	struct output out;
	struct target target;
	struct walk walk;
	struct pageset pages;
	struct tally tally;
	struct blind blind;
	struct table *table;
	const struct tally_area **top;
	union cell *top_cells;
	uint64_t page_size;
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t collected_ns; /* when the last collect began */
	uint64_t unseen_ns;    /* before it exited */
	uint64_t n_pages;
	uint64_t n_distinct;
	uint64_t n_intervals;
	uint64_t n_skipped;
	enum watch_end end;
	int code;
};

/* watch-target.c */

/* Open or start it, and attach. EXIT_DONE, or complains. */
int target_begin(struct target *target, const struct watch_request *request);

/* After an exec: open it anew. 0 or a negative errno with @reterr. */
int target_follow(struct target *target, struct pagescan_error *reterr);

/* Let go of it; then target->cost is final. */
void target_let_go(struct target *target);

/* Let a child run that was started and is still held. 0 or a negative errno. */
int target_release(struct target *target);

/* Learn how a child ended, if it did. */
void target_reap(struct target *target);

void target_done(struct target *target);

/* watch-blind.c */

/* Look at what cannot be seen; keeps what is known if the process is gone. */
void blind_look(struct blind *blind, struct target *target);

void blind_done(struct blind *blind);

/* watch-report.c */

int report_begin(struct watch *watch);
void report_start(struct watch *watch);
void report_interval(struct watch *watch, uint64_t now_ns, uint64_t n_pages, uint64_t n_skipped);
void report_event(struct watch *watch, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void report_done(struct watch *watch);

/* The areas most written, as rows; borrowed until the next call. */
struct rows report_top(struct watch *watch, enum tally_order order, uint64_t n_pages);

/* Print an object as a line of its own, and drop it. */
void report_json(struct watch *watch, struct json_t *object);

/* watch-summary.c */
void report_summary(struct watch *watch);

uint64_t now_ns(void);
double seconds_of(uint64_t ns);

#endif
