/* SPDX-License-Identifier: MIT */
/* The process that is watched: opened or started, followed through exec, let go. */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* How it calls itself; a process that is gone keeps the name it had. */
static void read_name(struct target *target)
{
	char path[32], name[sizeof(target->name)];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)target->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, name, sizeof(name) - 1);
	close(fd);
	if (n <= 0)
		return;
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	/* Any process may call itself anything; terminals obey control characters. */
	for (char *c = name; *c; c++)
		*c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
	memcpy(target->name, name, sizeof(name));
}

static int attach(struct target *target, struct pagescan_error *reterr)
{
	struct pagescan_tracker_opts opts = {.size = sizeof(opts), .flags = target->tracker_flags};

	return pagescan_tracker_open(target->process, &opts, &target->tracker, reterr);
}

int target_begin(struct target *target, const struct watch_request *request)
{
	struct pagescan_error error = {0};
	int code;

	target->tracker_flags = PAGESCAN_TRACKER_ALL;
	if (request->has_keep_split)
		target->tracker_flags |= PAGESCAN_TRACKER_LEAVE_SPLIT;
	target->is_child = request->argv;
	code = request->argv ? pagescan_process_spawn(request->argv, &target->process, &error)
			     : pagescan_process_open(request->pid, &target->process, &error);
	if (code)
		return complain_error(&error);
	target->is_held = target->is_child;
	target->pid = pagescan_process_get_pid(target->process);
	target->pidfd = pidfd_open(target->pid, 0);
	if (target->pidfd < 0)
		return complain(EXIT_REFUSED, "cannot wait for process %d: %s", (int)target->pid,
				strerror(errno));
	if (attach(target, &error))
		return complain_error(&error);
	read_name(target);
	return EXIT_DONE;
}

void target_let_go(struct target *target)
{
	struct pagescan_tracker_cost cost;

	if (!target->tracker)
		return;
	pagescan_tracker_finish(target->tracker);
	pagescan_tracker_get_cost(target->tracker, &cost);
	pagescan_tracker_close(target->tracker);
	target->tracker = NULL;
	target->cost.stopped_ns += cost.stopped_ns;
	target->cost.n_faults += cost.n_faults;
	target->cost.n_huge_split += cost.n_huge_split;
	target->cost.n_huge_restored += cost.n_huge_restored;
	if (cost.longest_hold_ns > target->cost.longest_hold_ns)
		target->cost.longest_hold_ns = cost.longest_hold_ns;
}

int target_follow(struct target *target, struct pagescan_error *reterr)
{
	int error = 0;

	/*
	 * In the midst of an exec there is not yet a program to attach to, and behind
	 * it there may come another: try for a while before it is given up.
	 */
	for (int tries = 0; tries < 20; tries++) {
		if (error)
			usleep(1000);
		target_let_go(target);
		pagescan_process_close(target->process);
		target->process = NULL;
		error = pagescan_process_open(target->pid, &target->process, reterr);
		if (error)
			return error;
		error = attach(target, reterr);
		if (!error) {
			read_name(target);
			return 0;
		}
	}
	return error;
}

void target_reap(struct target *target)
{
	if (target->is_child && !target->has_status)
		target->has_status = waitpid(target->pid, &target->status, WNOHANG) == target->pid;
}

int target_release(struct target *target)
{
	int error = pagescan_process_resume(target->process);

	target->is_held = error;
	return error;
}

void target_done(struct target *target)
{
	/* It was to be watched from its start on: without that, it does not start. */
	if (target->is_held) {
		kill(target->pid, SIGKILL);
		waitpid(target->pid, NULL, 0);
	}
	target_let_go(target);
	pagescan_process_close(target->process);
	if (target->pidfd >= 0)
		close(target->pidfd);
}
