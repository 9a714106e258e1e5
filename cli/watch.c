/* SPDX-License-Identifier: MIT */
/* pagescan watch: which pages a process writes, interval by interval. */
#include "watch.h"

#include "options.h"
#include "parse.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL, DURATION, N_TOP, KEEP_SPLIT, OUTPUT, JSON };

static const struct option options[] = {
	[INTERVAL] = {"interval", "TIME",
		      "how often to look, such as 100ms or 2s (default: 500ms)"},
	[DURATION] = {"duration", "TIME", "stop after that long (default: when it ends)"},
	[N_TOP] = {"top", "N", "name the N mappings written most (default: 5)"},
	[KEEP_SPLIT] = {"keep-split", NULL, "leave huge pages split that watching had to split"},
	[OUTPUT] = {"output", "FILE", "write the report to FILE"},
	[JSON] = {"json", NULL, "print JSON, one object a line"},
	{0},
};

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int read_time(const char *name, const char *text, uint64_t *ret_ns)
{
	if (parse_duration(text, ret_ns))
		return EXIT_DONE;
	return complain_usage(&command_watch,
			      "--%s '%s' is no time with its unit, such as 500ms, 2s or 1m", name,
			      text);
}

static int read_option(int option, const char *value, struct watch_request *request)
{
	switch (option) {
	case INTERVAL:
		request->interval_text = value;
		return read_time("interval", value, &request->interval_ns);
	case DURATION:
		request->duration_text = value;
		return read_time("duration", value, &request->duration_ns);
	case N_TOP:
		if (!parse_count(value, 1000, &request->n_top))
			return complain_usage(&command_watch,
					      "--top '%s' is not a number from 1 to 1000", value);
		break;
	case KEEP_SPLIT:
		request->has_keep_split = true;
		break;
	case OUTPUT:
		request->output = value;
		break;
	case JSON:
		request->is_json = true;
		break;
	}
	return EXIT_DONE;
}

/* ARGS_END, or the exit code. */
static int read_request(char **argv, struct watch_request *request)
{
	struct args args = args_begin(&command_watch, argv);
	int option;

	while ((option = args_next(&args)) >= 0) {
		int code = read_option(option, args.value, request);

		if (code)
			return code;
	}
	if (option == ARGS_EXIT)
		return args.exit_code;
	request->argv = args.rest;
	if (args.rest && args.operand)
		return complain_usage(&command_watch,
				      "watch takes a process or a command, not both ('%s')",
				      args.operand);
	if (args.rest && !args.rest[0])
		return complain_usage(&command_watch, "which command? None follows '--'");
	if (!args.rest && !args.operand)
		return complain_usage(&command_watch,
				      "which process? watch needs its number, or -- and a command");
	if (args.operand && !parse_pid(args.operand, &request->pid))
		return complain_usage(&command_watch,
				      "'%s' is not the number of a process; a command follows '--'",
				      args.operand);
	return ARGS_END;
}

/*
 * The signals that end it are read, not handled: no call of the library is ever
 * interrupted. Who started us with one ignored (nohup) wants it ignored.
 */
