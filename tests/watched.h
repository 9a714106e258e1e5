/* SPDX-License-Identifier: MIT */
/* Starting the writer (tests/targets/writer.c), telling it what to do, and watching it. */
#ifndef TESTS_WATCHED_H
#define TESTS_WATCHED_H

#include "child.h"
#include "targets/plan.h"
#include "tracked.h"

#include <fcntl.h>

struct writer {
	struct child child;
	struct plan *plan;
	struct pagescan_process *process;
	struct pagescan_tracker *tracker;
};

struct start {
	char program[400];
	int plan_fd;
};

static inline void exec_program(int fd, void *arg)
{
	const struct start *start = arg;
	/* Lest one of the copies closes another. */
	int plan_fd = fcntl(start->plan_fd, F_DUPFD_CLOEXEC, 10);
	int talk_fd = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	if (dup2(talk_fd, STDIN_FILENO) < 0 || dup2(talk_fd, STDOUT_FILENO) < 0 ||
	    dup2(plan_fd, PLAN_FD) < 0)
		_exit(126);
	execl(start->program, start->program, (char *)NULL);
	_exit(127);
}

static inline void start_program(struct writer *w, const char *name)
{
	struct start start = {.plan_fd = memfd_create("plan", MFD_CLOEXEC)};

	memset(w, 0, sizeof(*w));
	snprintf(start.program, sizeof(start.program), "%s/%s", TARGETS, name);
	assert_int_equal(ftruncate(start.plan_fd, sizeof(*w->plan)), 0);
	w->plan =
		mmap(NULL, sizeof(*w->plan), PROT_READ | PROT_WRITE, MAP_SHARED, start.plan_fd, 0);
	assert_true(w->plan != MAP_FAILED);
	w->child = child_start(exec_program, &start);
	close(start.plan_fd);
	assert_int_equal(child_hear(w->child.fd), COMMAND_JOIN);
}

static inline void tell(struct writer *w, char command)
{
	child_say(w->child.fd, command);
	assert_int_equal(child_hear(w->child.fd), command);
}

static inline void watch(struct writer *w, uint32_t flags)
{
	struct pagescan_tracker_opts opts = {.size = sizeof(opts), .flags = flags};
	struct pagescan_error error = {0};

	assert_int_equal(pagescan_process_open(w->child.pid, &w->process, &error), 0);
	if (pagescan_tracker_open(w->process, &opts, &w->tracker, &error) < 0) {
		pagescan_process_close(w->process);
		child_end(&w->child);
		if (error.code == -EPERM || error.code == -EOPNOTSUPP)
			skip_because("%s", error.text);
		fail_msg("%s", error.text);
	}
}

static inline void unwatch(struct writer *w)
{
	pagescan_tracker_close(w->tracker);
	pagescan_process_close(w->process);
}

/* It must end by itself, and have nothing to complain of. */
static inline void end_program(struct writer *w)
{
	int status = -1;

	child_say(w->child.fd, COMMAND_END);
	assert_int_equal(waitpid(w->child.pid, &status, 0), w->child.pid);
	assert_int_equal(status, 0);
	assert_int_equal(w->plan->n_failed, 0);
	close(w->child.fd);
	munmap(w->plan, sizeof(*w->plan));
}

#endif
