/* SPDX-License-Identifier: MIT */
/*
 * A short-lived process that traces in the caller's stead: a tracer that dies
 * halfway kills its tracee, and the caller may die at any moment.
 *
 * It shares memory and descriptors with the caller, so that it costs the same for
 * any caller, and what it takes over is the caller's at once. It has a session of
 * its own and blocks all signals. It is nobody's child whom a wait() could find by
 * chance, and sends no SIGCHLD. What it must not do stands in inject.h.
 */
#ifndef PROCESS_HELPER_H
#define PROCESS_HELPER_H

#include <sys/types.h>

struct pagescan_helper {
	pid_t pid;
	void *stack;
};

/* 0 or a negative errno. */
int pagescan_helper_start(struct pagescan_helper *helper, int (*run)(void *), void *arg);

/* Wait until it has ended. */
void pagescan_helper_wait(struct pagescan_helper *helper);

/* For the helper itself: leave the caller's session, and its name, which pkill goes by. */
void pagescan_helper_begin(void);

/* Let a thread, 0 for itself, run before others, if that is permitted: somebody stands still. */
void pagescan_helper_hurry(pid_t tid);

#endif