static int block_signals(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct sigaction action;

		if (!sigaction(ends[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(&set, ends[i]);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int count_region(struct watch *watch, const struct pagescan_region *region)
{
	struct pagescan_region piece = *region;

	for (; piece.start < region->end; piece.start = piece.end) {
		ssize_t n_distinct;
		uint64_t n_pages;
		int error = walk_to(&watch->walk, piece.start);

		if (error)
			return error;
		piece.end = region->end;
		if (piece.end > watch->walk.mapping.end)
			piece.end = watch->walk.mapping.end;
		n_pages = (piece.end - piece.start) / watch->page_size;
		n_distinct = pageset_add(&watch->pages, piece.start / watch->page_size,
					 piece.end / watch->page_size);
		if (n_distinct < 0)
			return (int)n_distinct;
		watch->n_distinct += (uint64_t)n_distinct;
		watch->n_pages += n_pages;
		error = tally_add(&watch->tally, &watch->walk.mapping, n_pages,
				  (uint64_t)n_distinct);
		if (error)
			return error;
	}
	return 0;
}

/* 0, or a negative errno. What was counted before an error stays counted. */
static int collect(struct watch *watch)
{
	static struct pagescan_region regions[4096];
	const size_t room = sizeof(regions) / sizeof(regions[0]);
	uint64_t cursor = 0;
	ssize_t n;

	walk_refresh(&watch->walk);
	tally_begin_interval(&watch->tally);
	do {
		n = pagescan_tracker_collect(watch->target.tracker, &cursor, regions, room,
					     PAGESCAN_COLLECT_REARM);
		for (ssize_t i = 0; i < n; i++) {
			int error = count_region(watch, &regions[i]);

			if (error)
				return error;
		}
		/* Busy: a piece of memory is another's now. It was dropped, and it goes on. */
	} while (n > 0 || n == -EBUSY);
	return (int)n;
}

static void fail(struct watch *watch, const char *what, const char *why)
{
	watch->end = WATCH_FAILED;
	watch->code = complain(EXIT_REFUSED, "%s: %s", what, why);
}

/* The memory is gone: by exec, or with the process. */
static void follow(struct watch *watch)
{
	struct target *target = &watch->target;
	struct pagescan_error error = {0};
	uint64_t unseen_ns = now_ns() - watch->collected_ns;

	if (pagescan_process_get_state(target->process) == PAGESCAN_PROCESS_EXITED) {
		watch->unseen_ns = unseen_ns;
		watch->end = WATCH_EXITED;
		return;
	}
	if (target_follow(target, &error)) {
		if (error.code == -ESRCH) {
			watch->unseen_ns = unseen_ns;
			watch->end = WATCH_EXITED;
			return;
		}
		report_event(watch, "lost",
			     "it was replaced by another program, which cannot be watched");
		fail(watch, "cannot go on after exec", error.text);
		return;
	}
	walk_done(&watch->walk);
	watch->walk.process = target->process;
	pageset_clear(&watch->pages);
	if (tally_archive(&watch->tally))
		fail(watch, "cannot go on", "out of memory");
	report_event(watch, "exec", "it was replaced by another program, %s: watching that one",
		     target->name);
}

static void tick(struct watch *watch, uint64_t n_skipped)
{
	uint64_t n_before = watch->n_pages, begun = now_ns();
	int error = collect(watch);

	if (error && error != -ESRCH) {
		fail(watch, "cannot collect what was written", strerror(-error));
		return;
	}
	if (!error || watch->n_pages > n_before) {
		report_interval(watch, begun, watch->n_pages - n_before, n_skipped);
		watch->n_intervals++;
		watch->n_skipped += n_skipped;
		watch->collected_ns = begun;
	}
	if (error && watch->end)
		watch->unseen_ns = now_ns() - watch->collected_ns;
	else if (error)
		follow(watch);
	/* What is blind changes slowly, and a look at it is dear: at intervals 1, 2, 4, 8, ... */
	else if (!(watch->n_intervals & (watch->n_intervals - 1)))
		blind_look(&watch->blind, &watch->target);
	if (watch->out.error)
		watch->end = WATCH_OUTPUT_FAILED;
}

/* Until @until_ns, a signal or its exit. */
static void wait_until(struct watch *watch, uint64_t until_ns)
{
	struct pollfd fds[2] = {{.fd = watch->out.stop_fd, .events = POLLIN},
				{.fd = watch->target.pidfd, .events = POLLIN}};
	struct signalfd_siginfo info;
	uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
	struct timespec timeout = {(time_t)(left / 1000000000), (long)(left % 1000000000)};

	if (ppoll(fds, 2, &timeout, NULL) <= 0)
		return;
	if (fds[0].revents && read(watch->out.stop_fd, &info, sizeof(info)) > 0)
		watch->end = WATCH_INTERRUPTED;
	else if (fds[1].revents)
		watch->end = WATCH_EXITED;
}

static void loop(struct watch *watch)
{
	const uint64_t interval = watch->request.interval_ns;
	const uint64_t deadline = watch->request.duration_ns
					  ? watch->start_ns + watch->request.duration_ns
					  : UINT64_MAX;
	uint64_t next = watch->start_ns + interval;

	while (!watch->end) {
		uint64_t now, n_skipped = 0;

		wait_until(watch, next < deadline ? next : deadline);
		now = now_ns();
		if (watch->end == WATCH_EXITED)
			watch->unseen_ns = now - watch->collected_ns;
		if (watch->end || (now < next && now < deadline))
			continue;
		if (now >= deadline)
			watch->end = WATCH_DURATION_OVER;
		/* Late is late: the next one comes when it would have come anyway. */
		if (now >= next) {
			n_skipped = (now - next) / interval;
			next += (n_skipped + 1) * interval;
		}
		tick(watch, n_skipped);
	}
}

/*
 * Its memory goes a moment before it has ended. And Ctrl-C goes to a program that we
 * started as well: give it the time that an interpreter needs to clean up on a slow
 * machine. Another Ctrl-C ends the wait.
 */
static void wait_for_end(struct watch *watch)
{
	struct pollfd fds[2] = {{.fd = watch->target.pidfd, .events = POLLIN},
				{.fd = watch->out.stop_fd, .events = POLLIN}};

	if (watch->end == WATCH_EXITED ||
	    (watch->target.is_child && watch->end == WATCH_INTERRUPTED))
		poll(fds, 2, 5000);
	watch->target.is_running = !poll(fds, 1, 0);
	target_reap(&watch->target);
}

static void run_watch(struct watch *watch)
{
	report_start(watch);
	if (watch->out.error)
		watch->end = WATCH_OUTPUT_FAILED;
	loop(watch);
	if (watch->end == WATCH_INTERRUPTED)
		tick(watch, 0);
	watch->end_ns = now_ns();
	if (watch->target.tracker)
		blind_look(&watch->blind, &watch->target);
	target_let_go(&watch->target);
	wait_for_end(watch);
	if (!watch->out.error)
		report_summary(watch);
}

/* EXIT_DONE once everything is armed and the program runs. */
static int begin(struct watch *watch)
{
	int code = output_open(&watch->out, watch->request.output,
			       watch->request.argv ? STDERR_FILENO : STDOUT_FILENO,
			       watch->request.is_json);

	if (!code && report_begin(watch))
		code = complain(EXIT_REFUSED, "out of memory");
	if (!code)
		code = target_begin(&watch->target, &watch->request);
	if (code)
		return code;
	/* Not before: a program that we start must not inherit it. */
	watch->out.stop_fd = block_signals();
	watch->walk.process = watch->target.process;
	blind_look(&watch->blind, &watch->target);
	if (watch->request.argv)
		code = target_release(&watch->target);
	else
		code = pagescan_tracker_arm(watch->target.tracker);
	if (code == -ESRCH)
		return complain(EXIT_REFUSED, "process %d ended before it could be watched",
				(int)watch->target.pid);
	if (code)
		return complain(EXIT_REFUSED, "cannot watch process %d: %s", (int)watch->target.pid,
				strerror(-code));
	watch->start_ns = watch->collected_ns = now_ns();
	return EXIT_DONE;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct watch watch = {
		.request = {.interval_text = "500ms", .interval_ns = 500000000, .n_top = 5},
		.target.pidfd = -1,
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
	};
	int code = read_request(argv, &watch.request);

	if (code != ARGS_END)
		return code;
	code = begin(&watch);
	if (!code) {
		run_watch(&watch);
		code = watch.code;
	}
	target_done(&watch.target);
	report_done(&watch);
	code = output_close(&watch.out, code);
	blind_done(&watch.blind);
	tally_free(&watch.tally);
	pageset_clear(&watch.pages);
	walk_done(&watch.walk);
	return code;
}

const struct command command_watch = {
	.name = "watch",
	.about = "Tell which pages a process writes, interval by interval, and where.",
	.usage = "pagescan watch [OPTION...] PID\n"
		 "       pagescan watch [OPTION...] -- COMMAND [ARGUMENT...]",
	.options = options,
	.examples = "  pagescan watch 4711\n"
		    "  pagescan watch 4711 --interval 100ms --duration 10s --json\n"
		    "  pagescan watch --output report -- sort words.txt\n",
	.run = run,
};
