/* SPDX-License-Identifier: MIT */
/* The work of the helper that attaches to a process for the caller (helper.h). */
#ifndef PROCESS_ATTACH_HELPER_H
#define PROCESS_ATTACH_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How many threads are tried at most. */
#define PAGESCAN_MAX_CANDIDATES 4

/* What the helper was at when it failed, or the last thing it did. */
enum pagescan_attach_step {
	PAGESCAN_ATTACH_STOP,    /* stop one of its threads */
	PAGESCAN_ATTACH_SECCOMP, /* suspend the thread's filter */
	PAGESCAN_ATTACH_BORROW,  /* find that it can do a system call for us */
	PAGESCAN_ATTACH_THREAD,  /* have it make a thread */
	PAGESCAN_ATTACH_CALL,    /* have that make a userfaultfd */
	PAGESCAN_ATTACH_TAKE     /* take it over */
};

struct pagescan_attach_job {
	pid_t tids[PAGESCAN_MAX_CANDIDATES]; /* best first */
	int status_fds[PAGESCAN_MAX_CANDIDATES];
	int n_candidates;
	bool is_alone;        /* the process has but one thread */
	bool has_thread_fd;   /* pidfd_open() takes threads: Linux 6.9 on */
	uint64_t instruction; /* a system call instruction in its memory */
	uint64_t timeout_ns;

	/* The answer. */
	int result;
	enum pagescan_attach_step step;
	int uffd; /* the caller's */
	uint64_t stopped_ns;
};

struct pagescan_tracee;

/*
 * Have a stopped thread do it. It may be let go then, or not; pagescan_tracee_release()
 * does what is left. 0 and job->uffd, or an error that happened at job->step.
 */
int pagescan_attach_through(struct pagescan_attach_job *job, struct pagescan_tracee *tracee,
			    int status_fd);

/* What the helper runs. The argument is the job. */
int pagescan_attach_helper(void *job);

#endif
